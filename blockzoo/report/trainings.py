"""Which trainings a table counts: in each cell those of one network, of each seed the last; and what is said of the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blockzoo.core.record import FINAL
from blockzoo.report.groups import Row, group_of, is_number, is_of_a_search, name_of, tiers_of

Cell = tuple[str, str]
"""A block and the position that it stands at."""
Group = tuple[tuple[str, Any], ...]
"""What rows that may be compared have in common."""
DIVERGED = "diverged"
"""The one outcome without an accuracy that is a property of the block; others have reasons outside."""
OWN = {"lr": "lr {:g}", "active_width": "width x{:g}", "active_blocks": "{:g} blocks a stage"}
"""In what networks of one name can differ within a group: what a search or a budget chose for a block, and how that is said."""


@dataclass(frozen=True)
class Trainings:
    """Those of a block at a position.

    Args:
        rows: that count, by seed; without one, by number.
        lost: seeds that came to nothing, by what became of them.
        older: trainings of other networks of that name, by what tells them apart.
    """

    rows: Mapping[object, Row] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    older: Mapping[str, int] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Seeds that were trained."""
        return len(self.rows) + sum(self.lost.values())

    @property
    def left_out(self) -> str:
        """What does not count, in words; empty for nothing."""
        lost = [f"{count} of {self.number} trainings {status}" for status, count in self.lost.items()]
        return ", ".join([*lost, *older_words(self.older)])

    @property
    def of_others(self) -> str:
        """How many of those that count others handed in, in words; empty for none."""
        tiers = [f"{count} {tier}" for tier, count in tiers_of(self.rows.values()).items()]
        return f"{', '.join(tiers)} of {len(self.rows)}" if tiers else ""


def older_words(older: Mapping[str, int]) -> list[str]:
    """Trainings of older networks, in words.

    Examples:
        >>> older_words({"lr 0.2": 2})
        ['2 older trainings with lr 0.2']
    """
    return [f"{count} older training{'s' * (count > 1)} with {apart}" for apart, count in older.items()]


def diverged(cells: Iterable[Trainings]) -> str:
    """How many trainings of these cells diverged, in words; empty for none."""
    cells = list(cells)
    count = sum(one.lost.get(DIVERGED, 0) for one in cells)
    return f"{count} of {sum(one.number for one in cells)} trainings {DIVERGED}" if count else ""


def remarks(cells: Mapping[Cell, Trainings], blocks: Iterable[str] | None = None) -> str:
    """What does not count in these cells, and what others handed in, a line each, for below a table; empty for nothing.

    Args:
        cells: of a table.
        blocks: those that are spoken of; None for all.
    """
    named = None if blocks is None else {*blocks}
    own = {
        "/".join(filter(None, cell)): one for cell, one in cells.items() if named is None or cell[0] in named
    }
    lines = {
        "left out": {name: one.left_out for name, one in own.items()},
        "handed in by others": {name: one.of_others for name, one in own.items()},
    }
    return "\n".join(
        f"{what}: {'; '.join(f'{name}: {words}' for name, words in of.items() if words)}"
        for what, of in lines.items()
        if any(of.values())
    )


def trainings_of(
    rows: Iterable[Row], has_value: Callable[[Row], bool] = lambda row: True
) -> dict[Group, dict[Cell, Trainings]]:
    """Those of each comparable group. What a learning rate or a block was chosen by is in none.

    Args:
        rows: of a table of results.
        has_value: whether a row that went well has what the table is of.
    """
    groups: dict[Group, dict[Cell, list[tuple[object, Row]]]] = defaultdict(lambda: defaultdict(list))
    for number, row in enumerate(rows):
        if not is_of_a_search(row):
            seed = row.get("seed")
            cell = name_of(row), row.get("position") or ""
            groups[group_of(row)][cell].append((number if seed is None else seed, row))
    return {
        group: {cell: _trainings(of, has_value) for cell, of in cells.items()}
        for group, cells in groups.items()
    }


def _trainings(seeded: list[tuple[object, Row]], has_value: Callable[[Row], bool]) -> Trainings:
    own, older = of_one_network([row for _, row in seeded])
    counted = {id(row) for row in own}
    ended: dict[object, Row] = {}
    failed: dict[object, str] = {}
    for seed, row in seeded:
        if id(row) not in counted:
            continue
        if status_of(row) not in FINAL:
            failed[seed] = status_of(row)
        elif status_of(row) == DIVERGED or has_value(row):
            ended.pop(seed, None)  # the newest come last
            ended[seed] = row
    lost = [DIVERGED for row in ended.values() if status_of(row) == DIVERGED]
    lost += [status for seed, status in failed.items() if seed not in ended]
    return Trainings(
        {seed: row for seed, row in ended.items() if status_of(row) != DIVERGED}, Counter(lost), older
    )


def status_of(row: Row) -> str:
    """What became of its trial; a table without statuses has only those that went well."""
    return row.get("status") or FINAL[0]


def went_well(row: Row) -> bool:
    """Whether its trial did."""
    return status_of(row) == FINAL[0]


def of_one_network(rows: Sequence[Row]) -> tuple[Sequence[Row], dict[str, int]]:
    """The rows of a cell that are of its newest network, and how many others went well, by what tells theirs apart.

    A second search of learning rates, or of widths at a budget of time, chooses another network under the same name, and the mean
    of two networks is that of none. The newest is that of the last row that has an outcome.
    """
    networks = [_network(row) for row in rows]
    if len(set(networks)) == 1:
        return rows, {}
    pairs = list(zip(rows, networks, strict=True))
    newest = next((of for row, of in reversed(pairs) if status_of(row) in FINAL), networks[-1])
    others = [of for row, of in pairs if of != newest and went_well(row)]
    return [row for row, of in pairs if of == newest], Counter(_apart(of, newest) for of in others)


def _network(row: Row) -> tuple[Any, ...]:
    return (
        row.get("lr") if row.get("lr_among") else None,
        row.get("active_width") or 1,
        row.get("active_blocks") or row.get("num_blocks"),
    )


def _apart(network: tuple[Any, ...], newest: tuple[Any, ...]) -> str:
    """In what it differs from the newest one, in words."""
    pairs = zip(OWN.values(), network, newest, strict=True)
    return ", ".join(
        form.format(value) if is_number(value) else f"no {form.partition(' ')[0]}"
        for form, value, other in pairs
        if value != other
    )
