"""Local processes: one per job, forked from a server that has torch loaded already.

A job that is killed takes nothing with it: its supervisor writes a row that says so. A supervisor that is killed
loses nothing either: each job leaves its records in the spool, durable, and the next sweep collects them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

from blockzoo.core.contracts import EXECUTORS
from blockzoo.core.errors import Damaged
from blockzoo.core.record import Record, now
from blockzoo.execution.children import body, starting
from blockzoo.execution.jobs import Job, Listener, Silent, outcome
from blockzoo.execution.spool import read_spool, set_aside, write_spool

PRELOADED = ("torch", "torchvision", "lightning", "timm", "matplotlib")


@EXECUTORS.register("local")
class LocalProcesses:
    """Runs up to `workers` jobs at a time on this machine, each with `threads` threads.

    Args:
        spool: folder for the records of finished jobs until they are stored.
        workers: jobs at a time.
        threads: threads of each.
        devices: accelerators to hand out in turn, one (or several with commas between them) per worker (empty: the CPU).
        listener: hears of starts and epochs.
    """

    def __init__(
        self,
        spool: Path,
        *,
        workers: int,
        threads: int,
        devices: Sequence[str] = (),
        listener: Listener | None = None,
    ) -> None:
        self._spool, self._workers, self._threads = spool, workers, threads
        self._devices, self._listener = list(devices), listener or Silent()
        self._context = multiprocessing.get_context("forkserver")

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Yield the records of each job as it ends; a failing job yields a row with the reason.

        A record's spool file is removed when the next one is asked for, so store each before going on.
        """
        self._spool.mkdir(parents=True, exist_ok=True)
        self._context.set_forkserver_preload(list(PRELOADED))
        waiting, running = list(reversed(jobs)), {}  # type: ignore[var-annotated]
        free = list(range(self._workers))
        try:
            while waiting or running:
                while waiting and free:
                    job, slot = waiting.pop(), free.pop()
                    worker = self._start(job, slot)
                    running[worker.process.sentinel] = worker
                    self._listener.started(job)
                for worker in self._wait(running):
                    free.append(worker.slot)
                    yield from worker.records()
                    worker.clean_up()
        finally:
            for worker in running.values():
                worker.process.terminate()
                worker.process.join()

    def _start(self, job: Job, slot: int) -> _Worker:
        receive, send = self._context.Pipe(duplex=False)
        path = self._spool / f"{job.name}.json"
        device = self._devices[slot % len(self._devices)] if self._devices else None
        process = self._context.Process(
            **body(_work, job, str(path), self._threads, device, send), daemon=True
        )
        with without_main(), _environment(OMP_NUM_THREADS=str(self._threads)):
            process.start()
        send.close()
        return _Worker(job, slot, process, receive, path)

    def _wait(self, running: dict[int, _Worker]) -> list[_Worker]:
        pipes = {worker.pipe: worker for worker in running.values() if not worker.pipe.closed}
        ready = connection.wait([*running, *pipes])
        for pipe in ready:
            if worker := pipes.get(pipe):  # type: ignore[call-overload]
                worker.read(self._listener)
        return [running.pop(sentinel) for sentinel in ready if sentinel in running]  # type: ignore[arg-type]


class _Worker:
    """A running job as its supervisor sees it."""

    def __init__(self, job: Job, slot: int, process: Any, pipe: connection.Connection, path: Path) -> None:
        self.job, self.slot, self.process, self.pipe, self.path = job, slot, process, pipe, path

    def read(self, listener: Listener) -> None:
        try:
            step, values = self.pipe.recv()
        except (EOFError, OSError):
            self.pipe.close()
        else:
            listener.progressed(self.job, step, values)

    def records(self) -> list[Record]:
        self.process.join()
        if self.path.is_file():
            try:
                return read_spool(self.path)
            except Damaged as error:
                reason = set_aside(self.path, error)
                return [replace(self.job.stub, status="failed", reason=reason, timestamp=now())]
        code = self.process.exitcode
        how = f"signal {-code} ({signal.Signals(-code).name})" if code and code < 0 else f"exit code {code}"
        hint = (
            "; the system may have run out of memory: fewer --workers or a smaller --batch-size"
            if code == -9
            else ""
        )
        return [
            replace(
                self.job.stub, status="killed", reason=f"its process ended by {how}{hint}", timestamp=now()
            )
        ]

    def clean_up(self) -> None:
        self.path.unlink(missing_ok=True)
        self.pipe.close()
        self.process.close()


def _work(job: Job, path: str, threads: int, device: str | None, pipe: connection.Connection) -> None:
    """The body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to answer
    threading.Thread(target=die_with_supervisor, daemon=True).start()
    multiprocessing.current_process().daemon = False  # it may have ranks, or processes that load images
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device

    def report(step: int, values: dict[str, float]) -> None:
        try:
            pipe.send((step, values))
        except OSError:
            pass

    records = outcome(job, threads, report)
    write_spool(Path(path), records)


def die_with_supervisor() -> None:
    """End this process when the one that started it has ended; the body of a thread."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)  # the checkpoint of the last epoch stays; the next sweep goes on from it


@contextmanager
def without_main() -> Iterator[None]:
    """Start a process without importing the user's script again (no job lives in it), or what lies beside the user."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        with starting():
            yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
