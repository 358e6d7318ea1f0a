"""Where a block is worth more than elsewhere: the interaction of blocks with positions, as a table.

Accuracy of a cell = mean + block + position + interaction + what is left. What is said of a block at a position is its gain there
less the mean of its gains at its other positions, gains being over the mean of the blocks; so it is said within one table.
Source: two-way analysis of variance, as in Scheffé, The Analysis of Variance, 1959, chapter 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from blockzoo.core import typeset
from blockzoo.core.errors import UsageError
from blockzoo.report.additive import Table, fitted_to, interaction, tables_of
from blockzoo.report.difference import Difference
from blockzoo.report.effects import Effects
from blockzoo.report.effects import specialisations as effects_of
from blockzoo.report.groups import Row, describe_group
from blockzoo.report.trainings import remarks


@dataclass(frozen=True)
class Specialisations:
    """Of a group of comparable rows.

    Args:
        group: what they have in common.
        column: the accuracy that is looked at.
        effects: of each block at each position.
        left_out: blocks that are not at every position, or are one network wherever they stand.
        p: probability of so much interaction of blocks and positions where there is none (F test); None without one variance.
        table: that they are of.
    """

    group: tuple[tuple[str, object], ...]
    column: str
    effects: Effects
    left_out: list[str]
    p: float | None
    table: Table


def specialisations(rows: Iterable[Row], *, column: str = "test_acc") -> list[Specialisations]:
    """Of each group of comparable rows that has two or more blocks at two or more positions, and seeds that tell the noise.

    Raises:
        UsageError: no group has.
    """
    of_groups = []
    for group, table in tables_of(rows, column).items():
        fitted = fitted_to(table)
        effects = effects_of(table, fitted)
        if any(difference.p is not None for difference in effects.differences):
            there = {difference.block for difference in effects.differences}
            left_out = [name for name in dict.fromkeys(name for name, _ in table) if name not in there]
            p = interaction(table, fitted, there)
            of_groups.append(Specialisations(group, column, effects, left_out, p, table))
    if not of_groups:
        raise UsageError(
            "specialisation needs two blocks or more at two or more positions, and two seeds or more of each, which several "
            "share: train failed ones again (blockzoo sweep retry), or more seeds"
        )
    return of_groups


def verdict(difference: Difference) -> str:
    """In words, after Holm's correction over all blocks and positions."""
    if difference.kind in ("better", "worse"):
        return f"{difference.kind} here than elsewhere"
    return "as elsewhere, as far as can be seen"


def specialisation_rows(made: Iterable[Specialisations]) -> list[dict[str, Any]]:
    """One row for each block and position, accuracies as fractions."""
    return [
        {
            "group": describe_group(one.group),
            "column": one.column,
            "block": difference.block,
            "position": difference.position,
            "specialisation": difference.value,
            "low": interval[0] if interval else None,
            "high": interval[1] if interval else None,
            "verdict": verdict(difference),
            "p": difference.p,
            "interaction_p": one.p,
        }
        for one in made
        for difference in one.effects.differences
        for interval in [one.effects.together(difference)]
    ]


def specialisation_tables(made: Iterable[Specialisations]) -> list[typeset.TextTable]:
    """For the terminal: a line for each block, those that differ most first."""
    return [_table(one) for one in made]


def _table(one: Specialisations) -> typeset.TextTable:
    positions = one.effects.positions
    of_test = "" if one.p is None else f" Interaction of blocks and positions: p = {one.p:.2g}."
    caption = (
        "points that a block gains at a position less the mean of its gains at the others, gains being over the mean of the "
        f"blocks; ± half of an interval: all hold together in 95 % of tables; * is not 0 after Holm's correction.{of_test} "
        "Positions differ in width and resolution too, and by default in the blocks that change them (--transition shared: one "
        "way for all)"
    )
    if one.left_out:
        caption += f"\nnot at every position, or one network at all of them: {', '.join(one.left_out)}"
    caption += "".join(f"\n{remark}" for remark in [remarks(one.table.trainings)] if remark)
    of_block: dict[str, dict[str, Difference]] = {}
    for difference in one.effects.differences:
        of_block.setdefault(difference.block, {})[difference.position] = difference
    largest_first = sorted(of_block.items(), key=lambda pair: -max(abs(d.value) for d in pair[1].values()))
    lines = [
        (block, *(_text(one.effects, of[position]) for position in positions)) for block, of in largest_first
    ]
    columns = (
        typeset.name("block"),
        *(typeset.number(position, importance=typeset.HIGH) for position in positions),
    )
    return typeset.TextTable(describe_group(one.group), columns, lines, caption)


def _text(effects: Effects, difference: Difference) -> str:
    interval = effects.together(difference)
    half = "" if interval is None else f" ± {50 * (interval[1] - interval[0]):.2f}"
    sure = "*" if difference.kind in ("better", "worse") else " "
    return f"{100 * difference.value:+.2f}{half}{sure}"
