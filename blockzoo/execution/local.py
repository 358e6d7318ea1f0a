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
import time
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

from blockzoo.core.errors import Damaged, RunnersLost, StoreError
from blockzoo.core.record import Record, Status, now
from blockzoo.execution.children import body, starting
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.execution.jobs import Job, Listener, Silent, Stopped, outcome
from blockzoo.execution.spool import read_spool, set_aside, write_spool
from blockzoo.execution.watch import BEAT, Watch

STARTS = 3
"""How often a process is started before the sweep gives up, where its fork server ends meanwhile."""
SERVER_LOST = 255
"""What multiprocessing says of a process whose fork server has ended, whether that process has or not."""
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
        watch: limits of each job, and whether all are asked to stop.
    """

    def __init__(
        self,
        spool: Path,
        *,
        workers: int,
        threads: int,
        devices: Sequence[str] = (),
        listener: Listener | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch or Watch()
        self._spool, self._workers, self._threads = spool, workers, threads
        self._devices, self._listener = list(devices), listener or Silent()
        self._context = multiprocessing.get_context("forkserver")

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Yield the records of each job as it ends; a failing job yields a row with the reason.

        A record's spool file is removed when the next one is asked for, so store each before going on.

        Raises:
            KeyboardInterrupt: it was asked to stop, and all that ran has ended. What was interrupted has no record.
        """
        self._spool.mkdir(parents=True, exist_ok=True)
        self._context.set_forkserver_preload(list(PRELOADED))
        waiting = list(reversed(jobs))
        running: dict[int, _Worker] = {}
        free = list(range(self._workers))
        self._watch.absent()  # what was before counts for nothing
        try:
            while waiting or running:
                if self._watch.look():
                    waiting.clear()
                    for worker in running.values():
                        worker.stop()
                if waiting and free and not self._watch.may_start():
                    waiting.clear()
                while waiting and free:
                    job, slot = waiting.pop(), free.pop()
                    worker = self._start(job, slot)
                    running[worker.process.sentinel] = worker
                    self._listener.started(job)
                for worker in self._wait(running):
                    free.append(worker.slot)
                    yield from worker.records(self._watch)
                    worker.clean_up()
                absent = self._watch.absent()
                for worker in running.values():
                    worker.look_at(self._watch, absent)
        finally:
            for worker in running.values():
                worker.end()
        if self._watch.asked:
            raise KeyboardInterrupt

    def _start(self, job: Job, slot: int) -> _Worker:
        for attempt in range(STARTS):
            try:
                return self._started(job, slot)
            except (
                EOFError,
                ConnectionError,
                BrokenPipeError,
            ):  # the fork server has ended; there will be another
                time.sleep(attempt)
        raise RunnersLost(
            f"the fork server ended {STARTS} times while a trial was started; the system may have run out of memory: "
            "fewer --workers; the same command goes on"
        )

    def _started(self, job: Job, slot: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        path = self._spool / f"{job.name}.json"
        device = self._devices[slot % len(self._devices)] if self._devices else None
        process = self._context.Process(
            **body(_work, job, str(path), self._threads, device, theirs), daemon=True
        )
        try:
            with without_main(), _environment(OMP_NUM_THREADS=str(self._threads)):
                process.start()
        finally:
            theirs.close()
        return _Worker(job, slot, process, ours, path)

    def _wait(self, running: dict[int, _Worker]) -> list[_Worker]:
        pipes = {worker.pipe: worker for worker in running.values() if not worker.pipe.closed}
        ready = connection.wait([*running, *pipes], timeout=BEAT / 2)
        for pipe in ready:
            if worker := pipes.get(pipe):
                worker.read(self._listener)
        return [running.pop(sentinel) for sentinel in ready if sentinel in running]


class _Worker:
    """A running job as its supervisor sees it."""

    def __init__(self, job: Job, slot: int, process: Any, pipe: Any, path: Path) -> None:
        self.job, self.slot, self.process, self.pipe, self.path = job, slot, process, pipe, path
        self._began = self._heard = time.monotonic()
        self._told = False
        self._verdict: tuple[Status, str] | None = None

    def read(self, listener: Listener) -> None:
        """Hear what the worker says: an epoch, a sign of life, or why it could not leave its records."""
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            self.pipe.close()
            return
        self._heard = time.monotonic()
        if isinstance(message, str):
            self._verdict = "failed", message
        elif message is not None:
            listener.progressed(self.job, *message)

    def stop(self) -> None:
        """Ask it to end at its next report; what reports nothing that could be gone on with ends at once."""
        if self._told:
            return
        self._told = True
        if not self.job.resumes:
            self.process.kill()
            return
        try:
            self.pipe.send(None)
        except OSError:
            pass

    def look_at(self, watch: Watch, absent: float) -> None:
        """End it where it takes too long or gives no sign of life; the seconds of an absent supervisor do not count."""
        self._began, self._heard, present = self._began + absent, self._heard + absent, time.monotonic()
        if watch.timeout is not None and present - self._began > watch.timeout:
            self._judge(
                "timed out", f"it took more than the {watch.timeout:g} s of --timeout; its epochs are kept"
            )
        elif present - self._heard > watch.silence:
            self._judge("killed", f"its process gave no sign of life for {watch.silence:g} s and was ended")

    def _judge(self, status: Status, reason: str) -> None:
        if self._verdict is None:
            self._verdict = status, reason
            self.process.kill()

    def end(self) -> None:
        """Killed: what it writes is whole or not there at all, and SIGTERM would be waited for, or taken for a failure."""
        self.process.kill()
        self.process.join()

    def records(self, watch: Watch) -> list[Record]:
        """Those it left; else one that says how it ended; none where it was asked to, or is of another source."""
        self.process.join()
        while not self.pipe.closed and self.pipe.poll():
            self.read(Silent())
        if self.process.exitcode == SERVER_LOST:
            _end_orphan(self.process.pid)
        if self.path.is_file():
            try:
                left = read_spool(self.path)
            except Damaged as error:
                reason = set_aside(self.path, error)
                left = [self._row("failed", reason)] if watch.may_start() else []
            return [record for record in left if not (self._told and record.status == "killed")]
        if self._told:
            return []
        return [self._row(*(self._verdict or ("killed", self._epitaph())))]

    def _row(self, status: Status, reason: str) -> Record:
        return replace(self.job.stub, status=status, reason=reason, timestamp=now())

    def _epitaph(self) -> str:
        code = self.process.exitcode
        if code == SERVER_LOST:
            return "the process that started it was ended"
        how = f"signal {-code} ({signal.Signals(-code).name})" if code and code < 0 else f"exit code {code}"
        memory = "; the system may have run out of memory: fewer --workers or a smaller --batch-size"
        return f"its process ended by {how}{memory if code == -signal.SIGKILL else ''}"

    def clean_up(self) -> None:
        self.path.unlink(missing_ok=True)
        self.pipe.close()
        self.process.close()


def _work(job: Job, path: str, threads: int, device: str | None, pipe: Any) -> None:
    """The body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to answer
    threading.Thread(target=die_with_supervisor, daemon=True).start()
    multiprocessing.current_process().daemon = False  # it may have ranks, or processes that load images
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device

    lock = threading.Lock()
    threading.Thread(target=_beat, args=(pipe, lock, os.getppid()), daemon=True).start()

    def report(step: int, values: dict[str, float]) -> None:
        try:
            with lock:
                pipe.send((step, values))
            if pipe.poll():
                raise Stopped
        except OSError:
            pass

    try:
        write_spool(Path(path), outcome(job, threads, report))
    except Stopped:
        pass
    except StoreError as error:
        with lock:
            pipe.send(str(error))


def _beat(pipe: Any, said: threading.Lock, server: int) -> None:
    """Give a sign of life each second; the body of a thread. Without its fork server this process would never be waited for."""
    while os.getppid() == server:
        time.sleep(BEAT)
        try:
            with said:
                pipe.send(None)
        except OSError:
            return
    os._exit(1)


def _end_orphan(process: int) -> None:
    """End a process whose fork server has ended, before its job runs again."""
    try:
        os.kill(process, signal.SIGKILL)
        for _ in range(500):  # a process that nobody waits for is never gone, but does nothing more
            os.kill(process, 0)
            time.sleep(0.01)
    except ProcessLookupError:
        pass


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
