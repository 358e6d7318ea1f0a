"""Is one block better than another? Differences of paired seeds, with the variance of the whole table, and a verdict in words."""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.core.outcomes import Outcomes
from blockzoo.report.accuracies import left_out
from blockzoo.report.additive import (
    LEVEL,
    ROUNDED,
    Cell,
    Fitted,
    Table,
    fitted_to,
    positions_of,
    tables_of,
)
from blockzoo.report.groups import Row, group_of, name_of
from blockzoo.report.images import OverImages, over_images
from blockzoo.report.statistics import usable

Kind = Literal["better", "worse", "equal", "unresolved"]
POWER = 0.8
MARGIN = 0.005
"""Differences of an accuracy that nobody acts on: half a point."""
ENOUGH_SIGNS, MOST_SIGNS = 6, 20
"""Seeds of whose signs something follows, and of which all signs are tried."""
NOTHING = {0: "no seed in common", 1: "one seed says nothing"}
MOST_SEEDS = 1000
"""Beyond which nobody trains to know."""


@dataclass(frozen=True)
class Difference:
    """How much better a block is than another at one position, in the same seeds.

    Args:
        block: whose accuracy the other's is taken from.
        other: the block that it is compared with.
        position: of both; "" for the mean over positions.
        means: of the two, over the seeds that both have; over those of each, where there are none.
        seeds: the difference in each seed that both have.
        error: standard error of the difference.
        degrees: degrees of freedom of that error.
        cells: of the table that share the variance; 0 where it is this difference's own.
        p: probability of a difference so large between equal blocks; after Holm's correction where there are several.
        margin: what counts as equal.
        level: of the interval and of what is detectable; after Holm's correction smaller.
        images: what single test images say, where their outcomes are stored.
    """

    block: str
    other: str
    position: str
    means: tuple[float, float]
    seeds: tuple[float, ...]
    error: float | None
    degrees: int
    cells: int
    p: float | None
    margin: float = MARGIN
    level: float = LEVEL
    images: OverImages | None = None

    @property
    def over_both(self) -> tuple[float, float] | None:
        """The interval over trainings and test images jointly."""
        if self.images is None or self.error is None:
            return None
        return self.images.over_both(self.value, self.error, self.degrees)

    @property
    def n(self) -> int:
        """Seeds that both have."""
        return len(self.seeds)

    @property
    def sign_flips(self) -> float | None:
        """Probability that sums of these differences with signs drawn at random are as far from 0.

        Exact where a difference of equal blocks is as likely to be of either sign, whatever it follows.

        None for fewer than six seeds, of which no probability is below 5 %.
        """
        if not ENOUGH_SIGNS <= self.n <= MOST_SIGNS:
            return None
        flipped = np.zeros(1)
        for seed in self.seeds:
            flipped = np.concatenate([flipped + seed, flipped - seed])
        reached = abs(math.fsum(self.seeds)) * (1 - 1e-9)
        return float((np.abs(flipped) >= reached).mean())

    def the_other_way(self) -> Difference:
        """The same, of the second less the first."""
        seeds = tuple(-seed for seed in self.seeds)
        return replace(self, block=self.other, other=self.block, means=self.means[::-1], seeds=seeds)

    @property
    def value(self) -> float:
        """Of the first less that of the second."""
        return self.means[0] - self.means[1]

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of 95 %, or of what Holm's correction makes of it."""
        return self.interval_at(self.level)

    def interval_at(self, level: float) -> tuple[float, float] | None:
        """The one that misses the true difference in so small a share of tables; None where the error is not known."""
        if self.error is None:
            return None
        half = _quantile(1 - level / 2, self.degrees) * self.error
        return self.value - half, self.value + half

    @property
    def detectable(self) -> float | None:
        """The smallest true difference that so many seeds find in about four of five tables."""
        if self.error is None:
            return None
        return (_quantile(1 - self.level / 2, self.degrees) + _quantile(POWER, self.degrees)) * self.error

    @property
    def is_equal(self) -> bool:
        """Do two one-sided tests, 5 % each, both say that the difference is smaller than the margin?"""
        if self.error is None:
            return False
        half = _quantile(1 - LEVEL, self.degrees) * self.error
        return -self.margin < self.value - half and self.value + half < self.margin

    @property
    def kind(self) -> Kind:
        """The verdict in one word."""
        if self.p is not None and self.p < LEVEL:
            return "better" if self.value > 0 else "worse"
        return "equal" if self.is_equal else "unresolved"

    @property
    def verdict(self) -> str:
        """Better, worse, equal within the margin, or unresolved, with the seeds that would resolve it."""
        if self.error is None or self.p is None:
            return f"unresolved: {NOTHING.get(self.n, 'the difference is the same in each seed')}"
        if self.kind != "unresolved":
            return f"equal within {100 * self.margin:g}" if self.kind == "equal" else self.kind
        needed = self.needed
        return f"unresolved: needs {'over ' if needed > MOST_SEEDS else ''}{min(needed, MOST_SEEDS)} seeds"

    @property
    def needed(self) -> int:
        """Seeds that find a difference like this, or like the margin if that is larger, in about four of five tables."""
        assert self.error is not None
        wanted, spread = max(abs(self.value), self.margin), self.error * math.sqrt(self.n)

        def is_enough(n: int) -> bool:
            degrees = (n - 1) * max(self.cells - 1, 1)
            quantiles = _quantile(1 - self.level / 2, degrees) + _quantile(POWER, degrees)
            return quantiles * spread <= wanted * math.sqrt(n)

        # what is enough stays so with more seeds: quantiles fall and the root rises
        return bisect.bisect_left(range(MOST_SEEDS + 1), True, self.n + 1, key=is_enough)


@dataclass(frozen=True)
class Comparison:
    """Differences of one comparable group.

    Args:
        group: what its rows have in common.
        column: the accuracy.
        differences: by position, or by size.
        shared: one variance holds for all cells.
        deviation: of what block, position and seed leave, where it is shared.
        left_out: trainings of the group that have no such accuracy.
    """

    group: tuple[tuple[str, object], ...]
    column: str
    differences: list[Difference]
    shared: bool
    deviation: float | None
    left_out: int = 0


def compare(
    rows: Iterable[Row],
    block: str,
    other: str,
    *,
    position: str | None = None,
    column: str = "test_acc",
    margin: float = MARGIN,
    outcomes: Callable[[str], Outcomes | None] | None = None,
) -> list[Comparison]:
    """How much better a block is than another, in each comparable group that has both.

    Args:
        rows: of a table of results.
        block: whose accuracy the other's is taken from.
        other: the block that it is compared with.
        position: "early", "mid" or "late" alone; None for each that has both, and the mean over them.
        column: the accuracy.
        margin: what counts as equal, as a fraction.
        outcomes: of single test images, by the fingerprint of a trial; None where there are none.

    Raises:
        UsageError: no group has both, which says which blocks there are; or they are one.
    """
    if block == other:
        raise UsageError(f"{block} is compared with itself: name two blocks")
    comparisons, rows = [], list(rows)
    tables, lacking = tables_of(rows, column), left_out(rows, column)
    for group, table in tables.items():
        places = [p for p in positions_of(table) if {(block, p), (other, p)} <= table.keys()]
        places = [p for p in places if position in (None, p)]
        if not places:
            continue
        fitted = fitted_to(table)
        differences = [difference_of(table, fitted, block, other, (p,), margin) for p in places]
        if outcomes is not None and column == "test_acc":
            of_both = [row for row in rows if group_of(row) == group and name_of(row) in (block, other)]
            by_seed = _outcomes_of(of_both, outcomes)
            differences = [
                replace(d, images=over_images(by_seed[block, d.position], by_seed[other, d.position]))
                for d in differences
            ]
        if len(places) > 1:
            differences.append(difference_of(table, fitted, block, other, tuple(places), margin))
        judged = (differences, fitted.shared, fitted.deviation)
        comparisons.append(Comparison(group, column, *judged, lacking[group]))
    if not comparisons:
        known = sorted(
            {name for table in tables.values() for name, place in table if position in (None, place)}
        )
        raise UsageError(
            f"no group of comparable rows has both {block} and {other} at {position or 'one position'} with a {column}; "
            f"there are {', '.join(known) or 'none'}"
        )
    return comparisons


def _outcomes_of(
    rows: list[Row], outcomes: Callable[[str], Outcomes | None]
) -> dict[Cell, dict[object, Outcomes]]:
    """Of each cell, by seed; the last row of a seed counts."""
    by_seed: dict[Cell, dict[object, Outcomes]] = defaultdict(dict)
    for row in usable(rows):
        if (of := outcomes(str(row.get("fingerprint")))) is not None:
            by_seed[name_of(row), row.get("position") or ""][row.get("seed")] = of
    return by_seed


def verdicts(rows: Iterable[Row], *, column: str = "test_acc", margin: float = MARGIN) -> list[Comparison]:
    """All pairs of blocks at each position, the surest first; probabilities after Holm's correction over all of a group.

    Args:
        rows: of a table of results.
        column: the accuracy.
        margin: what counts as equal, as a fraction.
    """
    comparisons, rows = [], list(rows)
    lacking = left_out(rows, column)
    for group, table in tables_of(rows, column).items():
        fitted, differences = fitted_to(table), []
        for place in positions_of(table):
            blocks = sorted(name for name, at in table if at == place)
            pairs = [
                difference_of(table, fitted, a, b, (place,), margin)
                for a, b in itertools.combinations(blocks, 2)
            ]
            differences += pairs
        judged = (corrected(differences), fitted.shared, fitted.deviation)
        comparisons.append(Comparison(group, column, *judged, lacking[group]))
    return comparisons


def difference_of(
    table: Table, fitted: Fitted, block: str, other: str, places: tuple[str, ...], margin: float
) -> Difference:
    """Over the seeds that both blocks have at all of these positions."""
    columns = [table[name, place] for place in places for name in (block, other)]
    seeds = [seed for seed in columns[0] if all(seed in column for column in columns)]
    means = [
        _mean([table[name, place][seed] for place in places for seed in seeds or table[name, place]])
        for name in (block, other)
    ]
    position, n = places[0] if len(places) == 1 else "", len(seeds)
    own = tuple(
        _mean([table[block, place][seed] - table[other, place][seed] for place in places]) for seed in seeds
    )
    made = Difference(block, other, position, (means[0], means[1]), own, None, 0, 0, None, margin)
    if fitted.shared and fitted.deviation and seeds:
        shares = Counter[Cell]()
        for place in places:
            shares[fitted.networks[block, place]] += 1
            shares[fitted.networks[other, place]] -= 1
        weight = math.sqrt(sum(share**2 for share in shares.values()) / n) / len(places)
        error, degrees, cells = fitted.deviation * weight, fitted.degrees, fitted.cells
    elif n >= 2 and (spread := float(np.std(own, ddof=1))) > ROUNDED * max(map(abs, means)):
        error, degrees, cells = spread / math.sqrt(n), n - 1, 0
    else:
        return made
    return replace(
        made, error=error, degrees=degrees, cells=cells, p=probability(made.value / error, degrees)
    )


def _mean(values: list[float]) -> float:
    """What `np.mean` gives, to the bit, in a fifth of the time: of all pairs of a large table there are many."""
    return float(np.add.reduce(values)) / len(values)


def corrected(pairs: list[Difference]) -> list[Difference]:
    """Holm's: the k-th smallest of m probabilities times m - k + 1, never less than the one before."""
    judged = sorted((pair for pair in pairs if pair.p is not None), key=lambda pair: pair.p or 0.0)
    made, least = [], 0.0
    for number, pair in enumerate(judged):
        least = max(least, min((pair.p or 0.0) * (len(judged) - number), 1.0))
        made.append(replace(pair, p=least, level=LEVEL / (len(judged) - number)))
    return made + [pair for pair in pairs if pair.p is None]


@lru_cache(maxsize=4096)
def _quantile(share: float, degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))


def probability(t: float, degrees: int) -> float:
    """Of a Student's t so far from 0, to either side."""
    from scipy.special import stdtr

    return 2 * float(stdtr(degrees, -abs(t)))
