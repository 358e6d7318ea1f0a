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
import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from blockzoo.blockwise.run.config import COSTS, RunConfig, folder_name
from blockzoo.blockwise.run.identity import all_identified
from blockzoo.blockwise.run.reading import read_lines, read_parameters, run_status
from blockzoo.blockwise.run.reports import record_of
from blockzoo.core.documents import check_fields
from blockzoo.core.errors import RequestError
from blockzoo.core.files import write_text
from blockzoo.core.outputs import Outputs
from blockzoo.core.plugins import read_options
from blockzoo.core.record import FINAL, Record
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.execution.jobs import Job
from blockzoo.execution.queue import collect, only_writer
from blockzoo.report.statistics import FRACTION, Estimate, estimate

log = logging.getLogger(__name__)
Setting = tuple[tuple[str, Any], ...]

LOSSES = (0.0, math.inf)
"""What a loss can be."""
MOST_RUNS = 100_000
OVER = ("finished", "diverged")
"""Statuses of runs that are not run again."""


@dataclass(frozen=True)
class Study:
    """What is compared.

    Args:
        base: fields of `RunConfig` and `Options` that all runs share.
        vary: for some fields, the values to combine.
        tune: of these, the ones that each combination of the others chooses for itself.
        seeds: how many.
    """

    base: dict[str, Any]
    vary: dict[str, list[Any]]
    tune: list[str]
    seeds: int

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
            RequestError: a field that there is not, or a value that cannot be used.
        """
        values = {**self.base, **dict(setting), "seed": seed}
        known = {f.name for f in fields(RunConfig)}
        own = {k: v for k, v in values.items() if k in known}
        return RunConfig.from_json({**own, "options": {k: v for k, v in values.items() if k not in known}})


def read_study(path: Path) -> Study:
    """A study from its file.

    Raises:
        RequestError: it cannot be read, or says something that a study has not.
    """
    found = read_options(path)
    check_fields(get_type_hints(Study), {k: v for k, v in found.items() if v is not None}, str(path))
    study = Study(
        found.get("base") or {}, found.get("vary") or {}, found.get("tune") or [], found.get("seeds", 1)
    )
    wrong = [name for name in study.tune if name not in study.vary]
    if wrong or not all(study.vary.values()) or study.seeds < 1:
        raise RequestError(
            f"{path}: vary gives a list of values to each option, tune names some of these, seeds is 1 or more"
        )
    if math.prod(map(len, study.vary.values())) * study.seeds > MOST_RUNS:
        raise RequestError(f"{path}: that is a study of more than {MOST_RUNS:,} runs")
    try:
        for setting in study.settings():
            study.config(setting, 0)
    except (TypeError, RequestError) as error:
        raise RequestError(f"{path}: {error}") from None
    return study


def run_study(
    study: Study,
    output: Path,
    *,
    data_dir: str | None = None,
    device: str = "cpu",
    workers: int = 1,
    devices: Sequence[str] = (),
    executor: str = "local",
    plugins: Sequence[str] = (),
    tracker: Path | None = None,
    on_end: Callable[[int, int], None] = lambda done, all_: None,
) -> list[StudyRun]:
    """Run what is not finished yet, each run in its own folder and process, and read all of it.

    `tracker`, by default `progress_tracker.json` in the output folder, says what is done, running or failed, at every moment.

    Raises:
        StoreError: the results folder cannot be written, or another study or sweep is writing to it.
    """
    outputs = Outputs.at(output)
    runs = [(setting, seed) for seed in range(study.seeds) for setting in study.settings()]
    asked = [study.config(*run) for run in runs]
    asked = [replace(config, data_dir=data_dir or config.data_dir, device=device) for config in asked]
    wanted = [(*run, config) for run, config in zip(runs, all_identified(asked), strict=True)]
    with only_writer(outputs):
        store = outputs.store()
        collect(outputs, store)
        stored = {name for name, status in store.statuses("blockwise").items() if status in FINAL}
        jobs = []
        for _, _, config in wanted:
            folder = output / "blockwise" / folder_name(config)
            state = run_status(folder)
            if state is None or state["status"] not in OVER:
                stub = Record("blockwise", config.fingerprint(), config.model, config.to_json())
                arguments = {"config": config.to_json(), "output": str(output), "plugins": list(plugins)}
                jobs.append(Job(execute_run, arguments, stub, resumes=True))
            elif config.fingerprint() not in stored:  # killed after the run's last word, before its record's
                store.add(_record(config, folder, state))
        tracked = _Tracker(tracker or output / "progress_tracker.json", len(wanted) - len(jobs), jobs)
        ended = EXECUTORS[executor](
            outputs.spool, workers=workers, threads=study.threads, devices=devices, listener=tracked
        )
        failed: dict[str, dict[str, Any]] = {}
        for record in ended.run(jobs):
            store.add(record)
            tracked.ended(record)
            if record.status not in FINAL:
                failed[record.fingerprint] = {"status": record.status, "reason": record.reason}
                log.warning("%s: %s", record.status, record.reason)
            on_end(tracked.done, len(wanted))
    return [
        _read(setting, seed, output / "blockwise" / folder_name(config), failed.get(config.fingerprint()))
        for setting, seed, config in wanted
    ]


def execute_run(
    config: dict[str, Any], output: str, plugins: list[str], report: Callable[[int, dict[str, float]], None]
) -> list[Record]:
    """The body of a job: one run, gone on with where it was killed."""
    from blockzoo.blockwise.run.runs import run_blockwise
    from blockzoo.core.plugins import load_plugins

    load_plugins(plugins, ambient=False)
    asked = RunConfig.from_json(config)

    def progressed(values: dict[str, Any]) -> None:
        report(values["round"], {"validation_loss": values["validation_loss"]})

    found = run_blockwise(asked, output, resume=True, store=False, on_report=progressed)
    return [found.record(asked)]


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


def compare(study: Study, outcomes: Sequence[StudyRun]) -> list[Line]:
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


def _line(study: Study, setting: Setting, runs: Sequence[StudyRun]) -> Line:
    """One setting, tuned values included, over its seeds."""
    counting = [run for run in runs if not run.fault]
    losses = [run.curves["validation_loss"][-1] for run in counting]
    accuracies = [
        run.curves["validation_accuracy"][-1] for run in counting if "validation_accuracy" in run.curves
    ]
    spent = {cost: [run.curves[f"{cost}_total"][-1] for run in counting] for cost in COSTS}
    return Line(
        setting=tuple((name, value) for name, value in setting if name not in study.tune),
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
    found = []
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
        found.append((cost, float(amount[0]), losses))
    return found


class _Tracker:
    """Keeps progress_tracker.json."""

    def __init__(self, path: Path, done: int, jobs: Sequence[Job]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self.done = path, done
        self._states: dict[str, Any] = {job.stub.fingerprint: {"status": "waiting"} for job in jobs}
        self._write()

    def started(self, job: Job) -> None:
        self._states[job.stub.fingerprint] = {"status": "running"}
        self._write()

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None:
        self._states[job.stub.fingerprint] = {"status": "running", "round": step, **values}
        self._write()

    def ended(self, record: Record) -> None:
        """One run is over."""
        self.done += record.status in FINAL
        self._states[record.fingerprint] = {"status": record.status, "reason": record.reason}
        self._write()

    def _write(self) -> None:
        write_text(self._path, json.dumps({"done": self.done, "runs": self._states}, indent=1) + "\n")


def _record(config: RunConfig, folder: Path, state: dict[str, Any]) -> Record:
    """The record of a run that is over, from its folder."""
    _, environment = read_parameters(folder)
    found, checked = read_lines(folder / "progress.jsonl"), state.get("checked", {})
    return record_of(config, state["status"], state["reason"], found, folder, environment, checked)


def _read(setting: Setting, seed: int, folder: Path, failed: dict[str, Any] | None) -> StudyRun:
    state = failed or run_status(folder) or {"status": "missing", "reason": ""}
    lines = read_lines(folder / "progress.jsonl")
    numbers = [k for k, v in lines[0].items() if v is None or isinstance(v, (int, float))] if lines else []
    curves = {k: [float("nan") if line.get(k) is None else line[k] for line in lines] for k in numbers}
    return StudyRun(setting, seed, state["status"], curves, state["reason"], folder)


def rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The comparison as plain rows."""
    found = []
    for line in lines:
        row: dict[str, Any] = {**dict(line.setting), **dict(line.tuned)}
        for name in ("validation_loss", "validation_accuracy"):
            value = getattr(line, name)
            if value is not None:
                row |= {f"{name}_mean": value.mean, f"{name}_half_width": value.half_width}
        counts = {"n": len(line.runs), "not_finished": line.not_finished}
        found.append({**row, **counts, **line.costs, "reason": line.reason})
    return found
