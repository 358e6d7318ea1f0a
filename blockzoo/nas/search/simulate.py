"""Run algorithms on a task, many seeds each, and compare what they found for what they spent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from blockzoo.core.contracts import RESULTS
from blockzoo.core.errors import BlockzooError, UsageError, reason_of
from blockzoo.core.progress import followed
from blockzoo.core.result import Result
from blockzoo.core.units import exact
from blockzoo.nas.benchmark.surrogate import numbers_of
from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.options import Contest
from blockzoo.nas.search.task import BudgetSpent, Ledger, Task
from blockzoo.nas.space.macro import Indices
from blockzoo.report.estimates import LEAST_SEEDS

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

log = logging.getLogger(__name__)
Values = npt.NDArray[np.float64]
Said = TypeVar("Said")
SHARES = {"regret_at_10_percent": 0.1, "regret_at_50_percent": 0.5}
"""Of the budget, at which tables say the regret beside that at its end, by column."""
PATIENCE = 10_000
"""Answers in a row that cost nothing before a search counts as over: it walks in a circle."""


def search(task: Task, algorithm: str, seed: int = 0, **options: object) -> Ledger:
    """Run one algorithm until the budget is spent, or its `ask` raises StopIteration; the ledger holds all it asked.

    Raises:
        UnknownNameError: no such algorithm.
        UsageError: no network to draw, the algorithm asks for one it lacks or fails, or the budget buys nothing.
    """
    if not len(task.known):
        raise UsageError(
            f"{task.dataset.title or 'the benchmark'} has no network with all numbers for seed {task.seed}"
        )
    proposer = _said(algorithm, SEARCHES[algorithm], task, seed, **options)
    ledger = Ledger(task)
    ask, tell, query = proposer.ask, proposer.tell, ledger.query
    stale, spent = 0, 0.0
    try:
        while stale < PATIENCE:
            try:
                proposal = _said(algorithm, ask)
            except NothingLeft:
                ledger.ran_out = True
                break
            _said(algorithm, tell, proposal, query(proposal))
            stale = stale + 1 if ledger.spent == spent else 0
            spent = ledger.spent
    except BudgetSpent:
        pass
    if not ledger.history:
        raise UsageError(nothing_bought(task, algorithm))
    return ledger


class NothingLeft(UsageError):
    """Code of an algorithm raised StopIteration: in `ask` that is the end of the search."""


def _said(algorithm: str, own: Callable[..., Said], *arguments: Any, **options: object) -> Said:
    """What code of an algorithm says.

    Raises:
        NothingLeft: it has nothing left to say.
        UsageError: it failed; names the algorithm.
    """
    try:
        return own(*arguments, **options)
    except BlockzooError:
        raise
    except Exception as error:
        where = f"search algorithm {algorithm}, {getattr(own, '__name__', own)}"
        kind = NothingLeft if isinstance(error, StopIteration) else UsageError
        raise kind(f"{where}: {reason_of(error)}; --debug shows the line") from error


def nothing_bought(task: Task, algorithm: str = "the search") -> str:
    """What is wrong with a budget that is less than the first training."""
    prices = np.asarray(task.prices)[task.known]
    return (
        f"budget {task.budget:g} {task.unit}: the first training of {algorithm} costs more, so nothing is found; one "
        f"training of all epochs costs {prices.min():g} to {prices.max():g} {task.unit}"
    )


def regret(ledger: Ledger, at: Values) -> Values:
    """(len(at),): best test accuracy of the benchmark minus that of the incumbent, once so much was spent.

    The incumbent is the network with the best validation accuracy among those trained for all epochs, or among all where
    none was yet. Before the first answer the regret is that of the worst network.
    """
    task = ledger.task
    trace = trace_of(ledger)
    place = np.searchsorted(trace.spent, at, side="right") - 1
    worst = task.best_test - float(task.test[task.known].min())
    return np.where(place < 0, worst, trace.regret[np.maximum(place, 0)])


@dataclass(frozen=True)
class Trace:
    """What one search asked for, answer by answer; without those that cost nothing, for it had them already.

    Args:
        spent: (answers,) of the budget so far.
        index: (answers,) networks.
        epochs: (answers,) that were asked for.
        accuracy: (answers,) of validation, as the algorithm was told, in per cent.
        incumbent: (answers,) the network that would be chosen then.
        regret: (answers,) of the incumbent, in points of test accuracy; the algorithm does not see it.
    """

    spent: Values
    index: Indices
    epochs: Indices
    accuracy: Values
    incumbent: Indices
    regret: Values


def trace_of(ledger: Ledger) -> Trace:
    """The answers of a ledger, with the incumbent after each, see `regret`.

    Raises:
        UsageError: there is none.
    """
    task = ledger.task
    if not ledger.history:
        raise UsageError(nothing_bought(task))
    spent, index, value, full = (np.array(column) for column in zip(*ledger.history, strict=True))
    ranked = np.where(full, value, value - 1000)
    best = np.maximum.accumulate(ranked)
    incumbent = index[np.maximum.accumulate(np.where(ranked == best, np.arange(len(ranked)), 0))]
    is_recorded = (np.diff(spent, prepend=0.0) > 0) | (np.diff(incumbent, prepend=-1) != 0)
    columns = (spent, index, np.array(ledger.epochs), value, incumbent, task.best_test - task.test[incumbent])
    return Trace(*(column[is_recorded] for column in columns))


@RESULTS.register("comparison of searches")
@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Regret curves of several algorithms over the same seeds and budgets."""

    at: Values
    curves: dict[str, Values]
    """By algorithm: (seeds, budgets)."""
    unit: str
    label: str
    numbers: str = ""
    """What the accuracies are: trained, or predicted."""
    traces: dict[str, list[Trace]] = field(default_factory=dict)
    """By algorithm: one a seed."""

    @property
    def budget(self) -> float:
        """What each search could spend."""
        return float(self.at[-1])

    @property
    def heading(self) -> str:
        """Of tables and pictures: what was simulated, on which numbers."""
        return f"simulated searches on {self.label}: {self.numbers}" if self.numbers else self.label

    def interval(self, algorithm: str, draws: int = 1000, seed: int = 0) -> tuple[Values, Values, Values]:
        """Mean regret at each budget, and its 95 % bootstrap interval over seeds: NaN for fewer seeds than one needs."""
        curves = self.curves[algorithm]
        if len(curves) < LEAST_SEEDS:
            nothing = np.full(curves.shape[1], np.nan)
            return curves.mean(0), nothing, nothing
        rng = np.random.default_rng(seed)
        means = np.stack([curves[rng.integers(0, len(curves), len(curves))].mean(0) for _ in range(draws)])
        low, high = np.quantile(means, [0.025, 0.975], axis=0)
        return curves.mean(0), low, high

    def rows(self) -> list[dict[str, Any]]:
        """One row per algorithm: regret at a tenth, at half (None before the first training) and at all of the budget, the last
        with its interval."""
        rows = []
        for name in self.curves:
            mean, low, high = self.interval(name)
            rows.append(
                {
                    "algorithm": name,
                    **{column: self._at_share(mean, share) for column, share in SHARES.items()},
                    "regret": mean[-1],
                    "regret_low": None if np.isnan(low[-1]) else low[-1],
                    "regret_high": None if np.isnan(high[-1]) else high[-1],
                    "n": len(self.curves[name]),
                }
            )
        return sorted(rows, key=lambda row: row["regret"])

    def _at_share(self, curve: Values, share: float) -> float | None:
        """What a curve says at a share of the budget; None where it begins later: no training is done by then."""
        before = np.searchsorted(self.at, self.budget * share * (1 + 1e-9), side="right")
        return float(curve[before - 1]) if before else None

    def headline(self) -> str:
        best, *others = self.rows()
        n, spent = best["n"], f"{self.at[-1]:g} {self.unit}"
        first = (
            f"{best['algorithm']} has the least mean regret, {best['regret']:.2f} points"
            if others
            else (f"{best['algorithm']}: regret {best['regret']:.2f} points")
        )
        return f"{len(self.curves)} algorithms on {self.label}, {n} seeds: after {spent} {first}"

    def table_rows(self) -> list[dict[str, Any]]:
        return self.rows()

    def figure(self) -> Figure:
        """Regret over the budget."""
        from blockzoo.nas.figures import regret_curves

        return regret_curves(self)


def compare(
    task: Task,
    algorithms: Sequence[str] = ("all",),
    seeds: int = Contest.seeds,
    workers: int | None = None,
    points: int = 100,
) -> Comparison:
    """Run every algorithm with every seed.

    Args:
        task: the benchmark, and the budget that each run has.
        algorithms: names, or "all".
        seeds: how many of each.
        workers: processes; by default one per core where forking is possible.
        points: budgets at which regret is read, beside those of `SHARES`.
    """
    names = selected(algorithms)
    if not names or seeds < 1:
        raise UsageError("nothing to compare: give at least one algorithm and one seed")
    first = max(task.budget / 1000, min(1.0, task.budget))
    shares = [share * task.budget for share in SHARES.values() if share * task.budget > first]
    at = np.union1d(np.geomspace(first, task.budget, points), shares)
    jobs = [(name, seed) for name in names for seed in range(seeds)]
    _ = task.prices, task.test, task.best_test, task.accuracies(), task.known, task.is_complete
    outcomes = _parallel([(task, name, seed, at) for name, seed in jobs], workers)
    of = {name: [o for (n, _), o in zip(jobs, outcomes, strict=True) if n == name] for name in names}
    curves = {name: np.stack([curve for curve, _, _ in of[name]]) for name in names}
    traces = {name: [trace for _, trace, _ in of[name]] for name in names}
    for name in names:
        if ended := [trace.spent[-1] for _, trace, ran_out in of[name] if ran_out]:
            log.warning(
                "%s had no network left to ask for in %d of %d searches, the first after %s of %s %s",
                name, len(ended), seeds, exact(min(ended)), exact(task.budget), task.unit,
            )  # fmt: skip
    return Comparison(at, curves, task.unit, task.dataset.title, numbers_of(task.dataset), traces)


def selected(algorithms: Sequence[str]) -> list[str]:
    """The names of algorithms; "all" stands for all but adapters to other libraries.

    Raises:
        UnknownNameError: no such algorithm.
    """
    if list(algorithms) == ["all"]:
        return [name for name in SEARCHES.names() if getattr(SEARCHES[name], "in_all", True)]
    return [SEARCHES.canonical(name) for name in algorithms]


def _one(job: tuple[Task, str, int, Values]) -> Outcome:
    task, name, seed, at = job
    ledger = search(task, name, seed)
    return regret(ledger, at), trace_of(ledger), ledger.ran_out


Outcome: TypeAlias = tuple[Values, Trace, bool]
"""Of one search: its regrets, its answers, whether it had nothing left to ask."""
_JOBS: list[Any] = []


def _by_place(place: int) -> Outcome:
    return _one(_JOBS[place])


def _parallel(jobs: list[Any], workers: int | None) -> list[Outcome]:
    """Results in order, on several processes that share the task's tables by forking."""
    import multiprocessing
    import os
    import sys

    workers = workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    if workers < 2 or len(jobs) < 2 * workers or "torch" in sys.modules:
        return [_one(job) for job in followed(jobs, "searching", len(jobs), "searches")]
    _JOBS[:] = jobs
    try:
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            chunk = max(1, len(jobs) // (8 * workers))
            outcomes = pool.imap(_by_place, range(len(jobs)), chunksize=chunk)
            return list(followed(outcomes, "searching", len(jobs), "searches"))
    finally:
        _JOBS.clear()
