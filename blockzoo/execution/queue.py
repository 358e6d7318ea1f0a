"""The queue of a sweep: trials that are not done yet, each a process, each outcome stored before the next is asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from blockzoo.core.errors import RequestError, StoreError
from blockzoo.core.locks import Held, Lock
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import FINAL, Record
from blockzoo.core.spec import THREADS, NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.execution.jobs import Job
from blockzoo.execution.progress import Progress
from blockzoo.execution.spool import leftovers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A grid of trials, those of them still to run, and how many run at a time; `threads` of each, whatever the workers."""

    trials: list[TrialSpec]
    pending: list[TrialSpec]
    workers: int
    threads: int
    cores: int


@dataclass(frozen=True)
class Queue:
    """Everything the three phases of a sweep share: estimating, training, timing."""

    plan: Plan
    store: Store
    outputs: Outputs
    make_executor: Any
    device: str
    plugins: list[str]
    data_dir: str | None
    progress: Progress

    def estimate(self) -> float | None:
        """Seconds that the pending trials will take: a step of the first is timed, the others scaled by MACs."""
        if not self.plan.pending:
            return 0.0
        specs = [trial.to_json() for trial in self.plan.pending]
        stub = Record(
            "calibration", self.plan.pending[0].fingerprint(), self.plan.pending[0].network.subject, {}
        )
        job = self._job("blockzoo.workers:execute_calibration", stub, specs=specs, data_dir=self.data_dir)
        executor = self._executor(1, self.plan.threads)
        *_, record = executor.run([job])  # run to the end, it takes its spool file along
        seconds = record.values.get("seconds") if record.status == "ok" else None
        return None if seconds is None else float(seconds) / self.plan.workers

    def train(self, on_oom: str, story: dict[str, str], *, keep_weights: bool = False) -> None:
        """Run the pending trials; each outcome is stored before the next is asked for.

        Args:
            on_oom: see `train_block`.
            story: `experiment_name` and `notes` of the records.
            keep_weights: leave each trial's last checkpoint in the results folder's `weights/`.
        """
        jobs = []
        for trial in self.plan.pending:
            identity = trial.fingerprint()
            stub = Record("trial", identity, trial.network.subject, trial.to_json(), **story)  # type: ignore[arg-type]
            options: dict[str, Any] = {"data_dir": self.data_dir, "on_oom": on_oom, **story}
            options["checkpoint"] = str(self.outputs.checkpoint(identity))
            options["keep"] = str(self.outputs.weights(identity)) if keep_weights else None
            jobs.append(self._job("blockzoo.workers:execute_trial", stub, spec=trial.to_json(), **options))
        for record in self._executor(self.plan.workers, self.plan.threads, self.progress).run(jobs):
            self.store.add(record)
            _clear_checkpoint(self.outputs, record, keep_weights)
            self.progress.finished(record)

    def time(self, shape: tuple[int, int, int]) -> None:
        """Time every trained network that has no times yet, all in one process, alone on the machine.

        A network that ends this process is found by trying each in one of its own; the others are then timed without it.
        """
        networks = _untimed(self.plan.trials, self.store, shape)
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
        options = {"networks": [asdict(n) for n in networks], "shape": shape}
        options |= {"seconds": 6.0 * len(networks), "probe": probe}
        job = self._job("blockzoo.workers:execute_timing", stub, **options)
        return list(self._executor(1, self.plan.cores).run([job]))

    def _job(self, target: str, stub: Record, **arguments: Any) -> Job:
        return Job(target, {"device": self.device, "plugins": self.plugins, **arguments}, stub)

    def _executor(self, workers: int, threads: int, listener: Progress | None = None) -> Any:
        devices = grouped(gpus(self.device), devices_of(self.plan.trials))
        return self.make_executor(
            self.outputs.spool, workers=workers, threads=threads, devices=devices, listener=listener
        )


def plan_of(trials: list[TrialSpec], store: Store, workers: int | None, device: str) -> Plan:
    """Which trials are still to run, and how many at a time."""
    done = {fingerprint for fingerprint, status in store.statuses().items() if status in FINAL}
    pending = [t for t in trials if t.fingerprint() not in done]
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
def only_writer(outputs: Outputs) -> Any:
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
    kinds: Sequence[str] = ("trial", "latency", "blockwise"),
    *,
    keep_weights: bool = False,
) -> None:
    """Store what a killed sweep or study had finished, each record once, and clear what it left.

    It may have been killed between any two steps: a record that is in the store already is not stored again.
    """
    for path, records in leftovers(outputs.spool):
        for record in records:
            if record.kind in kinds and not store.holds(record):
                store.add(record)
            if record.kind == "trial":
                _clear_checkpoint(outputs, record, keep_weights)
        path.unlink(missing_ok=True)


def _clear_checkpoint(outputs: Outputs, record: Record, keep_weights: bool) -> None:
    """A trial that is over needs its checkpoint no more, unless its weights are wanted and lie there alone."""
    kept = not keep_weights or outputs.weights(record.fingerprint).is_file()
    if record.status in FINAL and (kept or record.status != "ok"):
        outputs.checkpoint(record.fingerprint).unlink(missing_ok=True)


def _untimed(trials: Iterable[TrialSpec], store: Store, shape: tuple[int, int, int]) -> list[NetworkSpec]:
    timed = {key for key, status in store.statuses("latency").items() if status == "ok"}
    trained = {key for key, status in store.statuses().items() if status == "ok"}
    networks = {t.network.timing_key(shape[1]): t.network for t in trials if t.fingerprint() in trained}
    return [network for key, network in networks.items() if key not in timed]
