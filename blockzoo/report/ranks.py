"""Which rank a block has, and how sure: rank intervals, probabilities of being best or Pareto-optimal, agreement of orders."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.core.quantity import quantities
from blockzoo.report.additive import Fitted, Table, fitted_to, positions_of, tables_of
from blockzoo.report.agreement import Agreement
from blockzoo.report.block_orders import between
from blockzoo.report.comparison import verdicts
from blockzoo.report.difference import Difference
from blockzoo.report.groups import Row, is_number
from blockzoo.report.trainings import Cell, diverged, remarks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

DRAWS = 4000


@dataclass(frozen=True)
class Ranked:
    """One block among those of its position.

    Args:
        block: which.
        position: where.
        mean: its accuracy.
        rank: by its mean, 1 the best.
        interval: ranks that it can have; all intervals of a group hold their true ranks together in 95 % of tables.
        best: probability that no other is more accurate.
        front: probability that none that costs no more is more accurate; None where a cost is missing.
        diverged: how many of its trainings did, in words; empty for none. Then its mean flatters: it is better than none,
            and has no probabilities.
    """

    block: str
    position: str
    mean: float
    rank: int
    interval: tuple[int, int]
    best: float | None
    front: float | None
    diverged: str = ""


@dataclass(frozen=True)
class Ranking:
    """All ranks of one comparable group.

    Args:
        group: what its rows have in common.
        column: the accuracy.
        cost: the column that the front is of.
        ranked: by position, the best first.
        table: of accuracies, at all positions.
    """

    group: tuple[tuple[str, object], ...]
    column: str
    cost: str
    ranked: list[Ranked]
    table: Table

    @cached_property
    def agreements(self) -> list[Agreement]:
        """Of the orders at each two positions that have four blocks in common."""
        pairs = itertools.combinations(positions_of(self.table), 2)
        agreements = [between((self.table, pair[0]), (self.table, pair[1]), pair) for pair in pairs]
        return [one for one in agreements if one is not None]


FRONTS = tuple(
    prefix + name
    for name, quantity in quantities().items()
    if quantity.better == "lower"
    for prefix in ("stage_", "")
)
"""Costs that accuracy can be set against: of the stage under test, and of the whole network."""


def rankings(rows: Iterable[Row], *, column: str = "test_acc", cost: str = "stage_macs") -> list[Ranking]:
    """One for each comparable group.

    A block's best rank is one more than the blocks that are better beyond doubt, its worst one is the number of blocks less those
    that are worse beyond doubt, by verdicts on all pairs after Holm's correction.

    Args:
        rows: of a table of results.
        column: the accuracy.
        cost: the column that the front is of.

    Raises:
        UsageError: no two blocks at one position are comparable; or the column is no cost.
    """
    if cost not in FRONTS:
        raise UsageError(f"front {cost}: choose {', '.join(FRONTS[:-1])} or {FRONTS[-1]}")
    rows = list(rows)
    judged = {comparison.group: comparison for comparison in verdicts(rows, column=column)}
    of_groups = []
    for group, table in tables_of(rows, column).items():
        if not any(difference for difference in judged[group].differences):
            continue
        intervals = rank_intervals(table, judged[group].differences)
        costs = _costs(table, cost)
        fitted, ranked = fitted_to(table), []
        seen, table = table, fitted.leveled(table)
        for position in positions_of(table):
            cells = sorted(
                (cell for cell in table if cell[1] == position), key=lambda cell: -mean_of(table, cell)
            )
            drawn = drawn_means(table, fitted, cells)
            best = None if drawn is None else (drawn == drawn.max(1, keepdims=True)).mean(0)
            values = [costs.get(cell) for cell in cells]
            there = drawn is not None and all(value is not None for value in values)
            front = on_front(drawn, np.array(values, float)).mean(0) if there and drawn is not None else None
            for place, cell in enumerate(cells):
                lost = diverged(table.of([cell]))
                chances = [None if of is None or lost else float(of[place]) for of in (best, front)]
                mean = mean_of(table, cell)
                place_and_ends = (
                    1 + sum(mean_of(table, other) > mean for other in cells[:place]),
                    intervals[cell],
                )
                ranked.append(Ranked(cell[0], position, mean, *place_and_ends, chances[0], chances[1], lost))
        of_groups.append(Ranking(group, column, cost, ranked, seen))
    if not of_groups:
        lost = "; ".join(
            filter(None, (remarks(table.trainings) for table in tables_of(rows, column).values()))
        )
        raise UsageError("no two blocks at one position are comparable here" + (f": {lost}" if lost else ""))
    return of_groups


def rank_intervals(cells: Iterable[Cell], differences: Iterable[Difference]) -> dict[Cell, tuple[int, int]]:
    """Of each cell, the best and the worst rank that it can have among those of its position.

    Args:
        cells: all of them.
        differences: of all their pairs, with verdicts after a correction for their number.
    """
    cells = list(cells)
    better, worse = Counter[Cell](), Counter[Cell]()
    for difference in differences:
        if difference.kind in ("better", "worse"):
            one = difference if difference.kind == "better" else difference.the_other_way()
            better[one.other, one.position] += 1
            worse[one.block, one.position] += 1
    counts = Counter(place for _, place in cells)
    return {cell: (1 + better[cell], counts[cell[1]] - worse[cell]) for cell in cells}


def mean_of(table: Table, cell: Cell) -> float:
    return float(np.mean(list(table[cell].values())))


def _costs(table: Table, cost: str) -> dict[Cell, float]:
    return {
        cell: float(value)
        for cell, of in table.trainings.items()
        for row in of.rows.values()
        if is_number(value := row.get(cost))
    }


def drawn_means(table: Table, fitted: Fitted, cells: list[Cell]) -> Float[np.ndarray, "draws cells"] | None:
    """Means as other trainings with the same seeds could have made them; None where the spread is not known.

    Seeds move all cells alike, so what is left of block, position and seed is what is drawn, its deviation too.
    """
    if not fitted.shared or not fitted.deviation:
        return None
    draw = np.random.default_rng(0)
    scale = fitted.deviation * np.sqrt(fitted.degrees / draw.chisquare(fitted.degrees, (DRAWS, 1)))
    means = np.array([mean_of(table, cell) for cell in cells])
    share = np.array([1 / math.sqrt(len(table[cell])) for cell in cells])
    return np.asarray(means + scale * share * draw.standard_normal((DRAWS, len(cells))))


def on_front(
    accuracies: Float[np.ndarray, "draws cells"], costs: Float[np.ndarray, " cells"]
) -> Bool[np.ndarray, "draws cells"]:
    """Is a cell beaten by none that costs no more (or as much, and is as accurate)?"""
    order = np.argsort(costs, kind="stable")
    ordered, cost = accuracies[:, order], costs[order]
    best = np.maximum.accumulate(ordered, axis=1)  # of what comes no later
    ends = np.searchsorted(cost, cost, side="right") - 1  # the last that costs as much
    starts = np.searchsorted(cost, cost, side="left")
    cheaper = np.where(starts > 0, best[:, np.maximum(starts - 1, 0)], -np.inf)
    on = np.empty(accuracies.shape, bool)
    on[:, order] = (ordered >= best[:, ends]) & (ordered > cheaper)
    return on
