"""A block-wise run in its folder: in this process, as one of several that were started together, or in processes of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from blockzoo.blockwise.run.config import RunConfig, folder_name
from blockzoo.blockwise.run.earlier import adopt_earlier
from blockzoo.blockwise.run.identity import identified, origins
from blockzoo.blockwise.run.loop import Progress, RunResult, Training
from blockzoo.blockwise.run.ranks import Ranks
from blockzoo.blockwise.run.reading import Checkpoint, read_checkpoint, run_status
from blockzoo.blockwise.run.reports import Nothing, ReportFolder
from blockzoo.core.documents import first_line
from blockzoo.core.environment import environment
from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.core.sources import check_unedited
from blockzoo.execution.ranks import PATIENCE
from blockzoo.training.reproducible import reproducible

log = logging.getLogger(__name__)
NOWHERE = -1
"""The round before the first, which is measured too: a run that was killed before its first checkpoint has no lines."""


@dataclass(frozen=True)
class Handling:
    """What becomes of an earlier run of the same configuration, and what is written; see `run_blockwise`."""

    resume: bool = False
    adopt: bool = False
    restart: bool = False
    tensorboard: bool = False
    store: bool = True


def run_blockwise(
    config: RunConfig,
    output: str | Path | None = "results",
    *,
    resume: bool = False,
    adopt: bool = False,
    restart: bool = False,
    tensorboard: bool = False,
    store: bool = True,
    on_report: Progress = lambda values: None,
    ranks: int | None = None,
    patience: float = PATIENCE,
    plugins: Sequence[str] = (),
) -> RunResult:
    """Run a configuration, in a folder of its own, `output/blockwise/MODEL-DATASET-MODE-FINGERPRINT`.

    Args:
        config: the run.
        output: results folder; None writes nothing.
        resume: go on from the checkpoint of a run that was killed or interrupted.
        adopt: where there is none, go on from a run that differs only in when it ends: see `adopt_earlier`.
        restart: forget an earlier run of the same configuration, once this one has begun well.
        tensorboard: also write event files.
        store: also write the run as a record to the results store in `output`.
        on_report: told each report.
        ranks: processes of the mode distributed, which this one starts, if it was not started by torchrun itself; None: one
            for each block, up to the cores or GPUs.
        patience: seconds that one of them may keep the others waiting (with its measurements too) before the run ends.
        plugins: files and modules with the user's own code, for them to load too.

    Raises:
        UsageError: the configuration is wrong; or this run exists already and neither `resume` nor `restart` is asked for.
        RankLost: a process of several ended or hung.
    """
    from blockzoo.blockwise.run.launch import Processes, run_on_ranks, under_torchrun

    handling = Handling(resume, adopt, restart, tensorboard, store)
    if not 0 < patience < float("inf"):
        raise UsageError(f"--rank-timeout {patience:g}: give a positive number of seconds")
    config = identified(config)
    if config.options.training_mode != "distributed":
        if ranks is not None:
            raise UsageError(f"--ranks {ranks}: several processes are of --training-mode distributed")
        return run_in(Ranks(), config, output, handling, on_report)
    if under_torchrun():
        if ranks is not None:
            raise UsageError(f"--ranks {ranks}: torchrun has said how many processes there are; leave it out")
        return run_in(Ranks.join(patience), config, output, handling, on_report)
    return run_on_ranks(Processes(ranks, patience, tuple(plugins)), config, output, handling, on_report)


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
        story = environment(device=config.device, threads=config.threads)
        reports.parameters({**config.to_json(), "fingerprint": config.fingerprint(), "environment": story})
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
