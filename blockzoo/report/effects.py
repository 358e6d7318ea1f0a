"""Differences that one picture shows: from a reference, from a block's other positions, from the average block in company.

Of each there are two intervals: of it alone, as `compare` prints it, and one that holds together with all others of its kind
(Bonferroni: each misses its truth in a share of tables so small that their sum is 5 %). Against a block, verdicts
are those of `results --verdicts`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.report.additive import Fitted, Table, positions_of
from blockzoo.report.comparison import Comparison
from blockzoo.report.difference import MARGIN, Difference, corrected
from blockzoo.report.estimates import LEVEL, ROUNDED
from blockzoo.report.trainings import Cell, diverged

if TYPE_CHECKING:
    from blockzoo.report.crossed import Crossed

USUAL = "ResNetBasicBlock"
"""The reference where none is named, as of budgets."""
Interval = tuple[float, float]


@dataclass(frozen=True)
class Effects:
    """What is drawn together.

    Args:
        differences: with a verdict each.
        reference: the block that all are compared with; empty for a mean.
        family: so many intervals hold together in 95 % of tables.
    """

    differences: list[Difference]
    reference: str
    family: int

    def alone(self, difference: Difference) -> Interval | None:
        """The 95 % interval of this difference, whatever the others are; a fraction, of what an accuracy can differ by."""
        return _possible(difference.interval_at(LEVEL))

    def together(self, difference: Difference) -> Interval | None:
        """All of these hold their truths in 95 % of tables; a fraction."""
        return _possible(difference.interval_at(LEVEL / max(self.family, 1)))

    @property
    def positions(self) -> list[str]:
        """In the order of the network."""
        return positions_of((d.block, d.position) for d in self.differences)

    def at(self, position: str) -> list[Difference]:
        """Those of a position, the largest first."""
        there = [d for d in self.differences if d.position == position]
        return sorted(there, key=lambda d: (-d.value, d.block))


def _possible(interval: Interval | None) -> Interval | None:
    return None if interval is None else (max(-1.0, interval[0]), min(1.0, interval[1]))


def reference_of(table: Table, against: str | None = None) -> str:
    """The block that is named, else the usual one where it stands at every position; empty for the mean of all."""
    if against is not None and any(block == against for block, _ in table):
        return against
    return USUAL if table and all((USUAL, place) in table for place in positions_of(table)) else ""


def from_reference(table: Table, fitted: Fitted, comparison: Comparison, reference: str) -> Effects:
    """How much more accurate each block is than the reference at its position, by the verdicts on all pairs.

    Args:
        table: of accuracies, fractions.
        fitted: to it.
        comparison: all its pairs.
        reference: a block; empty: the mean of all blocks at the position, whose verdicts are corrected among themselves.
    """
    if reference:
        pairs = [d for d in comparison.differences if reference in (d.block, d.other)]
        ordered = [d if d.other == reference else d.the_other_way() for d in pairs]
        return Effects(ordered, reference, sum(d.p is not None for d in comparison.differences))
    contrasts = []
    for place in positions_of(table):
        blocks = sorted(block for block, at in table if at == place)
        for block in blocks if len(blocks) > 1 else ():
            shares = {(other, place): -1 / len(blocks) for other in blocks}
            shares[block, place] += 1
            contrasts.append(contrast(table, fitted, block, (place,), shares))
    return _among_themselves(contrasts)


def specialisations(table: Table, fitted: Fitted) -> Effects:
    """How much more a block is worth at a position than at its others, beyond what all blocks are on average.

    The interaction of block and position: of blocks that stand at every position of the table; none where fewer than two do,
    or there is one position. The filler as the block under test is one network wherever it
    stands: it has no positions, and is left out.
    """
    places = positions_of(table)
    names = {block for block, _ in table}
    everywhere = [block for block in names if all((block, place) in table for place in places)]
    networks = {block: {fitted.networks[block, place] for place in places} for block in everywhere}
    blocks = sorted(block for block in everywhere if len(networks[block]) == len(places))
    contrasts = []
    for block in blocks if min(len(places), len(blocks)) > 1 else ():
        for place in places:
            shares = {
                (other, at): (float(other == block) - 1 / len(blocks))
                * (1.0 if at == place else -1 / (len(places) - 1))
                for other in blocks
                for at in places
            }
            contrasts.append(contrast(table, fitted, block, (place,), shares))
    return _among_themselves(contrasts)


def in_company(model: Crossed) -> Effects:
    """Worths of the blocks of a crossed design, relative to the average block at the position."""
    worths = []
    for worth in model.worths.values():
        one = Difference(worth.block, "", worth.position, (worth.value, 0.0), (), None, 0, 0, None)
        worths.append(one.with_error(worth.error, model.fit.degrees, 0) if worth.error > ROUNDED else one)
    return _among_themselves(worths)


def _among_themselves(made: list[Difference]) -> Effects:
    return Effects(corrected(made), "", sum(d.p is not None for d in made))


def contrast(
    table: Table,
    fitted: Fitted,
    block: str,
    places: tuple[str, ...],
    shares: dict[Cell, float],
    margin: float = MARGIN,
) -> Difference:
    """A sum of cells with shares that add up to 0.

    By what is fitted to the table, to which a lost training is one value fewer; where the cells do not vary alike, over the seeds
    that all of them have.

    Args:
        table: of accuracies, fractions.
        fitted: to it.
        block: that the sum is about.
        places: where; of several the position of the difference is "", the mean over them.
        shares: of each cell, those of the block among them.
        margin: what counts as equal.

    Returns:
        The sum as a difference, not yet corrected for others: its means are the block's accuracy there, and that less the sum.
    """
    cells = [table[cell] for cell in shares]
    seeds = [seed for seed in cells[0] if all(seed in cell for cell in cells)]
    own = float(
        np.mean([table[block, place][seed] for place in places for seed in seeds or table[block, place]])
    )
    values = tuple(_sum(table, shares, (seed,)) for seed in seeds)
    by_fit = fitted.sum_of(shares) if fitted.shared and fitted.deviation else None
    alike = len({frozenset(cell) for cell in cells}) == 1
    if by_fit is not None and not alike:  # of equal seeds the two are one but for rounding
        value, values = by_fit[0], ()
    else:
        value = float(np.mean(values)) if values else _sum(table, shares, ())
    apart = fitted.apart * math.fsum(map(abs, shares.values())) / 2  # what a sum of such cells can be
    position = places[0] if len(places) == 1 else ""
    of_block = [(cell, share) for cell, share in shares.items() if cell[0] == block]
    lost = [diverged(table.of(cell for cell, share in of_block if sign * share > 0)) for sign in (1, -1)]
    difference = Difference(
        block, "", position, (own, own - value), values, None, 0, 0, None, margin,
        places=len(places), diverged=(lost[0], lost[1]), apart=apart,
    )  # fmt: skip
    if by_fit is not None and fitted.deviation:
        error, degrees, among = fitted.deviation * by_fit[1], fitted.degrees, fitted.cells
        if not values and by_fit[1] > 0:  # as many of each cell would be as sure
            size = math.fsum(share**2 for share in fitted.of_networks(shares).values()) / by_fit[1] ** 2
            difference = replace(difference, worth_of_seeds=max(1, int(size)))
    elif len(values) >= 2 and (spread := float(np.std(values, ddof=1))) > ROUNDED * max(abs(own), 1e-9):
        error, degrees, among = spread / math.sqrt(len(values)), len(values) - 1, 0
    else:
        return difference
    if error <= ROUNDED:  # of one network at every position the sum is what it is
        return difference
    return difference.with_error(error, degrees, among)


def _sum(table: Table, shares: dict[Cell, float], seeds: Sequence[object]) -> float:
    """Over these seeds; over those of each cell, where there are none."""
    return math.fsum(
        share * float(np.mean([table[cell][seed] for seed in seeds or table[cell]]))
        for cell, share in shares.items()
    )
