"""Earlier runs: a checkpoint read again, and one that a longer run of the same request goes on from."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.curricula import make_curriculum
from blockzoo.blockwise.run.config import RunConfig, folder_name
from blockzoo.blockwise.run.reading import Checkpoint, read_checkpoint, read_lines, read_parameters
from blockzoo.blockwise.run.reports import ReportFolder
from blockzoo.blockwise.schedules import make_schedule
from blockzoo.core.errors import UsageError
from blockzoo.core.files import remove, write_atomically, write_text
from blockzoo.training.stoppers import make_stopper

log = logging.getLogger(__name__)


def adopt_earlier(config: RunConfig, output: str | Path) -> Path | None:
    """Give a run the checkpoint and the reports of one that differs only in when it ends; `resume` then goes on from there.

    When a run ends is said by its rounds, its stopper and its budget. Of several, the one that came furthest is taken, if this
    run would have come there too; its folder stays as it is. The longer run then ends as one that was never interrupted.

    Returns:
        The folder of the earlier run; None where there is none, or where this run has a checkpoint of its own.

    Raises:
        UsageError: what the earlier run did depends on how many rounds it was to have.
    """
    folder = Path(output) / "blockwise" / folder_name(config)
    if (folder / "checkpoint.pt").exists():
        return None
    for earlier, other in sorted(_alike(config, folder), key=lambda pair: _reached(pair[0]), reverse=True):
        saved = read_checkpoint(earlier / "checkpoint.pt")
        done, every = saved["frame"]["round"], config.report_sampling_rate
        saved["reports"] = [  # without the last one, where this run goes on without a report
            r for r in saved["reports"] if r["round"] % every == 0 or r["round"] == config.options.rounds
        ]
        if not _comes_there(config, saved):
            log.info("%s went further than this run would: it is not gone on with", earlier.name)
            continue
        _check_rounds_do_not_matter(config, other, done, earlier.name)
        _copy(earlier, folder, saved, config)
        return earlier
    return None


def _alike(config: RunConfig, folder: Path) -> Iterator[tuple[Path, RunConfig]]:
    """The folders of runs that differ from this one only in when they end, and what was asked of them."""
    wanted = config.fingerprint()
    for path in folder.parent.glob(folder.name.removesuffix(wanted) + "*"):
        if path == folder or not (path / "checkpoint.pt").exists():
            continue
        try:
            other, _ = read_parameters(path)
        except UsageError:  # of another version, or torn
            continue
        if path.name != folder_name(other):  # the code that it names says something else now
            continue
        options = replace(other.options, rounds=config.options.rounds)
        if (
            replace(other, options=options, stopper=config.stopper, budget=config.budget).fingerprint()
            == wanted
        ):
            yield path, other


def _reached(folder: Path) -> int:
    path = folder / "progress.jsonl"
    return max((line["round"] for line in read_lines(path)), default=0) if path.exists() else 0


def _comes_there(config: RunConfig, saved: Checkpoint) -> bool:
    """Would this run have reached the round of the checkpoint, by its own rounds, budget and stopper?"""
    name, _, most = config.budget.partition(":")
    stopper = make_stopper(config.stopper)
    return (
        saved["frame"]["round"] <= config.options.rounds
        and not (name and saved["totals"][name] >= float(most))
        and not any(stopper.reason_to_stop(report["validation"]) for report in saved["reports"])
    )


def _check_rounds_do_not_matter(config: RunConfig, other: RunConfig, done: int, name: str) -> None:
    old, new = other.options.rounds, config.options.rounds
    if old == new:
        return
    schedules = {text: make_schedule(text) for text in _schedules(config)}
    faults = [
        f"schedule {text}"
        for text, schedule in schedules.items()
        if any(schedule.factor(n, old) != schedule.factor(n, new) for n in range(done))
    ]
    mode = config.options.training_mode
    parts = {
        f"curriculum {config.curriculum}": type(make_curriculum(config.curriculum)),
        f"engine {mode}": ENGINES[mode],
    }
    faults += [
        name
        for name, part in parts.items()
        if getattr(part, "depends_on_rounds", not part.__module__.startswith("blockzoo."))
    ]
    if faults:
        raise UsageError(
            f"{name} cannot be gone on with: {', '.join(faults)} depends on the number of rounds, {old} there and {new} here; "
            "without --resume this run starts anew (an engine or a curriculum of your own says depends_on_rounds = False)"
        )


def _schedules(config: RunConfig) -> tuple[str, ...]:
    return config.step_schedule, config.k_schedule, config.share_schedule


def _copy(earlier: Path, folder: Path, saved: Checkpoint, config: RunConfig) -> None:
    done, reported = saved["frame"]["round"], {report["round"] for report in saved["reports"]}
    with ReportFolder(folder) as reports:
        for name in ("progress.jsonl", "measurements.jsonl"):
            if (earlier / name).exists():
                lines = [line for line in read_lines(earlier / name) if line["round"] <= done]
                kept = [line for line in lines if name != "progress.jsonl" or line["round"] in reported]
                write_text(folder / name, "".join(json.dumps(line) + "\n" for line in kept))
        if (earlier / "arrays").exists():
            remove(folder / "arrays")
            shutil.copytree(earlier / "arrays", folder / "arrays", symlinks=True)
        rounds = config.options.rounds
        reports.status("interrupted", f"goes on from {earlier.name}", round=done, rounds=rounds)
        write_atomically(reports.checkpoint, lambda temporary: torch.save(saved, temporary))
