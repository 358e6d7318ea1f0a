"""A sweep whose trainings are sums, for tests that kill it: `python -m tests.execution.chaos FOLDER`.

Queue, executor, spool, store and checkpoints are the real ones; only the training is not, so that a hundred sweeps take minutes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from blockzoo.core.export import export
from blockzoo.core.faults import POINTS
from blockzoo.core.files import write_text
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.execution import local
from blockzoo.execution.journal import Journal
from blockzoo.execution.local import LocalProcesses
from blockzoo.execution.progress import SilentProgress
from blockzoo.execution.queue import collect, only_writer, plan_of
from blockzoo.execution.watch import Watch
from blockzoo.trials.queue import Bodies, TrialQueue

OF_SWEEPS = [name for name in POINTS if not name.startswith(("line.", "table."))]
"""Write points that a sweep passes; the others are tried in test_write_points.py."""
EPOCHS = 5
SECONDS = 0.04
"""Of an epoch."""
TRIALS = [TrialSpec(NetworkSpec("ResNetBasicBlock/mid"), seed=seed, threads=1) for seed in range(6)]


def add_up(checkpoint: str, spec: dict[str, Any], report: Any, **_: Any) -> list[Record]:
    """The body of a job: each epoch's number follows from the one before, and is saved."""
    path, trial = Path(checkpoint), TrialSpec(**spec)
    curve = [float(word) for word in path.read_text().split()] if path.exists() else []
    while len(curve) < EPOCHS:
        time.sleep(SECONDS)
        before = curve[-1] if curve else float(trial.seed + 1)
        curve.append(before * 1.0001 + 1.0)
        write_text(path, " ".join(map(repr, curve)))
        report(len(curve), {"val_acc": curve[-1]})
    record = Record("trial", trial.fingerprint(), trial.network.subject, trial.to_json())
    record.samples, record.values = {"val_acc": curve}, {"val_acc": curve[-1]}
    return [record]


def sweep(folder: Path) -> None:
    """Run what is not done, as `run_trials` does."""
    local.PRELOADED = ()
    outputs = Outputs.at(folder)
    journal = Journal(SilentProgress(), outputs, None)
    watch = Watch(cancel=outputs.cancel, tick=journal.tick, silence=15)
    with only_writer(outputs), watch.hearing():
        store = outputs.store()
        collect(outputs, store)
        plan = plan_of(TRIALS, store, 2, "cpu")
        try:
            journal.planned(plan, None)
            bodies = Bodies(add_up, add_up, add_up)
            queue = TrialQueue(
                plan,
                store,
                outputs,
                LocalProcesses,
                "cpu",
                journal,
                watch,
                plugins=[],
                data_dir=None,
                bodies=bodies,
            )
            queue.train("fail", {})
        finally:
            journal.close()
            export(outputs, store)


if __name__ == "__main__":
    from tests.execution import chaos  # by its name, which the workers know it by

    chaos.sweep(Path(sys.argv[1]))
