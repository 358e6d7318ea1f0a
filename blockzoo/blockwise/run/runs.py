"""A block-wise run in its folder: in this process, as one of several that were started together, or in processes of its own."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from blockzoo.blockwise.run.config import RunConfig, folder_name
from blockzoo.blockwise.run.earlier import adopt_earlier
from blockzoo.blockwise.run.handling import Handling, Processes
from blockzoo.blockwise.run.identity import identified, origins
from blockzoo.blockwise.run.keywords import HandlingKeywords, ProcessesKeywords
from blockzoo.blockwise.run.loop import Progress, RunResult, Training
from blockzoo.blockwise.run.ranks import Ranks
from blockzoo.blockwise.run.reading import Checkpoint, read_checkpoint, run_status
from blockzoo.blockwise.run.reports import Nothing, ReportFolder
from blockzoo.core.checked import sorted_into
from blockzoo.core.documents import describe, first_line
from blockzoo.core.environment import environment
from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.core.sources import check_unedited
from blockzoo.training.reproducible import reproducible

if TYPE_CHECKING:
    from typing_extensions import Unpack


log = logging.getLogger(__name__)
NOWHERE = -1
"""The round before the first, which is measured too: a run that was killed before its first checkpoint has no lines."""


class RunningKeywords(HandlingKeywords, ProcessesKeywords, total=False):
    """How a run is carried out."""


def run_blockwise(
    config: RunConfig,
    output: str | Path | None = "results",
    *,
    on_report: Progress = lambda values: None,
    **running: Unpack[RunningKeywords],
) -> RunResult:
    """Run a configuration, in a folder of its own, `output/blockwise/MODEL-DATASET-MODE-FINGERPRINT`.

    Args:
        config: the run.
        output: results folder; None writes nothing.
        on_report: told each report.
        running: of the tables Handling and Processes in docs/settings.md: resume, adopt, restart, tensorboard, store, ranks,
            patience, plugins.

    Raises:
        UsageError: the configuration is wrong; or this run exists already and neither `resume` nor `restart` is asked for.
        RankLost: a process of several ended or hung.
    """
    from blockzoo.blockwise.run.launch import run_on_ranks, under_torchrun

    if not isinstance(config, RunConfig):
        raise UsageError(f"{describe(config)}: give one RunConfig, and call this once for each")
    handling, processes = sorted_into(running, Handling, Processes, what="run_blockwise")
    ranks, config = processes.ranks, identified(config)
    if config.options.training_mode != "distributed":
        if ranks is not None:
            raise UsageError(f"--ranks {ranks}: several processes are of --training-mode distributed")
        return run_in(Ranks(), config, output, handling, on_report)
    if under_torchrun():
        if ranks is not None:
            raise UsageError(f"--ranks {ranks}: torchrun has said how many processes there are; leave it out")
        return run_in(Ranks.join(processes.patience), config, output, handling, on_report)
    return run_on_ranks(processes, config, output, handling, on_report)


def run_in(
    ranks: Ranks, config: RunConfig, output: str | Path | None, handling: Handling, on_report: Progress
) -> RunResult:
    """`run_blockwise` as one of these processes; only the first of them writes."""
    with reproducible(config.threads):
        return _run_in(ranks, config, output, handling, on_report)


def _run_in(
    ranks: Ranks, config: RunConfig, output: str | Path | None, handling: Handling, on_report: Progress
) -> RunResult:
    check_unedited(origins(config))
    if output is None or not ranks.first:
        training = Training(config, Nothing(), ranks)
        saved: Checkpoint | None = ranks.share(None)
        if saved is not None:
            training.load_state_dict(saved)
        result = training.run(on_report)
        ranks.leave()
        return result
    folder = Path(output) / "blockwise" / folder_name(config)
    if handling.adopt and (earlier := adopt_earlier(config, output)):
        log.warning("goes on from %s", earlier)
    resume = handling.resume or handling.adopt
    before = run_status(folder)
    if before is not None and not (resume or handling.restart):
        raise UsageError(
            f"this run exists: {folder} ({before['status']}{': ' + before['reason'] if before['reason'] else ''}); "
            "--resume goes on with it, --restart forgets it"
        )
    with (
        ReportFolder(folder, handling.tensorboard) as reports,
        reports.afresh() if handling.restart else nullcontext(),
    ):
        training = Training(config, reports, ranks)
        saved = read_checkpoint(reports.checkpoint) if resume and reports.checkpoint.exists() else None
        if saved is not None:
            _go_on(training, saved, reports.checkpoint)
        ranks.share(saved)
        reports.go_back_to(training.frame.round if saved is not None else NOWHERE)
        metadata = environment(device=config.device, threads=config.threads)
        reports.parameters({**config.to_json(), "fingerprint": config.fingerprint(), "environment": metadata})
        result = training.run(on_report)
        ranks.leave()
    if handling.store:
        Outputs.at(output).store().add(result.record(config))
    return result


def _go_on(training: Training, saved: Checkpoint, path: Path) -> None:
    """Take up the state in a checkpoint.

    Raises:
        UsageError: it is that of another run, or was changed.
    """
    try:
        training.load_state_dict(saved)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"checkpoint {path} does not fit this run ({type(error).__name__}: {first_line(error)}); --restart starts anew"
        ) from error
