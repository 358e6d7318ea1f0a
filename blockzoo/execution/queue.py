"""The queue of a sweep: trials that are not done yet, each a process, each outcome stored before the next is asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from blockzoo.core import faults
from blockzoo.core.environment import environment
from blockzoo.core.errors import RequestError, StoreError
from blockzoo.core.files import clear_unfinished
from blockzoo.core.locks import Held, Lock
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import FINAL, Record
from blockzoo.core.spec import THREADS, NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.execution.contracts import Executor, ExecutorMaker
from blockzoo.execution.jobs import Body, Job
from blockzoo.execution.progress import Progress
from blockzoo.execution.spool import leftovers
from blockzoo.execution.watch import Watch

log = logging.getLogger(__name__)


RETRIES = {"killed": 2, "out of memory": 1}
"""How often a sweep tries a trial once more by itself: where the circumstances may have been to blame. What failed by an error of
its own, or took too long, would do so again."""
UNFINISHED = ("queued", "failed", "all")
"""Which trials a sweep runs: those without an outcome, those whose outcome was no result, or both."""

ANSWERS = ("calibration", "probe")
"""Kinds of records that answer a question of the sweep itself, and are no results."""


@dataclass(frozen=True)
class Plan:
    """A grid of trials, those of them still to run, and how many run at a time; `threads` of each, whatever the workers."""

    trials: list[TrialSpec]
    pending: list[TrialSpec]
    workers: int
    threads: int
    cores: int


@dataclass(frozen=True)
class Bodies:
    """What the jobs of a sweep do; each is told the device and the plugins beside its own arguments."""

    trial: Body
    timing: Body
    calibration: Body


@dataclass(frozen=True)
class Queue:
    """Everything the three phases of a sweep share: estimating, training, timing."""

    plan: Plan
    store: Store | None  # None for an estimate alone
    outputs: Outputs
    make_executor: ExecutorMaker
    device: str
    plugins: list[str]
    data_dir: str | None
    progress: Progress
    watch: Watch = field(default_factory=Watch)
    here: ExecutorMaker | None = None
    """Makes the executor of estimates and times, which are of this machine (None: as the trainings')."""
    bodies: Bodies = field(kw_only=True)

    def estimate(self) -> float | None:
        """Seconds that the pending trials will take: a step of the first is timed, the others scaled by MACs."""
        if not self.plan.pending:
            return 0.0
        specs = [trial.to_json() for trial in self.plan.pending]
        stub = Record(
            "calibration", self.plan.pending[0].fingerprint(), self.plan.pending[0].network.subject, {}
        )
        job = self._job(self.bodies.calibration, stub, specs=specs, data_dir=self.data_dir)
        executor = self._executor(1, self.plan.threads, here=True)
        *_, record = executor.run([job])  # run to the end, it takes its spool file along
        seconds = record.values.get("seconds") if record.status == "ok" else None
        return None if seconds is None else float(seconds) / self.plan.workers

    def train(
        self, on_oom: str, story: dict[str, str], *, keep_weights: bool = False, strict: bool = False
    ) -> None:
        """Run the pending trials; each outcome is stored before the next is asked for.

        What the circumstances may have ended is tried again when all others are through, as often as `RETRIES` says; only the
        last attempt has a record, which says how many there were.

        Args:
            on_oom, strict: see `train_block`.
            story: `experiment_name` and `notes` of the records.
            keep_weights: leave each trial's last checkpoint in the results folder's `weights/`.
        """
        assert self.store is not None  # as it is for an estimate alone
        jobs = self._trainings(on_oom, story, keep_weights, strict)
        attempt = 1
        while jobs:
            again: list[Job] = []
            by_name = {job.stub.fingerprint: job for job in jobs}
            for record in self._executor(self.plan.workers, self.plan.threads, self.progress).run(jobs):
                if attempt <= RETRIES.get(record.status, 0):
                    again.append(by_name[record.fingerprint])
                    log.warning("%s: %s: %s; it is tried again", record.status, record.subject, record.reason)
                    continue
                if attempt > 1:
                    record.values["attempts"] = attempt
                faults.point("queue.storing")
                self.store.add(record)
                faults.point("queue.stored")
                _clear_checkpoint(self.outputs, record, keep_weights)
                faults.point("queue.cleared")
                self.progress.finished(record)
            jobs, attempt = again, attempt + 1

    def _trainings(self, on_oom: str, story: dict[str, str], keep_weights: bool, strict: bool) -> list[Job]:
        jobs = []
        for trial in self.plan.pending:
            identity = trial.fingerprint()
            stub = Record("trial", identity, trial.network.subject, trial.to_json(), **story)  # type: ignore[arg-type]
            options: dict[str, Any] = {"data_dir": self.data_dir, "on_oom": on_oom, "strict": strict, **story}
            options["checkpoint"] = str(self.outputs.checkpoint(identity))
            options["keep"] = str(self.outputs.weights(identity)) if keep_weights else None
            options["workers"] = max(1, self.plan.cores // self.plan.workers)
            job = self._job(self.bodies.trial, stub, spec=trial.to_json(), **options)
            jobs.append(replace(job, resumes=True))
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
            ended = [r for found in tried.values() for r in found if r.status == "killed"]
            rest = [n for n, found in tried.items() if all(record.status != "killed" for record in found)]
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
        options |= {"seconds": 6.0 * len(networks), "probe": probe}
        job = self._job(self.bodies.timing, stub, **options)
        return list(self._executor(1, self.plan.cores, here=True).run([job]))

    def _job(self, body: Body, stub: Record, **arguments: Any) -> Job:
        return Job(body, {"device": self.device, "plugins": self.plugins, **arguments}, stub)

    def _executor(
        self, workers: int, threads: int, listener: Progress | None = None, *, here: bool = False
    ) -> Executor:
        devices = grouped(gpus(self.device), devices_of(self.plan.trials))
        make = self.here if here and self.here is not None else self.make_executor
        return make(
            self.outputs.spool,
            workers=workers,
            threads=threads,
            devices=devices,
            listener=listener,
            watch=self.watch,
        )


def plan_of(
    trials: list[TrialSpec], store: Store | None, workers: int | None, device: str, only: str = "all"
) -> Plan:
    """Which trials are still to run, and how many at a time.

    Args:
        trials: the grid.
        store: what is known of it; None where nothing is.
        workers, device: see `run_sweep`.
        only: of `UNFINISHED`.

    Raises:
        RequestError: no such choice, or no such number of workers.
    """
    if only not in UNFINISHED:
        raise RequestError(f"only {only!r}: choose one of {', '.join(UNFINISHED)}")
    found = {} if store is None else store.statuses()

    def is_pending(status: str | None) -> bool:
        return (
            status not in FINAL
            if only == "all"
            else (status is None) == (only == "queued") and status not in FINAL
        )

    pending = [t for t in trials if is_pending(found.get(t.fingerprint()))]
    if workers is not None and workers < 1:
        raise RequestError(f"workers {workers}: give 1 or more")
    threads = threads_of(trials)
    usual = worker_count(device, devices_of(trials), threads)
    workers = max(1, min(workers or usual, len(pending) or 1))
    return Plan(trials, pending, workers, threads, cores())


def worker_count(device: str = "auto", devices: int = 1, threads: int = THREADS) -> int:
    """Trials that run at a time unless said otherwise: one per GPU, else one per core, or as many as each has threads."""
    return len(grouped(gpus(device), devices)) or max(1, cores() // (devices * threads))


def devices_of(trials: Sequence[TrialSpec]) -> int:
    """How many devices each trial of a sweep takes."""
    return max((trial.devices for trial in trials), default=1)


def threads_of(trials: Sequence[TrialSpec]) -> int:
    """Processor threads of each device of a trial, at most: as the trials ask, never by what there is to do."""
    return max((trial.threads or THREADS for trial in trials), default=THREADS)


def grouped(names: Sequence[str], devices: int) -> list[str]:
    """GPUs in groups of so many, each as CUDA_VISIBLE_DEVICES has it; some may be left over.

    Raises:
        RequestError: there are some, but not so many.
    """
    if names and devices > len(names):
        raise RequestError(
            f"--devices {devices}: there are {len(names)} GPUs; give fewer, or --device cpu for processes on the processor"
        )
    return [",".join(names[i : i + devices]) for i in range(0, len(names) - devices + 1, devices)]


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus(device: str) -> list[str]:
    """Accelerators by their number, found without loading CUDA: the fork server must never touch it."""
    if device == "cpu" or not Path("/proc/driver/nvidia/gpus").is_dir():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [d for d in visible.split(",") if d]
    return [str(i) for i, _ in enumerate(Path("/proc/driver/nvidia/gpus").iterdir())]


@contextmanager
def only_writer(outputs: Outputs) -> Iterator[None]:
    """The results folder is this process's to write to.

    Raises:
        StoreError: another one has it, or it cannot be written.
    """
    try:
        outputs.folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(outputs.lock)
    except Held:
        raise StoreError(
            f"another sweep is writing to {outputs.folder}; wait for it or choose another --output"
        ) from None
    except (OSError, StoreError) as error:
        raise StoreError(
            f"cannot write to {outputs.folder}: {getattr(error, 'strerror', None) or error}; choose another --output"
        ) from error
    try:
        yield
    finally:
        lock.release()


def collect(
    outputs: Outputs,
    store: Store,
    *,
    keep_weights: bool = False,
) -> None:
    """Store what a killed sweep or study had finished, each record once, and clear what it left.

    It may have been killed between any two steps: a record that is in the store already is not stored again.
    """
    checkpoints = outputs.checkpoint("any").parent
    clear_unfinished(outputs.spool, checkpoints, outputs.csv, outputs.sweep)
    for path, records in leftovers(outputs.spool):
        for record in records:
            if record.kind not in ANSWERS and not store.holds(record):
                store.add(record)
            if record.kind == "trial":
                _clear_checkpoint(outputs, record, keep_weights)
        path.unlink(missing_ok=True)


def _clear_checkpoint(outputs: Outputs, record: Record, keep_weights: bool) -> None:
    """A trial that is over needs its checkpoint no more, unless its weights are wanted and lie there alone."""
    kept = not keep_weights or outputs.weights(record.fingerprint).is_file()
    if record.status in FINAL and (kept or record.status != "ok"):
        outputs.checkpoint(record.fingerprint).unlink(missing_ok=True)


def _untimed(plan: Plan, store: Store, shape: tuple[int, int, int]) -> list[NetworkSpec]:
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
