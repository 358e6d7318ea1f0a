"""Several block-wise runs compared at equal cost: every combination of some options, several seeds, resumable.

A study file (YAML or TOML) says what all runs share, what varies, and which option each kind of run may choose for itself:

    base: {model: cnn, config: [16, 16, 32], dataset: cifar10, rounds: 1000, k: 10, budget: "gradient_evaluations:3000"}
    vary: {training_mode: [jacobi, gauss-seidel, entire], step_size: [0.03, 0.1, 0.3]}
    tune: [step_size]
    seeds: 3

The tuned option is the one with the best mean validation loss at the end, for each combination of the others.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.blockwise.run.config import COSTS, RunConfig, folder_name
from blockzoo.blockwise.run.identity import all_identified
from blockzoo.blockwise.run.reading import read_lines, read_parameters, run_status
from blockzoo.blockwise.run.reports import record_of
from blockzoo.core.checked import sorted_into
from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.core.plugins import load_plugins
from blockzoo.core.record import FINAL, Record
from blockzoo.core.settings import Run, Sweeping
from blockzoo.core.store import Store
from blockzoo.execution.jobs import Job
from blockzoo.execution.progress import Progress, SilentProgress
from blockzoo.execution.queue import Plan, Queue, cores, worker_count
from blockzoo.report.estimates import FRACTION, Estimate, estimate
from blockzoo.trials.study import StudyKeywords
from blockzoo.trials.training import available_device
from blockzoo.trials.workplace import at_work, executor_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger(__name__)
Setting = tuple[tuple[str, Any], ...]

LOSSES = (0.0, math.inf)
"""What a loss can be."""
MOST_RUNS = 100_000
OVER = ("finished", "diverged")
"""Statuses of runs that are not run again."""


@dataclass(frozen=True)
class BlockwiseStudy:
    """What is compared: every combination of some values of some fields.

    Args:
        base: fields of `RunConfig` and `Options` that all runs share.
        vary: for some fields, the values to combine.
        tune: of these, the ones that each combination of the others chooses for itself.
        seeds: how many.

    Raises:
        UsageError: a field that there is not, a value that cannot be used, or too many runs.
    """

    base: dict[str, Any] = field(default_factory=dict)
    vary: dict[str, list[Any]] = field(default_factory=dict)
    tune: list[str] = field(default_factory=list)
    seeds: int = 1

    def __post_init__(self) -> None:
        wrong = [name for name in self.tune if name not in self.vary]
        if wrong or not all(self.vary.values()) or self.seeds < 1:
            raise UsageError(
                "vary gives a list of values to each option, tune names some of these, seeds is 1 or more"
            )
        if math.prod(map(len, self.vary.values())) * self.seeds > MOST_RUNS:
            raise UsageError(f"that is a study of more than {MOST_RUNS:,} runs")
        for setting in self.settings():
            self.config(setting, 0)

    @property
    def threads(self) -> int:
        """Processor threads of a run, at most."""
        return max(self.config(setting, 0).threads for setting in self.settings())

    def settings(self) -> list[Setting]:
        """Every combination of what varies."""
        return [
            tuple(zip(self.vary, values, strict=True)) for values in itertools.product(*self.vary.values())
        ]

    def config(self, setting: Setting, seed: int) -> RunConfig:
        """One run.

        Raises:
            UsageError: a field that there is not, or a value that cannot be used.
        """
        values = {**self.base, **dict(setting), "seed": seed}
        names = {f.name for f in fields(RunConfig)}
        own = {k: v for k, v in values.items() if k in names}
        try:
            return RunConfig.from_json(
                {**own, "options": {k: v for k, v in values.items() if k not in names}}
            )
        except TypeError as error:
            raise UsageError(str(error)) from None


def run_blockwise_study(
    study: BlockwiseStudy, *, progress: Progress | None = None, **settings: Unpack[StudyKeywords]
) -> list[StudyRun]:
    """Run what is not finished yet, each run in its own folder and process, and read all of it.

    Args:
        study: the settings that are compared, and with how many seeds.
        progress: told what happens; `blockzoo sweep status` tells it to others.
        settings: of the tables Run and Sweeping in docs/settings.md.

    Raises:
        StoreError: the results folder cannot be written, or another study or sweep is writing to it.
        KeyboardInterrupt: Ctrl-C, SIGTERM or `blockzoo sweep cancel`; what has finished is stored.
    """
    run, sweeping = sorted_into(settings, Run, Sweeping, what="run_blockwise_study")
    place, data_dir = available_device(run.device), None if run.data_dir is None else str(run.data_dir)
    wanted = [(setting, seed) for seed in range(study.seeds) for setting in study.settings()]
    runs = [study.config(*one) for one in wanted]
    runs = [replace(config, data_dir=data_dir or config.data_dir, device=place) for config in runs]
    configs, executor = all_identified(runs), executor_of(sweeping)
    failed: dict[str, dict[str, Any]] = {}
    with at_work(run, sweeping, progress or SilentProgress(), kind="blockwise") as here:
        outputs, store = here.outputs, here.store
        pending = [config for config in configs if not _is_over(config, outputs, store)]
        usual = worker_count(place, threads=study.threads)
        workers = max(1, min(sweeping.workers or usual, len(pending) or 1))
        plan = Plan(configs, pending, workers, study.threads, cores())
        here.journal.planned(plan, None)
        queue = Queue(plan, store, outputs, executor, place, here.journal, here.watch)
        for record in queue.run([_job(config, outputs, run.plugins) for config in pending]):
            if record.status not in FINAL:
                failed[record.fingerprint] = {"status": record.status, "reason": record.reason}
    return [
        _read(setting, seed, _folder(config, outputs), failed.get(config.fingerprint()))
        for (setting, seed), config in zip(wanted, configs, strict=True)
    ]


def _folder(config: RunConfig, outputs: Outputs) -> Path:
    return outputs.folder / "blockwise" / folder_name(config)


def _is_over(config: RunConfig, outputs: Outputs, store: Store) -> bool:
    """Has this run ended in its folder? One that was killed after its last word, before its record's, gets that one now."""
    state = run_status(_folder(config, outputs))
    if state is None or state["status"] not in OVER:
        return False
    if store.status(config.fingerprint(), "blockwise") not in FINAL:
        store.add(_record(config, _folder(config, outputs), state))
    return True


def _job(config: RunConfig, outputs: Outputs, plugins: Sequence[str]) -> Job:
    stub = Record("blockwise", config.fingerprint(), config.model, config.to_json())
    arguments = {"config": config.to_json(), "output": str(outputs.folder), "plugins": load_plugins(plugins)}
    return Job(execute_run, arguments, stub)


def execute_run(
    config: dict[str, Any], output: str, plugins: list[str], report: Callable[[int, dict[str, float]], None]
) -> list[Record]:
    """The body of a job: one run, gone on with where it was killed."""
    from blockzoo.blockwise.run.runs import run_blockwise

    load_plugins(plugins, ambient=False)
    run_config = RunConfig.from_json(config)

    def progressed(values: dict[str, Any]) -> None:
        report(values["round"], {"validation_loss": values["validation_loss"]})

    outcome = run_blockwise(run_config, output, resume=True, store=False, on_report=progressed)
    return [outcome.record(run_config)]


@dataclass(frozen=True)
class StudyRun:
    """One run of a study: its setting, and its reports as columns."""

    setting: Setting
    seed: int
    status: str
    curves: dict[str, list[float]]
    reason: str = ""
    folder: Path = Path()

    @property
    def fault(self) -> str:
        """Why it does not count; nothing where it does."""
        if self.status != "finished":
            return f"{self.status}: {self.reason}" if self.reason else self.status
        losses = self.curves.get("validation_loss")
        if not losses:
            return "finished without a report"
        return "" if math.isfinite(losses[-1]) else "its last validation loss is not finite"


@dataclass(frozen=True)
class Line:
    """One setting over its seeds: what it reached, with intervals, at the end of the budget.

    Where no run counts there is no loss and no cost; `reason` says of every run that does not count why.
    """

    setting: Setting
    tuned: Setting
    validation_loss: Estimate | None
    validation_accuracy: Estimate | None
    costs: dict[str, float]
    not_finished: int
    runs: list[StudyRun]
    reason: str = ""


def compare(study: BlockwiseStudy, outcomes: Sequence[StudyRun]) -> list[Line]:
    """One line per setting that is not tuned, the best first; runs that do not count are the worst possible."""
    runs_of: dict[Setting, list[StudyRun]] = {}
    for outcome in outcomes:
        runs_of.setdefault(outcome.setting, []).append(outcome)
    best: dict[Setting, Line] = {}
    for setting, runs in runs_of.items():
        line = _line(study, setting, runs)
        if line.setting not in best or _rank(line) < _rank(best[line.setting]):
            best[line.setting] = line
    return sorted(best.values(), key=_rank)


def _line(study: BlockwiseStudy, setting: Setting, runs: Sequence[StudyRun]) -> Line:
    """One setting, tuned values included, over its seeds."""
    counting = [run for run in runs if not run.fault]
    losses = [run.curves["validation_loss"][-1] for run in counting]
    accuracies = [
        run.curves["validation_accuracy"][-1] for run in counting if "validation_accuracy" in run.curves
    ]
    spent = {cost: [run.curves[f"{cost}_total"][-1] for run in counting] for cost in COSTS}
    return Line(
        setting=tuple(
            (name, value) for name, value in setting if name in study.vary and name not in study.tune
        ),
        tuned=tuple((name, value) for name, value in setting if name in study.tune),
        validation_loss=estimate(losses, LOSSES) if losses else None,
        validation_accuracy=estimate(accuracies, FRACTION) if accuracies else None,
        costs={cost: float(np.mean(amounts)) for cost, amounts in spent.items() if amounts},
        not_finished=len(runs) - len(counting),
        runs=counting,
        reason="; ".join(f"seed {run.seed}: {run.fault}" for run in runs if run.fault),
    )


def _rank(line: Line) -> tuple[int, float]:
    return line.not_finished, line.validation_loss.mean if line.validation_loss else math.inf


def at_cost(run: StudyRun, cost: str, amounts: np.ndarray, quantity: str) -> np.ndarray:
    """A quantity of a run where its cost has come to these amounts, linear between reports; NaN outside."""
    spent = np.asarray(run.curves[f"{cost}_total"], float)
    return np.asarray(np.interp(amounts, spent, run.curves[quantity], left=np.nan, right=np.nan))


def at_equal_costs(lines: Sequence[Line]) -> list[tuple[str, float, list[Estimate | None]]]:
    """For each cost, the largest amount that all lines which spend any have spent, and the validation loss of each there."""
    comparisons = []
    for cost in COSTS:
        spent = {
            id(line): min((run.curves[f"{cost}_total"][-1] for run in line.runs), default=0.0)
            for line in lines
        }
        amounts = [amount for amount in spent.values() if amount > 0]
        if not amounts:
            continue
        amount = np.array([min(amounts)])
        losses: list[Estimate | None] = []
        for line in lines:
            values = [float(at_cost(run, cost, amount, "validation_loss")[0]) for run in line.runs]
            losses.append(
                estimate(values, LOSSES) if spent[id(line)] > 0 and all(v == v for v in values) else None
            )
        comparisons.append((cost, float(amount[0]), losses))
    return comparisons


def _record(config: RunConfig, folder: Path, state: dict[str, Any]) -> Record:
    """The record of a run that is over, from its folder."""
    _, environment = read_parameters(folder)
    progress, checked = read_lines(folder / "progress.jsonl"), state.get("checked", {})
    return record_of(config, state["status"], state["reason"], progress, folder, environment, checked)


def _read(setting: Setting, seed: int, folder: Path, failed: dict[str, Any] | None) -> StudyRun:
    state = failed or run_status(folder) or {"status": "missing", "reason": ""}
    lines = read_lines(folder / "progress.jsonl")
    numbers = [k for k, v in lines[0].items() if v is None or isinstance(v, (int, float))] if lines else []
    curves = {k: [float("nan") if line.get(k) is None else line[k] for line in lines] for k in numbers}
    return StudyRun(setting, seed, state["status"], curves, state["reason"], folder)


def rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The comparison as plain rows."""
    table = []
    for line in lines:
        row: dict[str, Any] = {**dict(line.setting), **dict(line.tuned)}
        for name in ("validation_loss", "validation_accuracy"):
            value = getattr(line, name)
            if value is not None:
                row |= {f"{name}_mean": value.mean, f"{name}_half_width": value.half_width}
        counts = {"n": len(line.runs), "not_finished": line.not_finished}
        table.append({**row, **counts, **line.costs, "reason": line.reason})
    return table
