"""Ray: jobs on the machines of a cluster, or on this one where there is none."""

from __future__ import annotations

import importlib.util
import os
import platform
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from blockzoo.core import consent
from blockzoo.core.errors import RunnersLost, UsageError
from blockzoo.core.extras import how_to_install
from blockzoo.core.record import Record, Status, now
from blockzoo.core.safe_path import VARIABLE, elsewhere, safe_path
from blockzoo.execution.board import Board, Pen
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.execution.jobs import Job, Listener, Silent, outcome
from blockzoo.execution.watch import Watch

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.data import ImageData

LOOK = 0.5
"""Seconds between two looks at what ends."""
UNHEARD = 300.0
"""Seconds that a job may wait for a place in the cluster, and start there, before its silence counts."""
HEADLESS = 30.0
"""Seconds that the head of a cluster may be away; after 60, Ray ends the process that asked it, without a message of ours."""


class Place(TypedDict, total=False):
    """Where the jobs run.

    Args:
        address: of the cluster (default: RAY_ADDRESS, else one is started here).
        gpus: accelerators of each job; a fraction shares one.
    """

    address: str | None
    gpus: float | None


@EXECUTORS.register("ray")
class RayCluster:
    """Runs up to `workers` jobs at a time on a Ray cluster, or on one started here, which listens on loopback alone.

    The machines need blockzoo and the plugins. Datasets that are kept decoded travel once to each of them, into the memory that
    its jobs share; what comes back are records. With a shared results folder a job whose machine is lost goes on from its last
    epoch, without one it begins anew; the numbers are the same.

    Args:
        spool: not needed: results come back through Ray.
        workers, threads: jobs at a time, and processors of each.
        devices: where there are accelerators, each job asks Ray for as many as the first of these names.
        listener: hears of starts and epochs.
        watch: limits of each job, and whether all are asked to stop, which ends them at once. A timeout counts from when a job
            is handed to Ray.
        place: on which cluster, and how many accelerators in place of `devices`.

    Raises:
        UsageError: Ray is not installed, or there is no cluster at the address.
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
        **place: Unpack[Place],
    ) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UsageError(f"executor ray needs the package ray: {how_to_install('ray')}")
        self._workers, self._threads, self._listener = workers, threads, listener or Silent()
        self._watch, gpus = watch or Watch(), place.get("gpus")
        self._address = place.get("address") or os.environ.get("RAY_ADDRESS")
        self._gpus = gpus if gpus is not None else float(devices[0].count(",") + 1) if devices else 0.0

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Yield the records of each job as it ends.

        Raises:
            RunnersLost: the head of the cluster is gone. What was stored stays, and the same command goes on.
            KeyboardInterrupt: it was asked to stop.
        """
        if not self._address:
            _with_token()
        import ray

        own = None if ray.is_initialized() else self._join()
        running: dict[Any, _Placed] = {}
        try:
            yield from self._run(list(reversed(jobs)), running)
        except (
            ray.exceptions.RaySystemError,
            ray.exceptions.RpcError,
            ray.exceptions.RayActorError,
            ConnectionError,
        ) as error:
            raise RunnersLost(
                f"the Ray cluster is lost ({_first_line(error)}); the same command goes on"
            ) from error
        finally:
            try:
                for reference in running:
                    ray.cancel(reference, force=True)
            except Exception:  # of a cluster that is gone
                pass
            if own is not None:
                ray.shutdown()
        if self._watch.asked:
            raise KeyboardInterrupt

    def _run(self, waiting: list[Job], running: dict[Any, _Placed]) -> Iterator[Record]:
        import ray

        task = ray.remote(_work).options(num_cpus=self._threads, num_gpus=self._gpus, max_retries=0)
        board: Any = ray.remote(Board).options(num_cpus=0, scheduling_strategy=_here()).remote()
        seat = _Seat(consent.granted(), str(Path.cwd()), safe_path(), self._threads)
        address = self._address or ""  # a client may reach the head at the address it was given alone
        head = _Head(address if address.startswith("ray://") else ray.get_runtime_context().gcs_address)
        placed: dict[Any, Any] = {}
        reading = board.read.remote()
        while (waiting or running) and not self._watch.look():
            if waiting and len(running) < self._workers and not self._watch.may_start():
                waiting.clear()
                continue
            while waiting and len(running) < self._workers:
                job = waiting.pop()
                reference = task.remote(seat, job, board, _data_of(job, placed))
                running[reference] = _Placed(job)
                self._listener.started(job)
            ray.wait(list(running), num_returns=1, timeout=LOOK)
            ended, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
            for reference in ended:
                yield from self._records(reference, running.pop(reference))
            head.check()
            heard, _ = ray.wait([reading], timeout=LOOK)
            self._hear(ray.get(reading) if heard else {}, running)
            reading = board.read.remote() if heard else reading

    def _records(self, reference: Any, placed: _Placed) -> list[Record]:
        import ray

        try:
            return [Record.from_json(line) for line in ray.get(reference)]
        except ray.exceptions.RayError as error:
            status, reason = placed.verdict or ("killed", f"Ray lost it: {_first_line(error)}")
            return [replace(placed.job.stub, status=status, reason=reason, timestamp=now())]

    def _hear(self, lines: dict[str, list[tuple[Any, ...]]], running: dict[Any, _Placed]) -> None:
        absent = self._watch.absent()
        for reference, placed in running.items():
            for kind, *message in lines.get(placed.job.name, []):
                placed.heard(kind, message)
                if kind == "epoch":
                    self._listener.progressed(placed.job, *message)
            if placed.is_over(self._watch, absent):
                placed.end(reference)

    def _join(self) -> Any:
        import ray

        here: dict[str, Any] = {}
        if not self._address:
            here = {"num_cpus": self._workers * self._threads, "include_dashboard": False}
            here |= {"_node_ip_address": "127.0.0.1"}
        variables = {"env_vars": {VARIABLE: "1"}}
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            _reach(self._address)
            with elsewhere():  # Ray puts the current folder first on the path of its workers
                return ray.init(address=self._address or "local", runtime_env=variables, **quiet, **here)
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"no Ray cluster at {self._address or 'this machine'}: {_first_line(error)}"
            ) from error


def _reach(address: str | None) -> None:
    """Somebody answers at the address: Ray itself would try for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _with_token() -> None:
    """Of all on this machine, only this process and its children may give a cluster that it starts work; Ray reads this once."""
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)


def _here() -> Any:
    """Of an actor: the machine of its driver, so that no other one takes it away."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


class _Head:
    """The process that knows who belongs to the cluster, as its driver sees it."""

    def __init__(self, address: str) -> None:
        self._address, self._asked = address, 0.0
        self._seen: float | None = None  # never: silence shows nothing

    def check(self) -> None:
        """Ask it, every few seconds.

        Raises:
            ConnectionError: it has answered before, and not for `HEADLESS` seconds.
        """
        present = time.monotonic()
        if present - self._asked < HEADLESS / 6:
            return
        self._asked = present
        try:
            _reach(self._address)
        except OSError as error:
            if self._seen is not None and present - self._seen > HEADLESS:
                raise ConnectionError(
                    f"its head at {self._address} has been away for {HEADLESS:g} s"
                ) from error
        else:
            self._seen = time.monotonic()


class _Placed:
    """A job that Ray has, as its supervisor sees it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.verdict: tuple[Status, str] | None = None
        self._began = time.monotonic()
        self._heard = self._began + UNHEARD
        self._place: list[Any] = []

    def heard(self, kind: str, said: list[Any]) -> None:
        self._heard = time.monotonic()
        if kind == "place":
            self._place = said

    def is_over(self, watch: Watch, absent: float) -> bool:
        """Whether it takes too long or gives no sign of life, found for the first time."""
        self._began, self._heard, present = self._began + absent, self._heard + absent, time.monotonic()
        if self.verdict is None and watch.timeout is not None and present - self._began > watch.timeout:
            self.verdict = "timed out", f"it took more than the {watch.timeout:g} s of --timeout"
        elif self.verdict is None and present - self._heard > watch.silence:
            self.verdict = "killed", f"it gave no sign of life for {watch.silence:g} s and was ended"
        else:
            return False
        return True

    def end(self, reference: Any) -> None:
        """A process that is stopped does not hear Ray, so here it is ended by the system."""
        import ray

        ray.cancel(reference, force=True)
        if self._place and self._place[0] == platform.node():
            try:
                os.kill(self._place[1], signal.SIGKILL)
            except ProcessLookupError:
                pass


class _Seat:
    """What each task must know: the code it may run, the folder its driver stands in, where modules are, its threads."""

    def __init__(self, granted: tuple[str, ...] | None, place: str, path: list[str], threads: int) -> None:
        self.granted, self.place, self.path, self.threads = granted, place, path, threads


def _data_of(job: Job, placed: dict[Any, Any]) -> Any:
    """The dataset of a trial in the cluster's memory, put there once; None for jobs that bring their own."""
    import ray

    from blockzoo.data import load_dataset

    spec = job.arguments.get("spec")
    if not isinstance(spec, dict) or spec.get("images") != "resident":
        return None
    key = (spec["dataset"], spec["image_size"])
    if key not in placed:
        placed[key] = ray.put(load_dataset(key[0], job.arguments.get("data_dir"), image_size=key[1]))
    return placed[key]


def _work(seat: _Seat, job: Job, board: Any, data: ImageData | None) -> list[str]:
    """The body of a task: it runs the code that its driver may run, in the folder where that stands if this machine has it."""
    from blockzoo.data.load import provide

    consent.close(seat.granted)
    sys.path += [folder for folder in seat.path if folder not in sys.path]
    if Path(seat.place).is_dir():
        os.chdir(seat.place)
    if data is not None:
        provide(data, job.arguments["spec"]["dataset"], job.arguments["spec"]["image_size"])
    return [record.to_json() for record in outcome(job, seat.threads, Pen(board, job.name).report)]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
