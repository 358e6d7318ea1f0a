"""Blockwise search: score every cell at every stage by itself, then take the best sum within a budget.

Scores come from networks that differ from one reference in one stage. The best sum is exact: by enumeration of the space, or
for spaces too large for that by an integer programme.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import UsageError
from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.search.moves import Moves
from blockzoo.nas.search.task import Query, Task

Table = npt.NDArray[np.float64]
ENUMERATED = 10_000_000


@SEARCHES.register("blockwise")
class BlockwiseSearch:
    """Trains one variant per cell and stage of a random reference network, then networks in order of their summed scores.

    Source: Chau et al., BLOX: Macro Neural Architecture Search Benchmark and Algorithms, NeurIPS 2022, arXiv:2210.07271.

    Variants that the dataset lacks score the mean of their stage.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self._space, self._known = task.space, task.known
        reference = Moves(task, seed).draw()
        cells = len(self._space.cells)
        digits = self._space.digits(reference).tolist()
        variants = [
            (s, c, reference + (c - digits[s]) * cells**s)
            for s in range(self._space.stages)
            for c in range(cells)
        ]
        have = set(self._known.tolist())
        self._waiting = [v for v in variants if v[2] in have]
        np.random.default_rng(seed).shuffle(self._waiting)
        self._scores = np.full((self._space.stages, cells), np.nan)
        self._ranked: list[int] | None = None
        self._asked: set[int] = set()

    def ask(self) -> Query:
        if self._waiting:
            return Query(self._waiting[-1][2])
        if self._ranked is None:
            filled = self._filled()
            digits = self._space.digits(self._known)
            total = sum(filled[s][digits[:, s]] for s in range(self._space.stages))
            order = self._known[np.argsort(np.asarray(total), kind="stable")]
            self._ranked = [i for i in order.tolist() if i not in self._asked] or order.tolist()
        return Query(self._ranked.pop() if len(self._ranked) > 1 else self._ranked[0])

    def _filled(self) -> Table:
        """The scores, the mean of the stage where a variant was not trained, that of all where none of the stage was."""
        trained = ~np.isnan(self._scores)
        total = np.where(trained, self._scores, 0)
        overall = total.sum() / max(int(trained.sum()), 1)
        count = trained.sum(axis=1, keepdims=True)
        means = np.where(count > 0, total.sum(axis=1, keepdims=True) / np.maximum(count, 1), overall)
        return np.where(trained, self._scores, means)

    def tell(self, query: Query, value: float) -> None:
        self._asked.add(query.index)
        while self._waiting and self._waiting[-1][2] == query.index:
            stage, cell, _ = self._waiting.pop()
            self._scores[stage, cell] = value


def best_by_scores(
    scores: Sequence[Table], costs: Sequence[Table] | None = None, budget: float | None = None
) -> list[int]:
    """One option per stage with the greatest sum of scores whose costs add up to no more than `budget`. Exact.

    Args:
        scores: per stage, a score of each option.
        costs: per stage, a cost of each option.
        budget: what the costs may add up to, at most; without it, or without costs, there is no limit.

    Raises:
        UsageError: no combination is within the budget.
    """
    sizes = [len(stage) for stage in scores]
    limited = costs is not None and budget is not None
    if limited and sum(float(np.min(stage)) for stage in costs or ()) > (budget or 0):
        cheapest = sum(float(np.min(stage)) for stage in costs or ())
        raise UsageError(f"budget {budget:g}: the cheapest combination costs {cheapest:g}")
    if np.prod([float(n) for n in sizes]) > ENUMERATED:
        return _by_programme(scores, costs if limited else None, budget)
    total, cost = np.zeros(1), np.zeros(1)
    for stage, values in enumerate(scores):
        total = (np.asarray(values)[:, None] + total).ravel()
        if limited and costs is not None:
            cost = (np.asarray(costs[stage])[:, None] + cost).ravel()
    if limited:
        total = np.where(cost <= (budget or 0), total, -np.inf)
    place, chosen = int(np.argmax(total)), []
    for n in sizes:
        place, digit = divmod(place, n)
        chosen.append(digit)
    return chosen


def _by_programme(scores: Sequence[Table], costs: Sequence[Table] | None, budget: float | None) -> list[int]:
    """The same as a 0-1 programme: exactly one option per stage."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import block_diag

    weights = np.concatenate([np.asarray(stage, float) for stage in scores])
    one_each = block_diag([np.ones((1, len(stage))) for stage in scores])
    limits = [LinearConstraint(one_each, 1, 1)]
    if costs is not None:
        limits.append(
            LinearConstraint(np.concatenate([np.asarray(c, float) for c in costs])[None], -np.inf, budget)
        )
    solved = milp(-weights, integrality=np.ones(len(weights)), bounds=Bounds(0, 1), constraints=limits)
    if solved.x is None:
        raise UsageError(f"budget {budget}: {solved.message}")
    ends = np.cumsum([len(stage) for stage in scores])
    return [int(np.argmax(part)) for part in np.split(solved.x, ends[:-1])]
