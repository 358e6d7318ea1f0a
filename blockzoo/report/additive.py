"""A table of accuracies as cell + seed + what is left, whose variance is known from all of them.

A table of blocks at positions has few seeds of each, but many in all: what is left of an accuracy when block, position and
seed are accounted for has one variance. Where the cells' variances differ (Brown and Forsythe's test, 5 %), there is none.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.contracts import POSITIONS
from blockzoo.report.groups import Row, Spent, group_of, is_of_a_search, name_of
from blockzoo.report.statistics import usable

if TYPE_CHECKING:
    from jaxtyping import Float

Cell = tuple[str, str]
"""A block and the position that it stands at."""
LEVEL = 0.05
ROUNDED = 1e-12
"""Of a value: spreads up to here are those of rounding."""
Table = dict[Cell, dict[object, float]]
"""The accuracy of each cell and seed."""


def tables_of(rows: Iterable[Row], column: str) -> dict[tuple[tuple[str, object], ...], Table]:
    """One for each comparable group; the last row of a cell and seed counts. What is far off its budget is in none."""
    tables: dict[tuple[tuple[str, object], ...], Table] = defaultdict(lambda: defaultdict(dict))
    rows = [row for row in usable(rows) if not is_of_a_search(row)]
    spent = Spent(rows)
    for index, row in enumerate(rows):
        value, seed = row.get(column), row.get("seed")
        if isinstance(value, int | float) and math.isfinite(value) and spent.is_compared(row):
            cell = (name_of(row), row.get("position") or "")
            tables[group_of(row)][cell][index if seed is None else seed] = float(value)
    return tables


def positions_of(table: Table) -> list[str]:
    there = {place for _, place in table}
    return [place for place in (*POSITIONS, "") if place in there]


@dataclass(frozen=True)
class Fitted:
    """A table as cell + seed + what is left.

    Args:
        deviation: standard deviation of what is left; None where nothing is.
        degrees: its degrees of freedom.
        cells: of the table.
        shared: the cells have one variance, as far as can be seen.
        networks: see `networks_of`.
        luck: of each seed, what it adds to every cell; none where cells share too few seeds to tell.
    """

    deviation: float | None
    degrees: int
    cells: int
    shared: bool
    networks: dict[Cell, Cell]
    luck: Mapping[object, float] = field(default_factory=dict)

    def leveled(self, table: Table) -> Table:
        """The table without the luck of its seeds, so that means of cells with different seeds can be ordered."""
        if len({frozenset(of) for of in table.values()}) <= 1:
            return table
        return {
            cell: {seed: value - self.luck.get(seed, 0.0) for seed, value in of.items()}
            for cell, of in table.items()
        }


def networks_of(table: Table) -> dict[Cell, Cell]:
    """The first of the cells that are one network: the filler as the block under test is the same one at every position.

    It is told by its accuracies, which are equal in each seed that two cells of a block have, at least in two.
    """
    networks: dict[Cell, Cell] = {}
    for cell, of in table.items():
        firsts = [first for first in dict.fromkeys(networks.values()) if first[0] == cell[0]]
        networks[cell] = next((first for first in firsts if _is_same(of, table[first])), cell)
    return networks


def _is_same(a: dict[object, float], b: dict[object, float]) -> bool:
    both = a.keys() & b.keys()
    return len(both) >= min(2, len(a), len(b)) > 0 and all(a[seed] == b[seed] for seed in both)


def fitted_to(table: Table) -> Fitted:
    """By least squares, whichever cells and seeds are there; a network that stands at several positions counts once.

    A seed of one cell alone says nothing of what is left, and is left out.
    """
    networks = networks_of(table)
    values_of: Table = defaultdict(dict)
    for cell, first in networks.items():
        values_of[first] |= table[cell]
    counts = Counter(seed for of in values_of.values() for seed in of)
    cells, seeds = list(values_of), [seed for seed, count in counts.items() if count > 1]
    places = [
        (c, s) for c, cell in enumerate(cells) for s, seed in enumerate(seeds) if seed in values_of[cell]
    ]
    none = Fitted(None, 0, len(cells), shared=True, networks=networks)
    if not places:
        return none
    values = np.array([values_of[cells[c]][seeds[s]] for c, s in places])
    left, effects, rank = _least_squares(places, values, (len(cells), len(seeds)))
    degrees = len(values) - rank
    deviation = math.sqrt(float(left @ left) / max(degrees, 1))
    if degrees < 1 or deviation <= ROUNDED * float(np.abs(values).max()):
        return none
    common = {s for s, seed in enumerate(seeds) if 2 * counts[seed] > len(cells)}
    of_cells: list[list[float]] = [[] for _ in cells]
    for (c, s), rest in zip(places, left.tolist(), strict=True):
        if s in common:
            of_cells[c].append(rest)
    is_connected = (
        rank == len(cells) + len(seeds) - 1
    )  # else cells and seeds could be shifted against each other
    luck = dict(zip(seeds, (effects - effects.mean()).tolist(), strict=True)) if is_connected else {}
    return Fitted(deviation, degrees, len(cells), _alike(of_cells), networks, luck)


def _least_squares(
    places: Sequence[tuple[int, int]], values: Float[np.ndarray, " values"], size: tuple[int, int]
) -> tuple[Float[np.ndarray, " values"], Float[np.ndarray, " seeds"], int]:
    """Values as cell + seed + what is left.

    With the cells eliminated (each is the mean of its values less its seeds'), as many equations are left as there are seeds: of
    thousands of cells that is a moment, where all equations at once are minutes.

    Args:
        places: the cell and the seed of each value.
        values: of each place.
        size: numbers of cells and of seeds.

    Returns:
        What is left of each value, the seeds' effects (the shortest of those that fit), and the rank of the model.
    """
    cell, seed = np.array(places).T
    there = np.zeros(size)
    there[cell, seed] = 1
    counts = np.maximum(there.sum(1), 1)
    sums = np.bincount(cell, values, size[0])
    equations = np.diag(there.sum(0)) - there.T @ (there / counts[:, None])
    apart = values - (sums / counts)[cell]
    effects, _, rank, _ = np.linalg.lstsq(equations, np.bincount(seed, apart, size[1]), rcond=1e-9)
    left = apart - effects[seed] + (there @ effects / counts)[cell]
    return left, effects, int(rank) + int((there.sum(1) > 0).sum())


def _alike(of_cells: Sequence[Sequence[float]]) -> bool:
    """Do cells of three seeds and more vary alike, by Brown and Forsythe's test? Of two cells what is left mirrors itself."""
    several = [left for left in of_cells if len(left) >= 3]
    if len(several) < 3:
        return True
    from scipy.stats import levene

    return bool(levene(*several, center="median").pvalue >= LEVEL)
