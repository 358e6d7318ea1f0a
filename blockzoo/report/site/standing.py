"""A block in all tables of the results: its lines, its trainings, what their records say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blockzoo.core.record import Record
from blockzoo.core.table import Row
from blockzoo.core.text import plain
from blockzoo.report.site.cards import Card
from blockzoo.report.site.gathered import Told
from blockzoo.report.site.markup import Markup
from blockzoo.report.site.words import Line
from blockzoo.report.statistics import usable


@dataclass(frozen=True)
class Entry:
    """A block at a position of one table.

    Args:
        line: of its leaderboard.
        rows: of its trainings, failed ones too.
        told: of those the records, where a store has them.
    """

    line: Line
    rows: Sequence[Row]
    told: Sequence[Told]

    @property
    def place(self) -> str:
        """The position; empty for a whole network."""
        return str(self.line.place["name"])

    @property
    def title(self) -> str:
        """Of its table, and the position."""
        return f"{self.line.board['title']}{', ' if self.place else ''}{self.place}"

    @property
    def short(self) -> str:
        """Position and budget, which tell the entries of a block apart best."""
        place = {"mean": "mean of positions", "": "network"}.get(self.place, self.place)
        facets = self.line.board["facets"]
        budget = "" if facets["track"] == "native" else f", {facets['track']} {facets['budget']}"
        return f"{place}{budget}"

    @property
    def seeds(self) -> list[int]:
        """Of its trainings."""
        return [seed for row in self.rows if isinstance(seed := row.get("seed"), int)]

    @property
    def address(self) -> str:
        """Of the leaderboard that shows it, from the root of the site."""
        return f"index.html#table={self.line.board['key']}&position={self.place}"


@dataclass(frozen=True)
class Subject:
    """What a page is of.

    Args:
        name: of the block, as results have it.
        stem: of its files.
        entries: of it, by table and position.
        card: what it is, where it is of the zoo.
        latencies: of its networks, by timing key.
        measured: further parts of the card, as markup, that others have measured.
        version: of blockzoo.
        date: of the site.
    """

    name: str
    stem: str
    entries: Sequence[Entry]
    card: Card | None
    latencies: Mapping[str, Sequence[Record]]
    measured: Markup
    version: str
    date: str

    @property
    def shown(self) -> str:
        """The name as pages have it."""
        return plain(self.name, lines=False)

    @property
    def positions(self) -> list[Entry]:
        """Without those that are means over positions."""
        return [entry for entry in self.entries if entry.place != "mean"]


def entries_of(
    lines: Sequence[Line], rows: Mapping[tuple[str, str, str], Sequence[Row]], told: Mapping[str, Told]
) -> list[Entry]:
    """The entries of a block's lines.

    Args:
        lines: of one block.
        rows: by the key of the table, the block and the position.
        told: by fingerprint.
    """
    made = []
    for line in lines:
        own = rows.get((line.board["key"], line.block, str(line.place["name"])), ())
        known = [told[print_] for row in usable(own) if (print_ := str(row.get("fingerprint"))) in told]
        made.append(Entry(line, own, known))
    return made


def lines_of_block(boards: Sequence[Mapping[str, Any]]) -> dict[str, list[Line]]:
    """The lines of all leaderboards by block."""
    by_block: dict[str, list[Line]] = defaultdict(list)
    for board in boards:
        for place in board["places"]:
            for row in range(len(place["block"])):
                line = Line(board, place, row)
                by_block[line.block].append(line)
    return dict(by_block)
