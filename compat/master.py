"""master.py --step_size 0.1 0.01 --K 1 10 --rounds 2000: many runs of dol1.py over all GPUs, or workers on the processor.

Every option of dol1.py, each with as many values as wanted: all combinations are run. progress_tracker.json says what is done,
running or failed at every moment; the same command goes on where it was killed. At the end the best learning rate for each K, and
comparison_loss_vs_epochs.png.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _compat import main, say
from _reports import FIGURES, Report, write_measurements
from _sandbox import DEFAULTS, parsed, parser, run_config

from blockzoo.blockwise.cost_curves import over_costs
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.reading import read_lines, run_status
from blockzoo.blockwise.sweep import BlockwiseStudy, Setting, StudyRun, compare, run_blockwise_study
from blockzoo.core.errors import UsageError
from blockzoo.core.files import write_atomically, write_text
from blockzoo.core.record import FINAL, Record
from blockzoo.execution.jobs import Job
from blockzoo.execution.progress import Planned


@dataclass(frozen=True)
class Runs(BlockwiseStudy):
    """All combinations of the earlier options' values."""

    asked: dict[str, list[Any]] = field(default_factory=dict)

    def settings(self) -> list[Setting]:
        return [
            tuple(zip(self.asked, values, strict=True)) for values in itertools.product(*self.asked.values())
        ]

    def config(self, setting: Setting, seed: int) -> RunConfig:
        """One run; a worker is one process, so that blockwise is its equal in one, blockwise_sequential."""
        given = dict(setting)
        alone = {"blockwise": "blockwise_sequential"}.get(given["training_mode"], given["training_mode"])
        return run_config({**given, "training_mode": alone}, "cpu")


def run(given: argparse.Namespace) -> int:
    """Run what is not finished, write the reports of all, and compare."""
    asked = {name: getattr(given, name) for name in DEFAULTS}
    varied = [name for name, values in asked.items() if len(values) > 1]
    tuned = [name for name in ("step_size",) if name in varied]
    runs = Runs({}, {name: asked[name] for name in varied}, tuned, 1, asked)
    for setting in (settings := runs.settings()):
        runs.config(setting, 0)
    if given.dry_run:
        say(f"would run {len(settings)} runs")
        return 0
    if any(number is not None and number >= 0 for number in given.cuda_core):
        raise UsageError(
            "--cuda_core: runs are spread over all visible GPUs; choose by CUDA_VISIBLE_DEVICES, or -1 for none"
        )
    outcomes = run_blockwise_study(
        runs,
        output=given.output,
        data_dir=given.data_dir,
        device="cpu" if -1 in given.cuda_core else "auto",
        workers=given.workers,
        progress=Tracker(Path("progress_tracker.json")),
    )
    for outcome in outcomes:
        _write(outcome)
    lines = compare(runs, outcomes)
    for line in lines:
        at = ", ".join(f"{name}={value}" for name, value in line.setting) or "all runs"
        if line.validation_loss is None:
            say(f"For {at}, no run counts: {line.reason}")
        else:
            best = "".join(f"the best {name} is {value} with " for name, value in line.tuned)
            say(f"For {at}, {best}validation loss {line.validation_loss.mean:.4f}")
    figure = over_costs(lines, ["gradient_evaluations", "seconds"])
    path = Path("comparison_loss_vs_epochs.png")
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=150))
    return int(any(outcome.fault for outcome in outcomes))


class Tracker:
    """Keeps progress_tracker.json: what is done, running or failed, at every moment."""

    def __init__(self, path: Path) -> None:
        self._path, self._done, self._all = path, 0, 0
        self._states: dict[str, Any] = {}

    def planned(self, plan: Planned, eta_seconds: float | None) -> None:
        self._all, self._done = len(plan.trials), len(plan.trials) - len(plan.pending)
        self._states = {config.fingerprint(): {"status": "waiting"} for config in plan.pending}
        self._write()

    def started(self, job: Job) -> None:
        self._tell(job.stub.fingerprint, {"status": "running"})

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None:
        self._tell(job.stub.fingerprint, {"status": "running", "round": step, **values})

    def finished(self, record: Record) -> None:
        self._done += record.status in FINAL
        self._tell(record.fingerprint, {"status": record.status, "reason": record.reason})
        say(f"{self._done} of {self._all} runs are done")

    def phase(self, name: str) -> None:
        """Studies have one."""

    def _tell(self, fingerprint: str, state: dict[str, Any]) -> None:
        self._states[fingerprint] = state
        self._write()

    def _write(self) -> None:
        write_text(self._path, json.dumps({"done": self._done, "runs": self._states}, indent=1) + "\n")


def _write(outcome: StudyRun) -> None:
    """The report and the measurements of one run, as dol1.py writes them."""
    folder = outcome.folder
    report = Report(dict(outcome.setting))
    if (folder / "progress.jsonl").exists():
        for line in read_lines(folder / "progress.jsonl"):
            report.progress(line)
    status = run_status(folder) or {"status": "missing", "reason": ""}
    report.line(f"{status['status']}: {status['reason']}")
    report.close()
    write_measurements(folder, FIGURES.parent / report.path.stem)


if __name__ == "__main__":
    options = parser(__doc__, several=True)
    options.add_argument("--workers", type=int, help="runs at a time (default: one per GPU, else per core)")
    given = parsed(options, sys.argv[1:])
    main(lambda: sys.exit(run(given)))
