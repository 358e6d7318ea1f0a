"""Where a block is worth more than elsewhere: the interaction of blocks with positions.

Accuracy of a cell = mean + block + position + specialisation + what is left. The specialisation of a block at a position is how
much better it is there than by its mean over the positions and by the position's mean over the blocks. It sums to 0 over the
positions of a block and over the blocks of a position, so it is said within the blocks of one table. Source: two-way analysis of
variance, as in Scheffé, The Analysis of Variance, 1959, chapter 4; the error is that of `report.additive`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.report.additive import Cell, Fitted, Table, fitted_to, positions_of, tables_of
from blockzoo.report.groups import Row, describe_group
from blockzoo.report.tables import as_cells, as_text, empty_table

if TYPE_CHECKING:
    from jaxtyping import Float
    from rich.console import Group

LEVEL = 0.05
LEAST_BLOCKS = 3


@dataclass(frozen=True)
class Specialisation:
    """Of one block at one position.

    Args:
        block: its name.
        position: where.
        value: the specialisation, a fraction.
        half: half of its interval; all intervals of a table hold together in 95 % of tables.
    """

    block: str
    position: str
    value: float
    half: float

    @property
    def verdict(self) -> str:
        """In words."""
        if abs(self.value) <= self.half:
            return "as elsewhere, as far as can be seen"
        return "better here than elsewhere" if self.value > 0 else "worse here than elsewhere"


@dataclass(frozen=True)
class Specialisations:
    """Of a group of comparable rows.

    Args:
        group: what they have in common.
        column: the accuracy that is looked at.
        cells: of each block at each position.
        left_out: blocks that are not at every position.
        p: probability of so much interaction between blocks and positions where there is none (F test).
        share: of the variance between cells, what neither block nor position explains, noise taken off.
    """

    group: tuple[tuple[str, object], ...]
    column: str
    cells: list[Specialisation]
    left_out: list[str]
    p: float
    share: float


def specialisations(rows: Iterable[Row], *, column: str = "test_acc") -> list[Specialisations]:
    """Of each group of comparable rows that has three or more blocks at two or more positions, and seeds that tell the noise.

    Raises:
        UsageError: no group has.
    """
    made = [
        one for group, table in tables_of(rows, column).items() for one in _of_group(group, table, column)
    ]
    if not made:
        raise UsageError(
            f"specialisation needs {LEAST_BLOCKS} blocks or more at two or more positions, with two seeds or more and one "
            "variance for all"
        )
    return made


def _of_group(group: tuple[tuple[str, object], ...], table: Table, column: str) -> Iterator[Specialisations]:
    positions = [position for position in positions_of(table) if position]
    names = list(dict.fromkeys(name for name, _ in table))
    blocks = [name for name in names if all((name, position) in table for position in positions)]
    fitted = fitted_to(table)
    if len(blocks) < LEAST_BLOCKS or len(positions) < 2 or not fitted.shared or not fitted.deviation:
        return
    order = [(block, position) for block in blocks for position in positions]
    contrasts = _contrasts(len(blocks), len(positions))
    means = np.array([np.mean(list(table[cell].values())) for cell in order])
    errors = fitted.deviation * np.sqrt(_variances(contrasts, order, table, fitted))
    values = contrasts @ means
    from scipy.stats import f, t

    of_one = 1 - (1 - LEVEL) ** (1 / len(order))  # Šidák: all together
    halves = float(t.ppf(1 - of_one / 2, fitted.degrees)) * errors
    degrees = (len(blocks) - 1) * (len(positions) - 1)
    count = len(order) / sum(
        1 / len(table[cell]) for cell in order
    )  # the harmonic mean, where cells differ in seeds
    noise = fitted.deviation**2 / count
    interaction = float(values @ values) / degrees
    total = float(np.var(means)) * len(order)
    yield Specialisations(
        group,
        column,
        [
            Specialisation(block, position, float(value), float(half))
            for (block, position), value, half in zip(order, values, halves, strict=True)
        ],
        [name for name in names if name not in blocks],
        float(f.sf(interaction / noise, degrees, fitted.degrees)),
        max(0.0, degrees * (interaction - noise)) / total if total else 0.0,
    )


def _contrasts(blocks: int, positions: int) -> Float[np.ndarray, "cells cells"]:
    """What each cell's specialisation takes of the mean of each cell."""

    def centred(size: int) -> Float[np.ndarray, "n n"]:
        return np.asarray(np.eye(size) - 1 / size)

    return np.kron(centred(blocks), centred(positions))


def _variances(
    contrasts: Float[np.ndarray, "cells cells"], order: list[Cell], table: Table, fitted: Fitted
) -> Float[np.ndarray, " cells"]:
    """Of each contrast, in units of the variance of one training; cells that are one network are one mean."""
    firsts = [fitted.networks.get(cell, cell) for cell in order]
    variances = np.zeros(len(order))
    for network in dict.fromkeys(firsts):
        members = [place for place, first in enumerate(firsts) if first == network]
        seeds = max(len(table[order[place]]) for place in members)
        variances += contrasts[:, members].sum(1) ** 2 / seeds
    return variances


def specialisation_rows(made: Iterable[Specialisations]) -> list[dict[str, Any]]:
    """One row for each block and position, accuracies as fractions."""
    return [
        {
            "group": describe_group(one.group),
            "column": one.column,
            "block": cell.block,
            "position": cell.position,
            "specialisation": cell.value,
            "low": cell.value - cell.half,
            "high": cell.value + cell.half,
            "verdict": cell.verdict,
            "interaction_p": one.p,
            "interaction_share": one.share,
        }
        for one in made
        for cell in one.cells
    ]


def specialisation_tables(made: Iterable[Specialisations]) -> Group:
    """For the terminal: a line for each block, those that differ most first."""
    from rich.console import Group

    return Group(*[_table(one) for one in made])


def _table(one: Specialisations) -> Any:
    positions = list(dict.fromkeys(cell.position for cell in one.cells))
    told = (
        "points that a block is better at a position than by its mean over the positions and the position's over the blocks, "
        "± half of an interval; all hold together in 95 % of tables; * is not 0. Interaction of blocks and positions: "
        f"p = {one.p:.2g}, {one.share:.0%} of the variance between cells. Positions differ in width and resolution too, and by "
        "default in the blocks that change them (--transition shared: one way for all)"
    )
    if one.left_out:
        told += f"\nnot at every position, and left out: {', '.join(one.left_out)}"
    table = empty_table(describe_group(one.group), told)
    table.add_column("block", no_wrap=True)
    for position in positions:
        table.add_column(position, justify="right", no_wrap=True)
    of_block: dict[str, list[Specialisation]] = {}
    for cell in one.cells:
        of_block.setdefault(cell.block, []).append(cell)
    for block, cells in sorted(of_block.items(), key=lambda pair: -max(abs(cell.value) for cell in pair[1])):
        table.add_row(*as_cells([block]), *[as_text(_text(cell)) for cell in cells])
    return table


def _text(cell: Specialisation) -> str:
    sure = "*" if abs(cell.value) > cell.half else " "
    half = f"{100 * cell.half:.2f}" if math.isfinite(cell.half) else "?"
    return f"{100 * cell.value:+.2f} ± {half}{sure}"
