"""A table of accuracies as cell + seed + what is left, whose variance is known from all of them.

A table of blocks at positions has few seeds of each, but many in all: what is left of an accuracy when block, position and
seed are accounted for has one variance. Where the cells' variances differ (Brown and Forsythe's test, 5 %), there is none.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.contracts import POSITIONS
from blockzoo.report.estimates import ROUNDED
from blockzoo.report.groups import Row, Spent, is_filler, is_number
from blockzoo.report.pooled import vary_alike
from blockzoo.report.summaries import ACCURACIES, LOSSES, usable
from blockzoo.report.trainings import Cell, Group, Trainings, trainings_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CONNECTED = 1e-9
"""Of the largest share: what a sum of cells leaves of the seeds' effects beyond that is not rounding."""


class Table(dict[Cell, dict[object, float]]):
    """The accuracy of each cell and seed.

    Args:
        values: of each.
        trainings: that they are of, and those that came to nothing, also of cells without a value; none of a made-up table.
    """

    def __init__(
        self,
        values: Mapping[Cell, dict[object, float]] | None = None,
        trainings: Mapping[Cell, Trainings] | None = None,
    ) -> None:
        super().__init__(values or {})
        self.trainings = trainings or {}

    def of(self, cells: Iterable[Cell]) -> list[Trainings]:
        """The trainings of these cells."""
        return [self.trainings.get(cell, Trainings()) for cell in cells]

    def at(self, position: str) -> Table:
        """The part of one position."""
        return Table({cell: of for cell, of in self.items() if cell[1] == position}, self.trainings)


def tables_of(rows: Iterable[Row], column: str) -> dict[Group, Table]:
    """One for each comparable group; the last row of a cell and seed counts. What is far off its budget is in none."""
    rows = list(rows)
    spent = Spent(usable(rows))
    trainings = trainings_of(filter(spent.is_compared, rows), lambda row: is_number(row.get(column)))
    tables = {
        group: Table(
            {
                cell: {seed: float(row[column]) for seed, row in of.rows.items()}
                for cell, of in cells.items()
                if of.rows
            },
            cells,
        )
        for group, cells in trainings.items()
    }
    return {group: table for group, table in tables.items() if table}


def positions_of(cells: Iterable[Cell]) -> list[str]:
    there = {place for _, place in cells}
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
        sums: of cells, as the fit has them; None where there is no fit.
        apart: by how much the accuracies of the table differ at most.
    """

    deviation: float | None
    degrees: int
    cells: int
    shared: bool
    networks: dict[Cell, Cell]
    luck: Mapping[object, float] = field(default_factory=dict)
    sums: _Sums | None = None
    apart: float = math.inf

    def sum_of(self, shares: Mapping[Cell, float]) -> tuple[float, float] | None:
        """A sum of cells with shares that add up to 0, whichever seeds each has, and its standard error over the deviation.

        Where all of them have the same n seeds it is the sum of their means, and the second is sqrt(sum of shares^2 / n). None
        where the seeds do not connect these cells.
        """
        return None if self.sums is None else self.sums.of(self.of_networks(shares))

    def of_networks(self, shares: Mapping[Cell, float]) -> dict[Cell, float]:
        """Shares of cells as those of their networks, each of which was trained once."""
        sums: dict[Cell, float] = defaultdict(float)
        for cell, share in shares.items():
            sums[self.networks[cell]] += share
        return sums

    def leveled(self, table: Table) -> Table:
        """The table without the luck of its seeds, so that means of cells with different seeds can be ordered."""
        if len({frozenset(of) for of in table.values()}) <= 1:
            return table
        return Table(
            {
                cell: {seed: value - self.luck.get(seed, 0.0) for seed, value in of.items()}
                for cell, of in table.items()
            },
            table.trainings,
        )


def networks_of(table: Table) -> dict[Cell, Cell]:
    """The first of the cells that are one network: the filler as the block under test is the same one at every position."""
    networks: dict[Cell, Cell] = {}
    for cell in table:
        firsts = [first for first in dict.fromkeys(networks.values()) if first[0] == cell[0]]
        networks[cell] = next(
            (first for first in firsts if is_one_network((table, cell), (table, first))), cell
        )
    return networks


def is_one_network(one: tuple[Table, Cell], other: tuple[Table, Cell]) -> bool:
    """Whether cells of two tables, or of one, are of the same trainings of one network, which stands there under two positions.

    Rows that name the filler say it, and accuracies equal in each seed that both have, in two at least, bear it out. Alone these
    do not show it, as networks tie on few test images: of rows without a filler the losses have to be equal too.
    """
    (a, b), rows = (
        (table[cell] for table, cell in (one, other)),
        [of.rows for table, cell in (one, other) for of in table.of([cell])],
    )
    both = a.keys() & b.keys()
    if not len(both) >= min(2, len(a), len(b)) > 0 or any(a[seed] != b[seed] for seed in both):
        return False
    pairs = [(rows[0].get(seed, {}), rows[1].get(seed, {})) for seed in both]
    filler_flags = {is_filler(row) for pair in pairs for row in pair}
    return (
        filler_flags == {True}
        if None not in filler_flags
        else filler_flags == {None} and all(_alike_in_losses(*pair) for pair in pairs)
    )


def _alike_in_losses(row: Row, other: Row) -> bool:
    names = [name for name in LOSSES if is_number(row.get(name)) and is_number(other.get(name))]
    return bool(names) and all(row.get(name) == other.get(name) for name in (*names, *ACCURACIES))


def fitted_to(table: Table) -> Fitted:
    """By least squares, whichever cells and seeds are there; a network that stands at several positions counts once.

    A seed of one cell alone says nothing of what is left, and is left out.
    """
    networks = networks_of(table)
    cells, seeds, counts, places, values = _seen(table, networks)
    every = [value for of in table.values() for value in of.values()]
    apart = max(every) - min(every) if every else math.inf
    none = Fitted(None, 0, len(cells), shared=True, networks=networks, apart=apart)
    if not places:
        return none
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
    sums = _Sums(cells, places, values, effects)
    return Fitted(deviation, degrees, len(cells), vary_alike(of_cells), networks, luck, sums, apart)


def _seen(
    table: Table, networks: Mapping[Cell, Cell]
) -> tuple[list[Cell], list[object], Counter[object], list[tuple[int, int]], Float[np.ndarray, " values"]]:
    """Cells and seeds that say something of each other, how many cells a seed has, the places of all values, and these."""
    values_of: dict[Cell, dict[object, float]] = defaultdict(dict)
    for cell, first in networks.items():
        values_of[first] |= table[cell]
    counts = Counter(seed for of in values_of.values() for seed in of)
    cells, seeds = list(values_of), [seed for seed, count in counts.items() if count > 1]
    places = [
        (c, s) for c, cell in enumerate(cells) for s, seed in enumerate(seeds) if seed in values_of[cell]
    ]
    return cells, seeds, counts, places, np.array([values_of[cells[c]][seeds[s]] for c, s in places])


def interaction(table: Table, fitted: Fitted, blocks: Collection[str]) -> float | None:
    """Probability of so much interaction of these blocks with their positions where there is none; None without one variance.

    The F test of two fits to the whole table: one with a worth of each cell, and one in which those of these blocks are the sum
    of a worth of the block and one of the position. It holds whichever seeds are missing.
    Source: Scheffé, The Analysis of Variance, 1959, sections 2.4 and 4.4.

    Args:
        table: of accuracies, fractions.
        fitted: to it.
        blocks: that stand at every position of the table, another network at each.
    """
    if not fitted.shared or not fitted.deviation:
        return None
    from scipy.stats import f

    cells, seeds, _, places, values = _seen(table, fitted.networks)
    names = [(name, "") if name in blocks else (name, place) for name, place in cells]
    of_unit = {name: number for number, name in enumerate(dict.fromkeys(names))}
    at = {place: number for number, place in enumerate(positions_of(cells))}
    units = np.array([of_unit[names[c]] for c, _ in places])
    design = np.zeros((len(places), len(seeds) + len(at)))
    for row, (c, s) in enumerate(places):
        design[row, s] = 1
        design[row, len(seeds) + at[cells[c][1]]] = cells[c][0] in blocks
    equations = _within(units, np.column_stack([design, values]))
    solution, _, rank, _ = np.linalg.lstsq(equations[:, :-1], equations[:, -1], rcond=1e-9)
    left = equations[:, -1] - equations[:, :-1] @ solution
    degrees = len(values) - fitted.degrees - len(of_unit) - int(rank)
    more = float(left @ left) - fitted.degrees * fitted.deviation**2
    return float(f.sf(more / degrees / fitted.deviation**2, degrees, fitted.degrees)) if degrees else None


def _within(
    units: Int[np.ndarray, " values"], columns: Float[np.ndarray, "values columns"]
) -> Float[np.ndarray, "values columns"]:
    """Columns less their means within each unit, by which its own worth is fitted."""
    sums = np.zeros((int(units.max()) + 1, columns.shape[1]))
    np.add.at(sums, units, columns)
    return np.asarray(columns - (sums / np.bincount(units)[:, None])[units])


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


class _Sums:
    """Sums of the cells of a fit, and how sure they are.

    A cell is the mean of its values less that of its seeds' effects. These two are independent, as effects are of differences
    within cells alone; so with shares q, counts n, seeds Z and the equations M of the effects the variance of a sum is
    that of one training times sum(q^2 / n) + g M^+ g, g = Z^T (q / n).

    Args:
        cells: of the fit.
        places: the cell and the seed of each value.
        values: of each place.
        effects: of the seeds.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        places: Sequence[tuple[int, int]],
        values: Float[np.ndarray, " values"],
        effects: Float[np.ndarray, " seeds"],
    ) -> None:
        cell, seed = np.array(places).T
        self._number = {name: number for number, name in enumerate(cells)}
        self._there = np.zeros((len(cells), len(effects)))
        self._there[cell, seed] = 1
        self._counts = self._there.sum(1)
        self._worths = np.bincount(cell, values - effects[seed], len(cells)) / np.maximum(self._counts, 1)

    def of(self, shares: Mapping[Cell, float]) -> tuple[float, float] | None:
        """See `Fitted.sum_of`; the shares are of networks."""
        numbers = [self._number[cell] for cell in shares]
        given = np.array(list(shares.values()))
        counts = self._counts[numbers]
        if not counts.all():
            return None
        of_seeds = self._there[numbers].T @ (given / counts)
        through = self._inverse @ of_seeds
        if np.abs(self._equations @ through - of_seeds).max() > CONNECTED * np.abs(given).max():
            return None
        return float(given @ self._worths[numbers]), math.sqrt(
            float((given**2 / counts).sum() + of_seeds @ through)
        )

    @cached_property
    def _equations(self) -> Float[np.ndarray, "seeds seeds"]:
        shares = self._there / np.maximum(self._counts, 1)[:, None]
        return np.asarray(np.diag(self._there.sum(0)) - self._there.T @ shares)

    @cached_property
    def _inverse(self) -> Float[np.ndarray, "seeds seeds"]:
        return np.asarray(np.linalg.pinv(self._equations, rcond=1e-9, hermitian=True))
