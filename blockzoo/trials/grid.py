"""A grid of trials, each a process; every outcome a row; what is done is skipped; then all networks are timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from blockzoo.core.contracts import BLOCKS, POSITIONS, RESULTS
from blockzoo.core.documents import describe
from blockzoo.core.errors import UsageError
from blockzoo.core.export import export, rows_of
from blockzoo.core.outputs import Outputs
from blockzoo.core.plugins import load_plugins
from blockzoo.core.record import Record
from blockzoo.core.result import Result
from blockzoo.core.settings import Data, Recipe, Run, Scaffold, Sweeping
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.subject import Subject
from blockzoo.core.table import Row
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.execution.progress import Progress, SilentProgress
from blockzoo.execution.queue import Plan, plan_of
from blockzoo.trials.bodies import BODIES
from blockzoo.trials.queue import TrialQueue
from blockzoo.trials.request import network_spec, trial_spec
from blockzoo.trials.workplace import at_work, executor_of

if TYPE_CHECKING:
    from blockzoo.data import ImageData
    from blockzoo.report.drawing import Figure


MOST_TRIALS = 1_000_000
"""Of a grid: what one store is made for."""


@RESULTS.register("sweep")
@dataclass(frozen=True, eq=False, repr=False)
class SweepResult(Result):
    """The rows of the grid, in its order, and where the whole table was written."""

    plan: Plan[TrialSpec]
    rows: list[Row]
    csv: Path
    database: Path

    columns_first: ClassVar[tuple[str, ...]] = (
        *("block", "position", "seed", "status", "val_acc", "test_acc", "macs", "params_total", "latency_ms"),
        *("dataset", "protocol", "epochs"),
    )

    def headline(self) -> str:
        statuses = Counter(str(row["status"]) for row in self.rows)
        counts = ", ".join(f"{count} {status}" for status, count in statuses.items()) or "no outcome yet"
        blocks = dict.fromkeys(str(row["block"]) for row in self.rows)
        return f"{len(self.plan.trials)} trainings of {len(blocks)} blocks: {counts}; {self.csv}"

    def table_rows(self) -> list[Row]:
        return list(self.rows)

    def figure(self) -> Figure:
        """Which blocks differ from the reference, or else what accuracy costs; `plot_results` draws all pictures."""
        from blockzoo.report.pictures.drawn import first_picture

        return first_picture(self.rows)


@dataclass(frozen=True)
class Call:
    """What one call of a sweep does, and no part of what `blockzoo sweep resume` does again.

    Args:
        only: "queued" runs the trials without an outcome, "failed" those whose outcome is no result, "all" both.
        dry_run: plan and estimate only; nothing is written to the results folder.
        progress: told what happens.
        keep_weights: leave each trial's last checkpoint in the results folder's `weights/`.
        request: the arguments of `run_sweep` that `blockzoo sweep resume` starts it with again.
        prepared: records of what came before the trials, for the store.
    """

    only: str = "all"
    dry_run: bool = False
    progress: Progress = field(default_factory=SilentProgress)
    keep_weights: bool = False
    request: dict[str, Any] | None = None
    prepared: tuple[Record, ...] = ()


def run_trials(
    trials: list[TrialSpec], shape: tuple[int, int, int], run: Run, sweeping: Sweeping, call: Call
) -> SweepResult:
    """Run the trials whose outcome is not in the store yet, then time their networks side by side.

    Args:
        trials: of one dataset.
        shape: (C, H, W) of its images.
        run: where, and what becomes of them.
        sweeping: how they are run side by side.
        call: what this call does.

    Raises:
        UsageError, StoreError, KeyboardInterrupt: as `run_sweep`.
    """
    how: dict[str, Any] = {
        "make_executor": executor_of(sweeping),
        "device": run.device,
        "here": EXECUTORS["local"],
        "bodies": BODIES,
        "plugins": load_plugins(run.plugins),
        "data_dir": None if run.data_dir is None else str(run.data_dir),
    }
    if call.dry_run:
        return _rehearsed(trials, run, sweeping.workers, call, how)
    with at_work(run, sweeping, call.progress, call.request, keep_weights=call.keep_weights) as place:
        store, outputs = place.store, place.outputs
        store.add(*call.prepared)
        plan = plan_of(trials, store, sweeping.workers, run.device, call.only)
        queue = TrialQueue(
            plan=plan, store=store, outputs=outputs, progress=place.journal, watch=place.watch, **how
        )
        metadata = {"experiment_name": run.experiment_name, "notes": run.notes}
        try:
            place.journal.planned(plan, queue.estimate(latency=run.latency))
            queue.train(run.on_oom, metadata, keep_weights=call.keep_weights, strict=run.strict)
            if run.latency:
                queue.time(shape)
        finally:
            csv = export(outputs, store)
        return SweepResult(plan, rows_of(store, [t.fingerprint() for t in trials]), csv, outputs.database)


def _rehearsed(
    trials: list[TrialSpec],
    run: Run,
    workers: int | None,
    call: Call,
    how: dict[str, Any],
) -> SweepResult:
    """The plan and its estimate, which leave nothing behind."""
    outputs = Outputs.at(run.output)
    store = outputs.store(create=False) if outputs.database.is_file() else None
    plan = plan_of(trials, store, workers, how["device"], call.only)
    with TemporaryDirectory(prefix="blockzoo-plan-") as folder:
        queue = TrialQueue(plan=plan, store=store, outputs=Outputs.at(folder), progress=call.progress, **how)
        call.progress.planned(plan, queue.estimate(latency=run.latency))
    rows = [] if store is None else rows_of(store, [t.fingerprint() for t in trials])
    return SweepResult(plan, rows, outputs.csv, outputs.database)


def names_of(blocks: Sequence[str | type]) -> list[str | type]:
    """The blocks that are meant; "all" stands for those of the zoo."""
    return list(BLOCKS.names()) if list(blocks) == ["all"] else list(blocks)


def networks_of(
    blocks: Sequence[str | type], positions: str | Sequence[str], images: ImageData, scaffold: Scaffold
) -> list[NetworkSpec]:
    """Every block at every position, and the networks that have none.

    Raises:
        UsageError: an unknown name, or none.
    """
    for name, value in (("blocks", blocks), ("positions", positions)):
        if not isinstance(value, Iterable):
            raise UsageError(f"{name} cannot be {describe(value)}: give several, as in a list")
    names = names_of(blocks)
    where = [positions] if isinstance(positions, str) else list(positions)
    where = list(POSITIONS) if where == ["all"] else where
    if empty := [name for name, values in (("blocks", names), ("positions", where)) if not values]:
        raise UsageError(f"the grid is empty: give at least one of {' and of '.join(empty)}")
    subjects = [Subject.parse(name) for name in names]
    for subject in subjects:
        if subject.in_running_script:
            raise UsageError(
                f"{subject} is defined in the running script, which the workers cannot see: "
                "put it in a file of its own and name that with plugins=[...] or --plugin"
            )
    placed = [s.at(p) if s.is_block and not s.position else s for s in subjects for p in where]
    return list(dict.fromkeys(network_spec(str(subject), None, images, scaffold) for subject in placed))


def grid(
    networks: Sequence[NetworkSpec], seeds: Iterable[int], images: ImageData, recipe: Recipe, data: Data
) -> list[TrialSpec]:
    """All trials of a sweep, seed by seed, so that a sweep cut short holds whole comparisons."""
    return list(
        dict.fromkeys(
            trial_spec(network, images, recipe, data, seed) for seed in seeds for network in networks
        )
    )
