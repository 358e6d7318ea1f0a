"""The queue of a sweep of trials: what it will take, the trainings, and the times of their networks."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from blockzoo.core.environment import environment
from blockzoo.core.progress import working
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.execution.contracts import ExecutorMaker
from blockzoo.execution.jobs import Body, Job
from blockzoo.execution.queue import Plan, Queue, clear_checkpoint

log = logging.getLogger(__name__)
TIMING_S = 6.0
"""Seconds that the times of one network may take."""


@dataclass(frozen=True)
class Bodies:
    """What the jobs of a sweep do; each is told the device and the plugins too."""

    trial: Body
    timing: Body
    calibration: Body


@dataclass(frozen=True, kw_only=True)
class TrialQueue(Queue[TrialSpec]):
    """The three phases of a sweep: estimating, training, timing.

    Args:
        plugins, data_dir: of the jobs.
        bodies: what these do.
        here: makes the executor of estimates and times, which are of this machine (None: as the trainings').
    """

    plugins: list[str]
    data_dir: str | None
    bodies: Bodies
    here: ExecutorMaker | None = None

    def estimate(self, *, latency: bool = False) -> float | None:
        """Seconds until the end: a step of the first pending trial is timed, the others are scaled by MACs.

        Starting a process, reading its images and counting its network, which each trial does, are timed too, and added. What the
        libraries take to be loaded is counted once.

        Args:
            latency: the networks are timed afterwards, which has its own seconds.
        """
        if not self.plan.pending:
            return 0.0
        began = time.monotonic()
        specs = [trial.to_json() for trial in self.plan.pending]
        stub = Record(
            "calibration", self.plan.pending[0].fingerprint(), self.plan.pending[0].network.subject, {}
        )
        job = self._job(self.bodies.calibration, stub, specs=specs, data_dir=self.data_dir)
        executor = self.executor(1, self.plan.threads, make=self.here)
        with working("estimating how long it takes"):
            *_, record = executor.run([job])  # run to the end, it takes its spool file along
        self.watch.check_sources()
        if record.status != "ok" or "seconds" not in record.values:
            return None
        estimates = {
            name: float(value) for name, value in record.values.items() if isinstance(value, (int, float))
        }
        start = max(0.0, time.monotonic() - began - estimates["took"])
        trials = estimates["seconds"] + estimates["each"] * len(self.plan.pending)
        networks = {trial.network for trial in self.plan.pending} if latency else ()
        return start + trials / self.plan.workers + TIMING_S * len(networks) + start * bool(networks)

    def train(
        self, on_oom: str, story: dict[str, str], *, keep_weights: bool = False, strict: bool = False
    ) -> None:
        """Run the pending trials, see `Queue.run`.

        Args:
            on_oom: "fail" or "halve": what becomes of a batch that does not fit, see `train_block`.
            story: `experiment_name` and `notes` of the records.
            keep_weights: leave each trial's last checkpoint in the results folder's `weights/`.
            strict: a trial fails where something of its network cannot be counted.
        """
        jobs = self._trainings(on_oom, story, keep_weights, strict)
        for _ in self.run(jobs, lambda record: clear_checkpoint(self.outputs, record, keep_weights)):
            pass

    def _trainings(self, on_oom: str, story: dict[str, str], keep_weights: bool, strict: bool) -> list[Job]:
        run: dict[str, Any] = {"device": self.device, "plugins": self.plugins, "data_dir": self.data_dir}
        run |= {"on_oom": on_oom, "strict": strict, **story}
        jobs = []
        for trial in self.plan.pending:
            identity = trial.fingerprint()
            stub = Record("trial", identity, trial.network.subject, trial.to_json(), **story)  # type: ignore[arg-type]
            arguments = {
                "spec": trial.to_json(),
                "run": run,
                "checkpoint": str(self.outputs.checkpoint(identity)),
                "keep": str(self.outputs.weights(identity)) if keep_weights else None,
                "workers": max(1, self.plan.cores // self.plan.workers),
            }
            jobs.append(Job(self.bodies.trial, arguments, stub, resumes=True))
        return jobs

    def time(self, shape: tuple[int, int, int]) -> None:
        """Time every trained network that has no times yet, all in one process, alone on the machine.

        A network that ends this process is found by trying each in one of its own; the others are then timed without it.
        """
        assert self.store is not None
        networks = _untimed(self.plan, self.store, shape)
        if not networks:
            return
        self.progress.phase(f"timing {len(networks)} networks side by side")
        records = self._timed(networks, shape)
        if any(record.status == "killed" for record in records):
            tried = {network: self._timed([network], shape, probe=True) for network in networks}
            ended = [r for timed in tried.values() for r in timed if r.status == "killed"]
            rest = [n for n, timed in tried.items() if all(record.status != "killed" for record in timed)]
            if ended:
                records = [replace(record, kind="latency") for record in ended]
                records += self._timed(rest, shape) if rest else []
        for record in records:
            self.store.add(record)
            if record.reason:
                log.warning("%s could not be timed: %s", record.subject, record.reason)

    def _timed(
        self, networks: list[NetworkSpec], shape: tuple[int, int, int], *, probe: bool = False
    ) -> list[Record]:
        """The latency records of networks that are timed in one process; of the first alone, `killed`, where this died."""
        kind, first = "probe" if probe else "latency", networks[0]
        stub = Record(kind, first.timing_key(shape[1]), first.subject, asdict(first))
        options: dict[str, Any] = {"networks": [asdict(n) for n in networks], "shape": shape}
        options |= {"seconds": TIMING_S * len(networks), "probe": probe}
        job = self._job(self.bodies.timing, stub, **options)
        records = list(self.executor(1, self.plan.cores, make=self.here).run([job]))
        self.watch.check_sources()
        return records

    def _job(self, body: Body, stub: Record, **arguments: Any) -> Job:
        return Job(body, {"device": self.device, "plugins": self.plugins, **arguments}, stub)


def _untimed(plan: Plan[TrialSpec], store: Store, shape: tuple[int, int, int]) -> list[NetworkSpec]:
    """Networks without times that could stand beside those to be taken now: with as many threads, of this machine and torch."""
    here = {**environment(), "threads": plan.cores}
    same = ("threads", "cpu", "cores", "torch")
    timed = {
        record.fingerprint
        for record in store.records("latency")
        if record.status == "ok"
        and all(record.environment.get(name, here[name]) == here[name] for name in same)
    }
    trained = {key for key, status in store.statuses().items() if status == "ok"}
    networks = {t.network.timing_key(shape[1]): t.network for t in plan.trials if t.fingerprint() in trained}
    return [network for key, network in networks.items() if key not in timed]
