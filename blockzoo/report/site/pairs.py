"""All pairs of blocks of a table, for pages: differences, verdicts and power, computed once and written as columns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from blockzoo.report.comparable import Comparable
from blockzoo.report.comparison import difference_of
from blockzoo.report.difference import MARGIN, Difference, corrected
from blockzoo.report.estimates import LEVEL
from blockzoo.report.ranks import rank_intervals
from blockzoo.report.trainings import Cell

Value = TypeVar("Value")
MEAN = ""
"""The position of means over all positions."""
MOST = 250
"""Blocks of a table up to which all its pairs are compared: 31,125 pairs at each position."""


@dataclass(frozen=True)
class Pairs:
    """The differences of one comparable group.

    Args:
        of: the group.
    """

    of: Comparable

    @cached_property
    def cells(self) -> dict[str, list[str]]:
        """The blocks at each position by name; of the means over positions those that stand at all of them."""
        table, places = self.of.table, self.of.positions
        by_place = {place: sorted(block for block, at in table if at == place) for place in places}
        everywhere = [
            block for block in sorted({b for b, _ in table}) if all((block, p) in table for p in places)
        ]
        if len(places) > 1 and MEAN not in places and len(everywhere) > 1:
            by_place[MEAN] = everywhere
        return by_place

    def cells_of(self, block: str, place: str) -> list[Cell]:
        """The cells of the table that a block's mean at a position is of."""
        return [(block, at) for at in (self.of.positions if self.is_mean(place) else (place,))]

    def is_mean(self, place: str) -> bool:
        """Whether a position stands for the mean over all."""
        return place == MEAN and MEAN not in self.of.positions

    @cached_property
    def alone(self) -> dict[str, list[Difference]]:
        """At each position every pair, in the order of `itertools.combinations`, not corrected: as `compare` prints it."""
        table, fitted = self.of.table, self.of.fitted
        return {
            place: [
                difference_of(
                    table,
                    fitted,
                    a,
                    b,
                    tuple(self.of.positions) if self.is_mean(place) else (place,),
                    MARGIN,
                )
                for a, b in (itertools.combinations(blocks, 2) if len(blocks) <= MOST else ())
            ]
            for place, blocks in self.cells.items()
        }

    @cached_property
    def judged(self) -> dict[str, list[Difference]]:
        """The same after Holm's correction: over all positions, and means over positions among themselves."""
        means = {place for place in self.alone if self.is_mean(place)}
        everything = [d for place, of in self.alone.items() if place not in means for d in of]
        by_pair = {(d.position, d.block, d.other): d for d in corrected(everything)}
        by_pair |= {
            (d.position, d.block, d.other): d for place in means for d in corrected(self.alone[place])
        }
        return {
            place: [by_pair[d.position, d.block, d.other] for d in of] for place, of in self.alone.items()
        }

    @cached_property
    def ranks(self) -> dict[Cell, tuple[int, int]]:
        """Which ranks each block can have at each position, all right together in 95 % of tables."""
        by_place: dict[Cell, tuple[int, int]] = {}
        for place, blocks in self.cells.items():
            if self.alone[place]:
                by_place |= rank_intervals([(block, place) for block in blocks], self.judged[place])
        return by_place

    def columns(self, place: str) -> dict[str, Any]:
        """What the leaderboard shows of the pairs at a position."""
        judged = self.judged[place]
        return {
            "value": [thousandths(d.value) for d in judged],
            "half": alike([_half(d, d.level) for d in judged]),
            "kind": "".join(LETTERS[d.kind] for d in judged),
            "needed": alike([d.needed for d in judged]),
        }

    def more_columns(self, place: str) -> dict[str, Any]:
        """What the page of two blocks shows beyond that."""
        alone = self.alone[place]
        return {
            "alone": alike([_half(d, LEVEL) for d in alone]),
            "kindAlone": "".join(LETTERS[d.kind] for d in alone),
            "neededAlone": alike([d.needed for d in alone]),
            "detectable": alike([None if d.detectable is None else thousandths(d.detectable) for d in alone]),
            "signs": alike([None if d.sign_flips is None else round(d.sign_flips, 4) for d in alone]),
            "n": alike([d.n for d in alone]),
        }


LETTERS = {"better": "b", "worse": "w", "equal": "e", "unresolved": "u"}
"""Verdicts as pages have them."""


def thousandths(fraction: float) -> int:
    """Of a percentage point.

    Examples:
        >>> thousandths(0.0123456)
        1235
    """
    return round(fraction * 1e5)


def alike(values: Sequence[Value]) -> Value | list[Value]:
    """A column; one value where all of it are equal, which a page takes for all.

    Examples:
        >>> alike([2, 2]), alike([1, 2]), alike([])
        (2, [1, 2], [])
    """
    return values[0] if values and all(value == values[0] for value in values) else list(values)


def _half(difference: Difference, level: float) -> int | None:
    interval = difference.interval_at(level)
    return None if interval is None else thousandths(interval[1] - difference.value)
