"""sweep: a grid of trials, each a process; every outcome a row; what is done is skipped; then the clocks."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.core.contracts import BLOCKS, EXECUTORS, POSITIONS
from blockzoo.core.devices import DEVICES
from blockzoo.core.errors import RequestError, StoreError
from blockzoo.core.outputs import Outputs, export, rows_of
from blockzoo.core.plugins import load_plugins
from blockzoo.core.record import FINAL, Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.subject import Subject
from blockzoo.core.table import Row
from blockzoo.execution.jobs import Job
from blockzoo.execution.progress import Progress, SilentProgress
from blockzoo.train import load_data, trial_spec

if TYPE_CHECKING:
    from blockzoo.data import ImageData

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A grid of trials, those of them still to run, and how many run at a time."""

    trials: list[TrialSpec]
    pending: list[TrialSpec]
    workers: int
    threads: int
    cores: int


@dataclass(frozen=True)
class SweepResult:
    """The rows of the grid, in its order, and where the whole table was written."""

    plan: Plan
    rows: list[Row]
    csv: Path
    database: Path


def run_sweep(
    blocks: Sequence[str | type],
    positions: str | Sequence[str] = "all",
    seeds: int | Sequence[int] = 1,
    *,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    protocol: str = "fast-v1",
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    num_blocks: int = 3,
    base_channels: int = 64,
    filler: str | None = None,
    active_blocks: int | None = None,
    active_width: float = 1.0,
    image_size: int | None = None,
    limit_train: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    executor: str = "local",
    output: str | Path = "results",
    experiment_name: str = "",
    notes: str = "",
    plugins: Sequence[str] = (),
    on_oom: str = "fail",
    latency: bool = True,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> SweepResult:
    """Train every block at every position with every seed, then time all networks side by side.

    Trials whose outcome is in the store are skipped; those that failed or were killed run again. A killed sweep
    goes on where it was, its running trials from their last epoch.

    Args:
        blocks: subjects; "all" stands for every block of the zoo.
        positions: "all", or some of early, mid, late.
        seeds: how many (0, 1, ...), or which.
        workers: trials at a time; default: one per GPU, else one per core, each with its share of the cores.
        plugins: files or modules with the user's own blocks; the workers load them too.
        dry_run: plan and estimate only.
        Others: as in `train_block`.

    Raises:
        RequestError: an unknown name, an empty grid, a value out of range: all before the first trial.
        StoreError: the results folder cannot be written, or another sweep is writing to it.
    """
    progress = progress or SilentProgress()
    plugins = load_plugins(plugins)
    if device not in DEVICES:
        raise RequestError(f"device {device!r}: choose one of {', '.join(DEVICES)}")
    data = load_data(dataset, data_dir, image_size)
    trials = grid(
        blocks,
        positions,
        seeds,
        data,
        protocol=protocol,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        image_size=image_size,
        limit_train=limit_train,
        scaffold={
            "num_blocks": num_blocks,
            "base_channels": base_channels,
            "filler": filler,
            "active_blocks": active_blocks,
            "active_width": active_width,
        },
    )
    outputs = Outputs.at(output)
    with _only_writer(outputs):
        store = outputs.store()
        _collect(outputs, store)
        plan = _plan(trials, store, workers, device)
        stage = _Stage(
            plan, store, outputs, EXECUTORS[executor], device, list(plugins), _text(data_dir), progress
        )
        progress.planned(plan, stage.estimate())
        if not dry_run:
            stage.train(on_oom, {"experiment_name": experiment_name, "notes": notes})
            if latency:
                stage.time(data.shape)
        csv = export(outputs, store)
        return SweepResult(plan, rows_of(store, [t.fingerprint() for t in trials]), csv, outputs.database)


@dataclass(frozen=True)
class _Stage:
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
        job = self._job("blockzoo.sweep:execute_calibration", stub, specs=specs, data_dir=self.data_dir)
        executor = self._executor(1, self.plan.threads)
        *_, record = executor.run([job])  # run to the end, it takes its spool file along
        seconds = record.values.get("seconds") if record.status == "ok" else None
        return None if seconds is None else float(seconds) / self.plan.workers

    def train(self, on_oom: str, story: dict[str, str]) -> None:
        """Run the pending trials; each outcome is stored before the next is asked for."""
        jobs = []
        for trial in self.plan.pending:
            stub = Record("trial", trial.fingerprint(), trial.network.subject, trial.to_json(), **story)  # type: ignore[arg-type]
            checkpoint = str(self.outputs.checkpoint(trial.fingerprint()))
            options = {"data_dir": self.data_dir, "checkpoint": checkpoint, "on_oom": on_oom, **story}
            jobs.append(self._job("blockzoo.train:execute_trial", stub, spec=trial.to_json(), **options))
        for record in self._executor(self.plan.workers, self.plan.threads, self.progress).run(jobs):
            self.store.add(record)
            if record.status in FINAL:
                self.outputs.checkpoint(record.fingerprint).unlink(missing_ok=True)
            self.progress.finished(record)

    def time(self, shape: tuple[int, int, int]) -> None:
        """Time every trained network that has no times yet, all in one process, alone on the machine."""
        networks = _untimed(self.plan.trials, self.store, shape)
        if not networks:
            return
        self.progress.phase(f"timing {len(networks)} networks side by side")
        stub = Record("latency", networks[0].timing_key(shape[1]), networks[0].subject, asdict(networks[0]))
        options = {"networks": [asdict(n) for n in networks], "shape": shape, "seconds": 3.0 * len(networks)}
        job = self._job("blockzoo.train:execute_timing", stub, **options)
        for record in self._executor(1, self.plan.cores).run([job]):
            self.store.add(record)
            if record.status != "ok":
                log.warning("the networks could not be timed: %s", record.reason)

    def _job(self, target: str, stub: Record, **arguments: Any) -> Job:
        return Job(target, {"device": self.device, "plugins": self.plugins, **arguments}, stub)

    def _executor(self, workers: int, threads: int, listener: Progress | None = None) -> Any:
        devices = _gpus(self.device)
        return self.make_executor(
            self.outputs.spool, workers=workers, threads=threads, devices=devices, listener=listener
        )


def grid(
    blocks: Sequence[str | type],
    positions: str | Sequence[str],
    seeds: int | Sequence[int],
    data: ImageData,
    **options: Any,
) -> list[TrialSpec]:
    """All trials of a sweep, seed by seed, so that a sweep cut short holds whole comparisons."""
    names = BLOCKS.names() if list(blocks) == ["all"] else list(blocks)
    where = [positions] if isinstance(positions, str) else list(positions)
    where = list(POSITIONS) if where == ["all"] else where
    which = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    empty = [n for n, v in (("blocks", names), ("positions", where), ("seeds", which)) if not v]
    if empty:
        raise RequestError(f"the grid is empty: give at least one of {' and of '.join(empty)}")
    subjects = [Subject.parse(name) for name in names]
    for subject in subjects:
        if subject.prefix == "block" and BLOCKS.origin(subject.name) == "__main__":
            raise RequestError(
                f"{subject} is defined in the running script, which the workers cannot see: "
                "put it in a file of its own and name that with plugins=[...] or --plugin"
            )
    placed = [s.at(p) if s.is_block and not s.position else s for s in subjects for p in where]
    return list(
        dict.fromkeys(
            trial_spec(str(subject), None, data, seed=seed, **options) for seed in which for subject in placed
        )
    )


def _plan(trials: list[TrialSpec], store: Store, workers: int | None, device: str) -> Plan:
    done = {fingerprint for fingerprint, status in store.statuses().items() if status in FINAL}
    pending = [t for t in trials if t.fingerprint() not in done]
    cores = _cores()
    if workers is not None and workers < 1:
        raise RequestError(f"workers {workers}: give 1 or more")
    workers = max(1, min(workers or worker_count(device), len(pending) or 1))
    return Plan(trials, pending, workers, max(1, cores // workers), cores)


def worker_count(device: str = "auto") -> int:
    """Trials that run at a time unless said otherwise: one per GPU, else one per core."""
    return len(_gpus(device)) or _cores()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus(device: str) -> list[str]:
    """Accelerators by their number, found without loading CUDA: the fork server must never touch it."""
    if device == "cpu" or not Path("/proc/driver/nvidia/gpus").is_dir():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [d for d in visible.split(",") if d]
    return [str(i) for i, _ in enumerate(Path("/proc/driver/nvidia/gpus").iterdir())]


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


@contextmanager
def _only_writer(outputs: Outputs) -> Any:
    from filelock import FileLock, Timeout

    try:
        outputs.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(outputs.lock)
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"another sweep is writing to {outputs.folder}; wait for it or choose another --output"
        ) from None
    except OSError as error:
        raise StoreError(
            f"cannot write to {outputs.folder}: {error.strerror}; choose another --output"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _collect(outputs: Outputs, store: Store) -> None:
    """Store what a killed sweep had finished."""
    from blockzoo.execution.local import leftovers

    for path, records in leftovers(outputs.spool):
        for record in records:
            if record.kind in ("trial", "latency"):
                store.add(record)
        path.unlink()


def execute_calibration(
    specs: list[dict[str, Any]], *, data_dir: str | None, device: str, plugins: list[str], report: Any
) -> list[Record]:
    """The body of a worker: estimates the seconds of all trials, one after the other."""
    from blockzoo.data import load_dataset
    from blockzoo.profile import profile_block
    from blockzoo.train import available_device
    from blockzoo.training.trial import training_step_seconds

    load_plugins(plugins)
    trials = [TrialSpec(**spec) for spec in specs]
    first = trials[0]
    data = load_dataset(first.dataset, data_dir, image_size=first.image_size)

    images = min(first.limit_train or len(data.train.labels), len(data.train.labels))
    per_epoch = images + len(data.val.labels) / 3  # a training image costs about three forward passes

    def macs(trial: TrialSpec) -> int:
        scaffold = {
            n: getattr(trial.network, n) for n in ("num_blocks", "base_channels", "filler", "out_dim")
        }
        shape = (1, *data.shape)
        return profile_block(trial.network.subject, input_shape=shape, memory=False, **scaffold).network.macs

    per_image = training_step_seconds(first, data, available_device(device)) / first.batch_size
    seconds = sum(per_image * per_epoch * t.epochs * macs(t) / macs(first) for t in trials)
    return [
        Record("calibration", first.fingerprint(), first.network.subject, {}, values={"seconds": seconds})
    ]


def _untimed(trials: Iterable[TrialSpec], store: Store, shape: tuple[int, int, int]) -> list[NetworkSpec]:
    timed = {key for key, status in store.statuses("latency").items() if status == "ok"}
    trained = {key for key, status in store.statuses().items() if status == "ok"}
    networks = {t.network.timing_key(shape[1]): t.network for t in trials if t.fingerprint() in trained}
    return [network for key, network in networks.items() if key not in timed]


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["sweep", *sys.argv[1:]]))
