"""The difference of two blocks: its interval, and the verdict in words; and Holm's correction of several."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from blockzoo.report.estimates import LEVEL
from blockzoo.report.images import OverImages

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
        p_equal: probability of a difference so near 0 between blocks that differ by the margin or more, by two one-sided tests;
            after Holm's correction, as `p`.
        places: positions that it is the mean over.
        diverged: how many trainings of each of the two did, in words; empty for none. What is left of them flatters.
        apart: by how much the accuracies of the table differ at most: an interval that reaches further says nothing.
        worth_of_seeds: where cells have different seeds, as how many of each would tell as much.
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
    p_equal: float | None = None
    places: int = 1
    diverged: tuple[str, str] = ("", "")
    apart: float = math.inf
    worth_of_seeds: int = 0

    @property
    def where(self) -> str:
        """Its position in words."""
        return self.position or ("mean" if self.places > 1 else "whole network")

    def with_error(self, error: float, degrees: int, cells: int) -> Difference:
        """The same, with the standard error of the difference and the probabilities that follow; not yet corrected for others."""
        from scipy.special import stdtr

        p, p_equal = (
            probability(self.value / error, degrees),
            float(stdtr(degrees, (abs(self.value) - self.margin) / error)),
        )
        return replace(self, error=error, degrees=degrees, cells=cells, p=p, p_equal=p_equal)

    @property
    def over_both(self) -> tuple[float, float] | None:
        """The interval over trainings and test images jointly; None where images are known of some of the trainings alone."""
        if self.images is None or self.error is None or self.images.seeds < self.n:
            return None
        return self.images.over_both(self.value, self.error, self.degrees)

    @property
    def n(self) -> int:
        """Seeds that both have, or as many as tell as much."""
        return len(self.seeds) or self.worth_of_seeds

    @property
    def sign_flips(self) -> float | None:
        """Probability that sums of these differences with signs drawn at random are as far from 0.

        Exact where a difference of equal blocks is as likely to be of either sign, whatever it follows.

        None for fewer than six seeds, of which no probability is below 5 %.
        """
        if not ENOUGH_SIGNS <= len(self.seeds) <= MOST_SIGNS:
            return None
        flipped = np.zeros(1)
        for seed in self.seeds:
            flipped = np.concatenate([flipped + seed, flipped - seed])
        reached = abs(math.fsum(self.seeds)) * (1 - 1e-9)
        return float((np.abs(flipped) >= reached).mean())

    def the_other_way(self) -> Difference:
        """The same, of the second less the first."""
        seeds = tuple(-seed for seed in self.seeds)
        return replace(
            self,
            block=self.other,
            other=self.block,
            means=self.means[::-1],
            seeds=seeds,
            diverged=self.diverged[::-1],
        )

    @property
    def value(self) -> float:
        """Of the first less that of the second."""
        return self.means[0] - self.means[1]

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of 95 %, or of what Holm's correction makes of it."""
        return self.interval_at(self.level)

    def interval_at(self, level: float) -> tuple[float, float] | None:
        """The one that misses the true difference in so small a share of tables.

        None where the error is not known, or so little that the interval would reach further than the accuracies of the table
        lie apart.
        """
        if self.error is None or (half := _quantile(1 - level / 2, self.degrees) * self.error) > self.apart:
            return None
        return self.value - half, self.value + half

    @property
    def detectable(self) -> float | None:
        """The smallest true difference that so many seeds find in about four of five tables; None where there is no interval."""
        if self.error is None or self.interval is None:
            return None
        return (_quantile(1 - self.level / 2, self.degrees) + _quantile(POWER, self.degrees)) * self.error

    @property
    def _of_means(self) -> Kind:
        """What the means say, whatever was left out of them."""
        if self.p is not None and self.p < LEVEL:
            return "better" if self.value > 0 else "worse"
        return "equal" if self.p_equal is not None and self.p_equal < LEVEL else "unresolved"

    @property
    def _doubt(self) -> str:
        """Which divergence the means hide: of the better block; of either where they are equal."""
        if self._of_means == "equal":
            return self.diverged[0] or self.diverged[1]
        return self.diverged[0 if self.value > 0 else 1]

    @property
    def kind(self) -> Kind:
        """The verdict in one word. A block of which trainings diverged is never better, nor as good."""
        return "unresolved" if self._doubt else self._of_means

    @property
    def verdict(self) -> str:
        """Better, worse, equal within the margin, or unresolved, with the seeds that would resolve it."""
        if self._doubt:
            return f"unresolved: {self._doubt}"
        if self.error is None or self.p is None:
            return f"unresolved: {NOTHING.get(self.n, 'the difference is the same in each seed')}"
        if self.kind == "unresolved" and self.interval is None:
            return "unresolved: needs more seeds"
        if (needed := self.needed) is None:
            return f"equal within {100 * self.margin:g}" if self.kind == "equal" else self.kind
        return f"unresolved: needs {'over ' if needed > MOST_SEEDS else ''}{min(needed, MOST_SEEDS)} seeds"

    @property
    def needed(self) -> int | None:
        """Seeds that find a difference like this, or like the margin if that is larger, in about four of five tables.

        None where it is resolved, where seeds would not resolve it (of one that is not known to vary, or of divergence), and
        where too little is known to say.
        """
        if self.error is None or self.interval is None or self._doubt or self.kind != "unresolved":
            return None
        wanted, spread = max(abs(self.value), self.margin), self.error * math.sqrt(self.n)

        def is_enough(n: int) -> bool:
            degrees = (n - 1) * max(self.cells - 1, 1)
            quantiles = _quantile(1 - self.level / 2, degrees) + _quantile(POWER, degrees)
            return quantiles * spread <= wanted * math.sqrt(n)

        # what is enough stays so with more seeds: quantiles fall and the root rises
        return bisect.bisect_left(range(MOST_SEEDS + 1), True, self.n + 1, key=is_enough)


def corrected(pairs: list[Difference]) -> list[Difference]:
    """After Holm's correction, the surest first: over the tests of a difference, and over those of equality.

    So in 95 % of tables no pair is told apart that is equal, and in 95 % none is called equal that differs by the margin.
    """
    judged = sorted((pair for pair in pairs if pair.p is not None), key=lambda pair: pair.p or 0.0)
    apart, equal = holm([pair.p or 0.0 for pair in judged]), holm([pair.p_equal or 0.0 for pair in judged])
    adjusted = [
        replace(pair, p=p, p_equal=p_equal, level=LEVEL / (len(judged) - number))
        for number, (pair, p, p_equal) in enumerate(zip(judged, apart, equal, strict=True))
    ]
    return adjusted + [pair for pair in pairs if pair.p is None]


def holm(probabilities: Sequence[float]) -> list[float]:
    """The k-th smallest of m probabilities times m - k + 1, never less than the one before.

    Examples:
        >>> holm([0.04, 0.01, 0.03])
        [0.06, 0.03, 0.06]
    """
    adjusted, least = [0.0] * len(probabilities), 0.0
    for number, place in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        least = max(least, min(probabilities[place] * (len(probabilities) - number), 1.0))
        adjusted[place] = least
    return adjusted


@lru_cache(maxsize=4096)
def _quantile(share: float, degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, share))


def probability(t: float, degrees: int) -> float:
    """Of a Student's t so far from 0, to either side."""
    from scipy.special import stdtr

    return 2 * float(stdtr(degrees, -abs(t)))
