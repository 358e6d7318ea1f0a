"""The queue of a sweep or study: what is not done yet, each a process, each outcome stored before the next is asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from blockzoo.core import faults
from blockzoo.core.errors import StoreError, UsageError
from blockzoo.core.files import clear_unfinished, unfinished
from blockzoo.core.locks import Held, Lock
from blockzoo.core.once import only_trainer
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import FINAL, Record
from blockzoo.core.spec import THREADS
from blockzoo.core.store import Store
from blockzoo.execution.contracts import Executor, ExecutorMaker
from blockzoo.execution.jobs import Job
from blockzoo.execution.progress import Progress, Request
from blockzoo.execution.spool import leftovers
from blockzoo.execution.watch import Watch

log = logging.getLogger(__name__)
Asked = TypeVar("Asked", bound=Request)


RETRIES = {"killed": 2, "out of memory": 1}
"""How often a sweep tries a trial once more by itself: where the circumstances may have been to blame. What failed by an error of
its own, or took too long, would do so again."""
UNFINISHED = ("queued", "failed", "all")
"""Which trials a sweep runs: those without an outcome, those whose outcome was no result, or both."""

ANSWERS = ("calibration", "probe")
"""Kinds of records that answer a question of the sweep itself, and are no results."""


@dataclass(frozen=True)
class Plan(Generic[Asked]):
    """What is asked for, what of it is still to run, and how many run at a time; `threads` of each, whatever the workers."""

    trials: Sequence[Asked]
    pending: Sequence[Asked]
    workers: int
    threads: int
    cores: int


@dataclass(frozen=True)
class Queue(Generic[Asked]):
    """Jobs run side by side in one results folder, each outcome stored before the next is asked for."""

    plan: Plan[Asked]
    store: Store | None  # None for an estimate alone
    outputs: Outputs
    make_executor: ExecutorMaker
    device: str
    progress: Progress
    watch: Watch = field(default_factory=Watch)

    def run(
        self, jobs: list[Job], cleared: Callable[[Record], None] = lambda record: None
    ) -> Iterator[Record]:
        """Run these jobs, and yield each record that was stored.

        What the circumstances may have ended is tried again when all others are through, as often as `RETRIES` says; only the
        last attempt has a record, which says how many there were.

        Args:
            jobs: what is to run, with a fingerprint of its own each.
            cleared: told of each record once it is stored, to clear what the job needs no more.

        Raises:
            SourcesChanged: not all were run; what has finished is stored.
        """
        assert self.store is not None  # as it is for an estimate alone
        attempt = 1
        while jobs:
            again: list[Job] = []
            by_name = {job.stub.fingerprint: job for job in jobs}
            for record in self.executor(self.plan.workers, self.plan.threads, self.progress).run(jobs):
                if attempt <= RETRIES.get(record.status, 0):
                    again.append(by_name[record.fingerprint])
                    log.warning("%s: %s: %s; it is tried again", record.status, record.subject, record.reason)
                    continue
                if attempt > 1:
                    record.values["attempts"] = attempt
                faults.point("queue.storing")
                self.store.add(record)
                faults.point("queue.stored")
                cleared(record)
                faults.point("queue.cleared")
                self.progress.finished(record)
                yield record
            self.watch.check_sources()
            jobs, attempt = again, attempt + 1

    def executor(
        self,
        workers: int,
        threads: int,
        listener: Progress | None = None,
        *,
        make: ExecutorMaker | None = None,
    ) -> Executor:
        """What runs so many jobs at a time; `make` in place of the queue's own."""
        return (make or self.make_executor)(
            self.outputs.spool,
            workers=workers,
            threads=threads,
            devices=grouped(gpus(self.device), devices_of(self.plan.trials)),
            listener=listener,
            watch=self.watch,
        )


def plan_of(
    trials: Sequence[Asked], store: Store | None, workers: int | None, device: str, only: str = "all"
) -> Plan[Asked]:
    """Which trials are still to run, and how many at a time.

    Args:
        trials: the grid.
        store: what is known of it; None where nothing is. What others handed in answers no request.
        workers: trials at a time, at most as many as are pending; None: what `worker_count` says.
        device: what the trials run on: cpu, cuda or auto.
        only: of `UNFINISHED`.

    Raises:
        UsageError: no such choice, or no such number of workers.
    """
    if only not in UNFINISHED:
        raise UsageError(f"only {only!r}: choose one of {', '.join(UNFINISHED)}")
    statuses = {} if store is None else store.own_statuses()

    def is_pending(status: str | None) -> bool:
        return (
            status not in FINAL
            if only == "all"
            else (status is None) == (only == "queued") and status not in FINAL
        )

    pending = [t for t in trials if is_pending(statuses.get(t.fingerprint()))]
    if workers is not None and workers < 1:
        raise UsageError(f"workers {workers}: give 1 or more")
    threads = threads_of(trials)
    usual = worker_count(device, devices_of(trials), threads)
    workers = max(1, min(workers or usual, len(pending) or 1))
    return Plan(trials, pending, workers, threads, cores())


def worker_count(device: str = "auto", devices: int = 1, threads: int = THREADS) -> int:
    """Trials that run at a time unless said otherwise: one per GPU, else one per core, or as many as each has threads."""
    return len(grouped(gpus(device), devices)) or max(1, cores() // (devices * threads))


def devices_of(trials: Sequence[Request]) -> int:
    """How many devices each trial of a sweep takes."""
    return max((trial.devices for trial in trials), default=1)


def threads_of(trials: Sequence[Request]) -> int:
    """Processor threads of each device of a trial, at most: as the trials ask, never by what there is to do."""
    return max((trial.threads or THREADS for trial in trials), default=THREADS)


def grouped(names: Sequence[str], devices: int) -> list[str]:
    """GPUs in groups of so many, each as CUDA_VISIBLE_DEVICES has it; some may be left over.

    Raises:
        UsageError: there are some, but not so many.
    """
    if names and devices > len(names):
        raise UsageError(
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
    clear_unfinished(outputs.spool, outputs.csv, outputs.sweep)
    for path, checkpoint in unfinished(outputs.checkpoint("any").parent):
        try:
            with only_trainer(
                checkpoint
            ):  # `train`, or a sweep into another table of this folder, may be writing it
                path.unlink(missing_ok=True)
        except StoreError:
            pass
    for path, records in leftovers(outputs.spool):
        for record in records:
            if record.kind not in ANSWERS and not store.holds(record):
                store.add(record)
            if record.kind == "trial":
                clear_checkpoint(outputs, record, keep_weights)
        path.unlink(missing_ok=True)


def clear_checkpoint(outputs: Outputs, record: Record, keep_weights: bool) -> None:
    """A trial that is over needs its checkpoint no more, unless its weights are wanted and lie there alone."""
    is_spare = not keep_weights or outputs.weights(record.fingerprint).is_file()
    if record.status in FINAL and (is_spare or record.status != "ok"):
        outputs.checkpoint(record.fingerprint).unlink(missing_ok=True)
