"""What a sweep costs beside its trainings: trials that only wait, through queue, executor, spool, journal and store.

    python benchmarks/sweep_overhead.py --trials 6 --seconds 10

Prints the seconds between the end of one trial and the beginning of the next, with one worker, as a share of a trial, and the
processor time of the supervisor. The first trial starts the fork server, which is paid once a sweep: it is shown apart.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.execution.jobs import Job
from blockzoo.execution.journal import Journal
from blockzoo.execution.local import LocalProcesses
from blockzoo.execution.progress import SilentProgress
from blockzoo.execution.queue import plan_of
from blockzoo.execution.watch import Watch
from blockzoo.trials.queue import Bodies, TrialQueue

sys.path.append(str(Path(__file__).parent))  # where the workers find `wait`


def wait(seconds: float, spec: dict[str, Any], report: Any, **_: Any) -> list[Record]:
    """The body of a job: ten epochs that take so long together."""
    began = time.time()
    for epoch in range(1, 11):
        time.sleep(seconds / 10)
        report(epoch, {"val_acc": 0.5})
    trial = TrialSpec.from_json(spec)
    record = Record("trial", trial.fingerprint(), trial.network.subject, trial.to_json())
    record.values, record.samples = {"began": began, "ended": time.time()}, {"val_acc": [0.5] * 10}
    return [record]


class OfWaiting(TrialQueue):
    """A queue whose jobs wait."""

    seconds = 10.0

    def _trainings(self, *how: Any) -> list[Job]:
        return [
            replace(job, arguments={**job.arguments, "seconds": self.seconds})
            for job in super()._trainings(*how)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    body = importlib.import_module("sweep_overhead").wait  # by a name that the workers know
    OfWaiting.seconds = asked.seconds
    trials = [TrialSpec(NetworkSpec("ResNetBasicBlock/mid"), seed=n, threads=1) for n in range(asked.trials)]
    with tempfile.TemporaryDirectory() as folder:
        outputs = Outputs.at(folder)
        store = outputs.store()
        journal = Journal(SilentProgress(), outputs, None)
        plan = plan_of(trials, store, 1, "cpu")
        queue = OfWaiting(
            plan,
            store,
            outputs,
            LocalProcesses,
            "cpu",
            journal,
            Watch(tick=journal.tick),
            plugins=[],
            data_dir=None,
            bodies=Bodies(body, body, body),
        )
        begin, used = time.time(), time.process_time()
        journal.planned(plan, None)
        queue.train("fail", {})
        used = time.process_time() - used
        spans = sorted((float(r.values["began"]), float(r.values["ended"])) for r in store.records())  # type: ignore[arg-type]
    between = [after - before for (_, before), (after, _) in itertools.pairwise(spans)]
    print(f"first trial began after   {spans[0][0] - begin:.2f} s (fork server and its imports, once)")
    print(
        f"between two trials        median {statistics.median(between):.3f} s, most {max(between):.3f} s, n {len(between)}: "
        f"{100 * statistics.median(between) / asked.seconds:.2f} % of {asked.seconds:g} s"
    )
    print(
        f"processor time, supervisor {used / len(trials):.3f} s a trial: {100 * used / len(trials) / asked.seconds:.2f} %"
    )


if __name__ == "__main__":
    main()
