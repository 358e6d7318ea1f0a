"""sweep: a grid of trials, each a process; every outcome a row; what is done is skipped; then the clocks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from blockzoo.core.contracts import BLOCKS, POSITIONS
from blockzoo.core.devices import DEVICES
from blockzoo.core.errors import RequestError
from blockzoo.core.export import export, rows_of
from blockzoo.core.outputs import Outputs
from blockzoo.core.plugins import load_plugins
from blockzoo.core.spec import THREADS, TrialSpec
from blockzoo.core.subject import Subject
from blockzoo.core.table import Row
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.execution.journal import Journal
from blockzoo.execution.progress import Progress, SilentProgress
from blockzoo.execution.queue import Plan, Queue, collect, only_writer, plan_of
from blockzoo.execution.watch import Watch
from blockzoo.train import load_data, trial_spec
from blockzoo.workers import BODIES

if TYPE_CHECKING:
    from blockzoo.data import ImageData


MOST_TRIALS = 1_000_000
"""Of a grid: what one store is made for."""
NOT_REQUESTED = ("output", "progress", "dry_run", "only")
"""Options of `run_sweep` that are of one call, and no part of what `blockzoo sweep resume` does again."""


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
    devices: int = 1,
    sync_batch_norm: bool = False,
    images: str = "auto",
    workers: int | None = None,
    threads: int = THREADS,
    executor: str = "local",
    address: str | None = None,
    gpus_per_trial: float | None = None,
    slurm: Sequence[str] = (),
    output: str | Path = "results",
    experiment_name: str = "",
    notes: str = "",
    plugins: Sequence[str] = (),
    on_oom: str = "fail",
    timeout: float | None = None,
    strict: bool = False,
    only: str = "all",
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
        devices: how many devices each trial takes.
        sync_batch_norm: batch norms take their statistics over all devices of a trial.
        images: resident, stream or auto, see `load_dataset`.
        workers: trials at a time; default: one per GPU, else one per core. No number depends on it.
        threads: processor threads of each trial, see `train_block`.
        executor: where trials run: local (processes here), ray (a cluster), slurm. No number depends on it.
        address: of the cluster of executor ray (default: RAY_ADDRESS, else one is started here).
        gpus_per_trial: of executor ray; a fraction of a GPU shares it.
        slurm: of executor slurm, such as "partition=gpu", see `SlurmJobs`.
        plugins: files or modules with the user's own blocks; the workers load them too.
        timeout: seconds that an attempt at a trial may take; what it has done by then is kept, and gone on with the next time.
        only: "queued" runs the trials without an outcome, "failed" those whose outcome is no result, "all" both.
        dry_run: plan and estimate only; nothing is written to `output`.

    All other arguments are those of `train_block`.

    Raises:
        RequestError: an unknown name, an empty grid, a value out of range: all before the first trial.
        StoreError: the results folder cannot be written, or another sweep is writing to it.
        KeyboardInterrupt: Ctrl-C, SIGTERM or `blockzoo sweep cancel`; what has finished is stored and exported.
    """
    request = {name: _plain(value) for name, value in locals().items() if name not in NOT_REQUESTED}
    plugins = load_plugins(plugins)
    if device not in DEVICES:
        raise RequestError(f"device {device!r}: choose one of {', '.join(DEVICES)}")
    data = load_data(dataset, data_dir, image_size, images=images)
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
        devices=devices,
        sync_batch_norm=sync_batch_norm,
        threads=threads,
        scaffold={
            "num_blocks": num_blocks,
            "base_channels": base_channels,
            "filler": filler,
            "active_blocks": active_blocks,
            "active_width": active_width,
        },
    )
    story = {"experiment_name": experiment_name, "notes": notes}
    return run_trials(
        trials,
        data.shape,
        output=output,
        data_dir=data_dir,
        device=device,
        workers=workers,
        executor=executor,
        placing=_placing(executor, address, gpus_per_trial, slurm),
        plugins=plugins,
        on_oom=on_oom,
        timeout=timeout,
        strict=strict,
        only=only,
        story=story,
        latency=latency,
        dry_run=dry_run,
        progress=progress,
        request=request,
    )


def run_trials(
    trials: list[TrialSpec],
    shape: tuple[int, int, int],
    *,
    output: str | Path = "results",
    data_dir: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    executor: str = "local",
    placing: dict[str, Any] | None = None,
    plugins: Sequence[str] = (),
    on_oom: str = "fail",
    timeout: float | None = None,
    strict: bool = False,
    only: str = "all",
    story: dict[str, str] | None = None,
    latency: bool = True,
    keep_weights: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    request: dict[str, Any] | None = None,
) -> SweepResult:
    """Run the trials whose outcome is not in the store yet, then time their networks side by side.

    Args:
        trials: of one dataset.
        shape: (C, H, W) of its images.
        placing: the executor's own options.
        story: `experiment_name` and `notes` of the records.
        keep_weights: leave each trial's last checkpoint in the results folder's `weights/`.
        request: the options of `run_sweep` that `blockzoo sweep resume` starts it with again.
        Others: as in `run_sweep`, and so are the errors.
    """
    if timeout is not None and not 0 < timeout < float("inf"):
        raise RequestError(f"timeout {timeout:g}: give a positive number of seconds")
    outputs = Outputs.at(output)
    journal = Journal(progress or SilentProgress(), outputs, request)
    watch = Watch(timeout=timeout, cancel=outputs.cancel, tick=journal.tick)
    rest = (partial(EXECUTORS[executor], **(placing or {})), device, list(plugins), _text(data_dir))
    if dry_run:
        return _rehearsed(trials, outputs, workers, only, rest, progress or SilentProgress())
    with only_writer(outputs), watch.hearing():
        store = outputs.store()
        collect(outputs, store, keep_weights=keep_weights)
        plan = plan_of(trials, store, workers, device, only)
        queue = Queue(plan, store, outputs, *rest, journal, watch, here=EXECUTORS["local"], bodies=BODIES)
        journal.close()  # of a sweep that was killed here
        try:
            journal.planned(plan, queue.estimate())
            queue.train(on_oom, story or {}, keep_weights=keep_weights, strict=strict)
            if latency:
                queue.time(shape)
        finally:
            journal.close()
            csv = export(outputs, store)
        return SweepResult(plan, rows_of(store, [t.fingerprint() for t in trials]), csv, outputs.database)


def _rehearsed(
    trials: list[TrialSpec],
    outputs: Outputs,
    workers: int | None,
    only: str,
    rest: tuple[Any, str, list[str], str | None],
    progress: Progress,
) -> SweepResult:
    """The plan and its estimate, which leave nothing behind."""
    store = outputs.store(create=False) if outputs.database.is_file() else None
    plan = plan_of(trials, store, workers, rest[1], only)
    with TemporaryDirectory(prefix="blockzoo-plan-") as folder:
        queue = Queue(
            plan, store, Outputs.at(folder), *rest, progress, here=EXECUTORS["local"], bodies=BODIES
        )
        progress.planned(plan, queue.estimate())
    rows = [] if store is None else rows_of(store, [t.fingerprint() for t in trials])
    return SweepResult(plan, rows, outputs.csv, outputs.database)


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
    if isinstance(seeds, int) and seeds * len(names) * len(where) > MOST_TRIALS:
        raise RequestError(f"seeds {seeds:,}: that is a grid of more than {MOST_TRIALS:,} trials")
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


def _placing(executor: str, address: str | None, gpus: float | None, slurm: Sequence[str]) -> dict[str, Any]:
    """The options of an executor that were given.

    Raises:
        RequestError: they are of another one, or cannot be.
    """
    given: dict[str, dict[str, Any]] = {
        "ray": {"address": address, "gpus": gpus},
        "slurm": {"options": tuple(slurm) or None},
    }
    for owner, options in given.items():
        if owner != executor and (wrong := [k for k, v in options.items() if v is not None]):
            raise RequestError(f"{', '.join(wrong)}: of --executor {owner}, not of {executor}")
    if gpus is not None and not (0 <= gpus < 1 or float(gpus).is_integer()):
        raise RequestError(f"gpus_per_trial {gpus:g}: give a fraction under 1, or a whole number")
    return {name: value for name, value in given.get(executor, {}).items() if value is not None}


def _plain(value: Any) -> Any:
    """An option as JSON has it: a class as its subject, a path as its text."""
    if isinstance(value, type):
        return str(Subject.parse(value))
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["sweep", *sys.argv[1:]]))
