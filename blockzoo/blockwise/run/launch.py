"""A block-wise run in processes that it starts itself: one for each block, as far as there are cores or GPUs."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from blockzoo.blockwise.run.config import RunConfig, folder_name
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.handling import Handling, Processes
from blockzoo.blockwise.run.identity import identified
from blockzoo.blockwise.run.loop import Progress, RunResult, Training
from blockzoo.blockwise.run.ranks import Ranks
from blockzoo.blockwise.run.reading import run_status
from blockzoo.blockwise.run.reports import Nothing, ReportFolder
from blockzoo.blockwise.run.runs import run_in
from blockzoo.blockwise.run.termination import Terminated, terminated_is_an_exception
from blockzoo.core.errors import RankLost, UsageError
from blockzoo.core.plugins import load_plugins
from blockzoo.execution.queue import cores
from blockzoo.execution.ranks import Report, run_together


def under_torchrun() -> bool:
    """Is this process one of several that somebody else started to work together? A variable alone does not make it one."""
    return dist.is_initialized() or os.environ.keys() >= {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


def rank_count(frame: Frame, device: str, wanted: int | None = None) -> int:
    """How many processes train a network: those wanted, or one for each block up to the cores, or GPUs, that are there.

    Raises:
        UsageError: more are wanted than there are blocks, or GPUs.
    """
    blocks = len(frame.blocks)
    places = torch.cuda.device_count() if device.startswith("cuda") else None
    if wanted is None:
        return max(1, min(blocks, cores() if places is None else places))
    if wanted < 1:
        raise UsageError(f"--ranks {wanted}: give 1 or more")
    if wanted > blocks:
        raise UsageError(f"{wanted} ranks for {blocks} blocks: start at most one per block")
    if places is not None and wanted > places:
        raise UsageError(f"{wanted} ranks for {places} GPUs: start at most one per GPU, or give --device cpu")
    return wanted


def planned(config: RunConfig, ranks: int | None = None) -> str:
    """What a run would do, in a sentence; all of it is built, nothing is run."""
    config = identified(config)
    frame = Training(config, Nothing(), Ranks()).frame
    sizes, options = frame.partition.sizes(frame.model), frame.options
    mode = options.training_mode
    if mode == "distributed":
        mode = f"distributed by {rank_count(frame, config.device, ranks)} processes"
    return (
        f"would run {options.rounds} rounds of {mode} on {len(sizes)} blocks of "
        f"{', '.join(f'{size:,}' for size in sizes)} parameters, {len(frame.train):,} examples: {folder_name(config)}; "
        f"learning rate {options.step_size}, K {options.k}, lambda {options.prox_lambda}"
    )


@dataclass(frozen=True)
class _Ended:
    """A `RunResult` that travels between processes; `frame` is the state of its frame, as torch saves it."""

    status: str
    reason: str
    reports: list[dict[str, Any]]
    folder: str | None
    checked: dict[str, float]
    frame: bytes


def run_on_ranks(
    processes: Processes,
    config: RunConfig,
    output: str | Path | None,
    handling: Handling,
    on_report: Progress,
) -> RunResult:
    """`run_blockwise` in processes of its own, which end together; the first of them writes.

    Raises:
        RankLost: one of them ended, or kept the others waiting for too long. The status of the run says so.
        Others: as `run_blockwise`.
    """
    if multiprocessing.current_process().daemon:
        raise UsageError(
            "training mode distributed starts processes, which this one may not (it is daemonic); jacobi makes the same updates"
        )
    frame = Frame.from_config(config)
    count = rank_count(frame, config.device, processes.ranks)
    try:
        with terminated_is_an_exception():
            ended = run_together(
                _take_part,
                count,
                threads=config.threads,
                gpus=config.device.startswith("cuda"),
                report=lambda round, values: on_report(values),
                patience=processes.patience,
                config=config.to_json(),
                output=None if output is None else str(output),
                plugins=processes.plugins,
                handling=handling,
            )
    except RankLost as error:
        _say(config, output, "failed", f"{type(error).__name__}: {error}")
        raise
    except (KeyboardInterrupt, Terminated) as error:
        _say(config, output, "interrupted", str(error) or "interrupted")
        raise KeyboardInterrupt from None
    frame.checked |= ended.checked
    state = torch.load(io.BytesIO(ended.frame), weights_only=True, map_location=config.device)
    frame.load_state_dict(state)
    folder = ended.folder and Path(ended.folder)
    return RunResult(ended.status, ended.reason, ended.reports, folder or None, frame)


def _take_part(
    rank: int,
    count: int,
    report: Report,
    config: dict[str, Any],
    output: str | None,
    plugins: Sequence[str],
    handling: Handling,
) -> _Ended:
    """The body of a process; what the first one returns is the result."""
    load_plugins(plugins, ambient=False)
    if rank:
        logging.getLogger("blockzoo").setLevel(logging.ERROR)  # what there is to say the first one says
    result = run_in(
        Ranks(rank, count, started=True),
        RunConfig.from_json(config),
        output,
        handling,
        lambda values: report(values["round"], values),
    )
    frame = io.BytesIO()
    torch.save(result.frame.state_dict(), frame)
    folder = None if result.folder is None else str(result.folder)
    checked = result.frame.checked
    return _Ended(result.status, result.reason, result.reports, folder, checked, frame.getvalue())


def _say(config: RunConfig, output: str | Path | None, status: str, reason: str) -> None:
    """The status of a run whose processes were ended before they could say it."""
    if output is None:
        return
    folder = Path(output) / "blockwise" / folder_name(config)
    before = run_status(folder)
    if before is not None and before["status"] == "killed":
        with ReportFolder(folder) as reports:
            rounds = {name: before[name] for name in ("round", "rounds") if name in before}
            reports.status(status, reason, **rounds)
