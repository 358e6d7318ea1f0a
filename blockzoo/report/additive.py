"""A table of accuracies as cell + seed + what is left, whose variance is known from all of them.

A table of blocks at positions has few seeds of each, but many in all: what is left of an accuracy when block, position and
seed are accounted for has one variance. Where the cells' variances differ (Brown and Forsythe's test, 5 %), there is none.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.contracts import POSITIONS
from blockzoo.report.statistics import Row, group_of, usable

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
    """One for each comparable group; the newest row of a cell and seed counts."""
    tables: dict[tuple[tuple[str, object], ...], Table] = defaultdict(lambda: defaultdict(dict))
    for index, row in enumerate(usable(rows)):
        value, seed = row.get(column), row.get("seed")
        if isinstance(value, int | float) and math.isfinite(value):
            cell = (str(row["block"]), row.get("position") or "")
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
    """

    deviation: float | None
    degrees: int
    cells: int
    shared: bool


def networks_of(table: Table) -> dict[Cell, Cell]:
    """The first of the cells that are one network: the filler as the block under test is the same one at every position."""
    first: dict[object, Cell] = {}
    return {
        cell: first.setdefault((cell[0], *sorted(map(repr, of.items()))), cell) for cell, of in table.items()
    }


def fitted_to(table: Table) -> Fitted:
    """By least squares, whichever cells and seeds are there; a network that stands at several positions counts once."""
    cells = list(dict.fromkeys(networks_of(table).values()))
    seeds = list(dict.fromkeys(seed for cell in cells for seed in table[cell]))
    places = [(c, s) for c, cell in enumerate(cells) for s, seed in enumerate(seeds) if seed in table[cell]]
    values = np.array([table[cells[c]][seeds[s]] for c, s in places])
    design = np.zeros((len(places), len(cells) + len(seeds)))
    for row, (c, s) in enumerate(places):
        design[row, c] = design[row, len(cells) + s] = 1
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    left, degrees = values - design @ solution, len(values) - int(rank)
    if degrees < 1:
        return Fitted(None, 0, len(cells), shared=True)
    of_cells = [left[[c == number for c, _ in places]] for number in range(len(cells))]
    deviation, scale = math.sqrt(float(left @ left) / degrees), float(np.abs(values).max())
    if deviation <= ROUNDED * scale:
        return Fitted(None, 0, len(cells), shared=True)
    return Fitted(deviation, degrees, len(cells), _alike(of_cells))


def _alike(of_cells: Sequence[Float[np.ndarray, " seeds"]]) -> bool:
    """Do cells of three seeds and more vary alike, by Brown and Forsythe's test? Of two cells what is left mirrors itself."""
    several = [left for left in of_cells if len(left) >= 3]
    if len(several) < 3:
        return True
    from scipy.stats import levene

    return bool(levene(*several, center="median").pvalue >= LEVEL)
