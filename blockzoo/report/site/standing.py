"""A block in all tables of the results: its lines, its trainings, what their records say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from blockzoo.core.record import Record
from blockzoo.core.table import Row
from blockzoo.core.text import plain
from blockzoo.report.groups import is_of_a_search
from blockzoo.report.site.cards import Card
from blockzoo.report.site.gathered import Told
from blockzoo.report.site.markup import Markup
from blockzoo.report.site.words import Line
from blockzoo.report.summaries import usable


@dataclass(frozen=True)
class Entry:
    """A block at a position of one table.

    Args:
        line: of its leaderboard.
        rows: of its trainings, failed ones too.
        told: of those the records, where a store has them.
        table: what tells its table from the others of its block; empty where there is one.
        page: of the leaderboard that shows it.
    """

    line: Line
    rows: Sequence[Row]
    told: Sequence[Told]
    table: str = ""
    page: str = "index.html"

    @property
    def place(self) -> str:
        """The position; empty for a whole network."""
        return str(self.line.place["name"])

    @property
    def short(self) -> str:
        """The position, and the table where the block is in several: they tell its entries apart."""
        place = {"mean": "mean of positions", "": "network"}.get(self.place, self.place)
        return f"{place}{', ' if self.table else ''}{self.table}"

    @property
    def accuracy(self) -> str:
        """To be cited: mean and interval in percent, what they are of where they are not the test set's of the one table, and how
        many of its trainings others handed in.
        """
        qualifiers = [part for part in (self.table, self.line.of_validation, self.line.of_others) if part]
        return f"{self.line.accuracy} %" + (f" ({', '.join(qualifiers)})" if qualifiers else "")

    @property
    def seeds(self) -> list[int]:
        """Of its trainings, without those that learning rates were chosen by."""
        rows = [row for row in self.rows if not is_of_a_search(row)]
        return [seed for row in rows if isinstance(seed := row.get("seed"), int)]

    @property
    def address(self) -> str:
        """Of the leaderboard that shows it, from the root of the site."""
        return f"{self.page}#table={self.line.board['key']}&position={self.place}"


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
    lines: Sequence[Line],
    rows: Mapping[tuple[str, str, str], Sequence[Row]],
    told: Mapping[str, Told],
    pages: Mapping[str, str] = MappingProxyType({}),
) -> list[Entry]:
    """The entries of a block's lines.

    Args:
        lines: of one block.
        rows: by the key of the table, the block and the position.
        told: by fingerprint.
        pages: of the leaderboard of each table, by its key, where there are several.
    """
    entries, tables = [], told_apart([line.board for line in lines])
    for line in lines:
        key = line.board["key"]
        own = rows.get((key, line.block, str(line.place["name"])), ())
        trainings = [told[print_] for row in usable(own) if (print_ := str(row.get("fingerprint"))) in told]
        entries.append(Entry(line, own, trainings, tables[key], pages.get(key, Entry.page)))
    return entries


def told_apart(boards: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By the key of each table what tells it from the others; "" where there is one.

    That is as few of its facets as do, else the words of its title that not all have, else its key.
    """
    by_key = {board["key"]: board for board in boards}
    if len(by_key) == 1:
        return dict.fromkeys(by_key, "")
    labels: dict[str, tuple[str, ...]] = dict.fromkeys(by_key, ())
    for facet in ("dataset", "protocol", "budget"):
        finer = {key: (*words, _facet(by_key[key], facet)) for key, words in labels.items()}
        if len(set(finer.values())) > len(set(labels.values())):
            labels = finer
    if len(set(labels.values())) < len(labels):
        titles = {key: board["title"].split(", ") for key, board in by_key.items()}
        common = set.intersection(*map(set, titles.values()))
        labels = {key: tuple(word for word in words if word not in common) for key, words in titles.items()}
    often = Counter(labels.values())
    return {key: ", ".join(of) if of and often[of] == 1 else f"table {key}" for key, of in labels.items()}


def _facet(board: Mapping[str, Any], name: str) -> str:
    facets = board["facets"]
    if name != "budget":
        return str(facets[name])
    return "no budget" if facets["track"] == "native" else f"{facets['track']} {facets['budget']}"


def lines_of_block(boards: Sequence[Mapping[str, Any]]) -> dict[str, list[Line]]:
    """The lines of all leaderboards by block."""
    by_block: dict[str, list[Line]] = defaultdict(list)
    for board in boards:
        for place in board["places"]:
            for row in range(len(place["block"])):
                line = Line(board, place, row)
                by_block[line.block].append(line)
    return dict(by_block)
