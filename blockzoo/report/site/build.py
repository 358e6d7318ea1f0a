"""The site of a results folder: every page, written from the results alone."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from blockzoo import __version__
from blockzoo.core.files import append_text, write_text
from blockzoo.core.outcomes import Outcomes
from blockzoo.core.record import now
from blockzoo.core.table import OWN, Row
from blockzoo.core.text import csv_text, file_name, plain
from blockzoo.report.comparable import Comparable
from blockzoo.report.groups import name_of
from blockzoo.report.site.api import Figures, api_files, split_of
from blockzoo.report.site.block_page import body_of
from blockzoo.report.site.boards import board_of, titles_of
from blockzoo.report.site.cards import card_of
from blockzoo.report.site.chronicle import FILE, Day, continued, state_of
from blockzoo.report.site.chronicle import body_of as chronicle_of
from blockzoo.report.site.evidence import badges_of
from blockzoo.report.site.further import Further
from blockzoo.report.site.gathered import Gathered, gather
from blockzoo.report.site.leaderboard import leaderboard
from blockzoo.report.site.lenses import company_body
from blockzoo.report.site.markup import EMPTY, Markup
from blockzoo.report.site.pairs import Pairs
from blockzoo.report.site.shell import Shell
from blockzoo.report.site.standing import Entry, Subject, entries_of, lines_of_block
from blockzoo.report.site.versus import comparable_of, compare_page, outcomes_of
from blockzoo.report.site.words import at
from blockzoo.report.summaries import usable

MOST_BYTES = 4 * 2**20
"""Of the data of one page; further tables go to pages of their own."""


@dataclass(frozen=True)
class Site:
    """A site that is being made.

    Args:
        gathered: its results.
        title: of its pages.
        made: when.
        measured: what more there is to say of a block of the zoo, by its name and one of its rows.
        further: what there is of other lenses.
    """

    gathered: Gathered
    title: str = "blockzoo leaderboard"
    made: str = field(default_factory=now)
    measured: Callable[[str, Row], Markup] | None = None
    further: Further = Further()

    @cached_property
    def groups(self) -> list[Comparable]:
        """What stands on leaderboards: groups with a training of one block among equal fillers that ended."""
        return [of for of in self.gathered.groups if of.table]

    @cached_property
    def pairs(self) -> list[Pairs]:
        """Of each group."""
        return [Pairs(of) for of in self.groups]

    @cached_property
    def boards(self) -> list[dict[str, Any]]:
        """Of each group."""
        timed = self.gathered.timed_groups
        return [
            board_of(
                of,
                title,
                pairs,
                {way: groups[of.group] for way, groups in timed.items() if of.group in groups},
            )
            for of, title, pairs in zip(self.groups, titles_of(self.groups), self.pairs, strict=True)
        ]

    @cached_property
    def _addresses(self) -> dict[str, str]:
        return addresses_of(sorted({name_of(row) for of in self.groups for row in of.rows}))

    @property
    def addresses(self) -> dict[str, str]:
        """The page of each block, by its name as pages show it."""
        return {plain(name, lines=False): address for name, address in self._addresses.items()}

    @cached_property
    def frame(self) -> Shell:
        """What its pages share."""
        compared = [
            (board["key"]) for board in self.boards if any(place["pairs"] for place in board["places"])
        ]
        pages = [("Leaderboard", "index.html"), *(("Compare", f"compare-{key}.html") for key in compared[:1])]
        pages += [(words, address) for address, words, _ in self._further]
        pages += [("History", "history.html")]
        source = f"{self.gathered.name} ({len(self.gathered.rows):,} trainings)"
        footer = f"Made {self.made[:10]} from {source} by blockzoo {__version__}."
        return Shell(plain(self.title, lines=False), plain(footer, lines=False), pages)

    @property
    def lead(self) -> str:
        """What the results are."""
        rows = [row for of in self.groups for row in usable(of.rows)]
        blocks = len({name_of(row) for row in rows})
        datasets = ", ".join(dict.fromkeys(str(row["dataset"]) for row in rows if row.get("dataset")))
        tables = (
            ""
            if len(self.groups) == 1
            else f" in {len(self.groups)} tables, each of which compares only what is comparable"
        )
        return plain(
            f"{blocks} blocks, {len(rows):,} trainings{' on ' + datasets if datasets else ''}{tables}.",
            lines=False,
        )

    @cached_property
    def _further(self) -> list[tuple[str, str, Markup]]:
        """Address, words and body of the pages of other questions, where the results have them."""
        crossed = [of for of in self.gathered.groups if of.crossed]
        pages = [
            ("company.html", "In company", company_body(crossed)),
            *self.further.pages(self.gathered.groups),
        ]
        return [page for page in pages if page[2]]

    def today(self) -> Day:
        """What its history says of it."""
        return Day(self.made, __version__, len(self.gathered.rows), state_of(self.boards))

    def pages(self, history: Sequence[Day]) -> Iterator[tuple[str, str]]:
        """The address and the text of every file.

        Args:
            history: the days before, and today.
        """
        yield from self._leaderboards()
        yield "history.html", self.frame.page("History", chronicle_of(history), here="history.html")
        for address, words, body in self._further:
            yield address, self.frame.page(words, body, here=address)
        yield from self._compared()
        yield from self._blocks()
        lines = list(lines_of(self.boards))
        yield "leaderboard.csv", csv_text(lines)
        yield from api_files(self._told_by_api(lines))

    def _told_by_api(self, lines: list[dict[str, Any]]) -> Figures:
        keyed = {board["key"]: (board, of.rows) for board, of in zip(self.boards, self.groups, strict=True)}
        return Figures(plain(self.title, lines=False), self.made, lines, keyed, self.addresses)

    @cached_property
    def _parts(self) -> dict[str, list[dict[str, Any]]]:
        """The leaderboards by the address of their page."""
        names = itertools.chain(["index.html"], (f"index-{number}.html" for number in itertools.count(2)))
        return dict(zip(names, in_parts(self.boards), strict=False))

    def _leaderboards(self) -> Iterator[tuple[str, str]]:
        for name, part in self._parts.items():
            elsewhere = [
                (board["title"], f"{other}#table={board['key']}")
                for other, boards in self._parts.items()
                for board in boards
                if other != name
            ]
            blocks = {block for board in part for block in board["blocks"]}
            addresses = {block: address for block, address in self.addresses.items() if block in blocks}
            yield name, leaderboard(self.frame, part, addresses, self.lead, here=name, elsewhere=elsewhere)

    def _compared(self) -> Iterator[tuple[str, str]]:
        there = [
            (board, pairs)
            for board, pairs in zip(self.boards, self.pairs, strict=True)
            if any(place["pairs"] for place in board["places"])
        ]
        titles = [(board["title"], f"compare-{board['key']}.html") for board, _ in there]
        for (board, pairs), (_, here) in zip(there, titles, strict=True):
            by_cell = outcomes_of(pairs, self._outcomes)
            others = [(title, address) for title, address in titles if address != here]
            shown = comparable_of(board, pairs, by_cell)
            yield here, compare_page(self.frame, shown, self.addresses, others, here)

    def _outcomes(self, fingerprint: str) -> Outcomes | None:
        training = self.gathered.told.get(fingerprint)
        return None if training is None else training.outcomes

    def _subject(self, name: str, address: str, entries: Sequence[Entry]) -> Subject:
        stem = address.removeprefix("blocks/").removesuffix(".html")
        card, measured = card_of(name), EMPTY
        rows = [row for entry in entries for row in usable(entry.rows)]
        if card is not None and self.measured is not None and rows:
            measured = self.measured(name.partition(" ")[0], rows[0])
        return Subject(name, stem, entries, card, self.gathered.latencies, measured, __version__, self.made)

    def _blocks(self) -> Iterator[tuple[str, str]]:
        rows: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for of, board in zip(self.groups, self.boards, strict=True):
            for row in of.rows:
                shown = plain(name_of(row), lines=False)
                rows[board["key"], shown, row.get("position") or ""].append(row)
        lines = lines_of_block(self.boards)
        pages = {board["key"]: page for page, boards in self._parts.items() for board in boards}
        for name, address in self._addresses.items():
            if (shown := plain(name, lines=False)) not in lines:
                continue
            entries = entries_of(lines[shown], rows, self.gathered.told, pages)
            subject = self._subject(name, address, entries)
            yield address, self.frame.page(shown, body_of(subject), here=address)
            yield from badges_of(subject)


def addresses_of(blocks: Iterable[str]) -> dict[str, str]:
    """An address for each name; names that would have one address are numbered."""
    addresses: dict[str, str] = {}
    taken: set[str] = set()
    for block in blocks:
        stem = file_name(block)[:80]
        name = next(
            name
            for number in range(1, 10**6)
            if (name := stem + f"-{number}" * (number > 1)).lower() not in taken
        )
        taken.add(name.lower())
        addresses[plain(block, lines=False)] = f"blocks/{name}.html"
    return addresses


def in_parts(boards: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Boards in their order, in parts whose data a page can carry; at least one part."""
    parts: list[list[dict[str, Any]]] = [[]]
    size = 0
    for board in boards:
        own = len(json.dumps(board, separators=(",", ":")))
        if parts[-1] and size + own > MOST_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(board)
        size += own
    return parts


def lines_of(boards: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The leaderboards as rows, for programs: one for each table, position and block."""
    for board in boards:
        for place in board["places"]:
            for row, block in enumerate(place["block"]):
                rank, together = place["rank"][row], place["together"][row]
                yield {
                    "table": board["title"],
                    "position": place["name"],
                    "block": board["blocks"][block],
                    "accuracy_percent": place["mean"][row],
                    "accuracy_of": split_of(board),
                    "low": together[0] if together else None,
                    "high": together[1] if together else None,
                    "tier": at(place["tier"], row) or OWN,
                    "n": place["n"][row] if isinstance(place["n"], list) else place["n"],
                    "rank": rank[0] if rank else None,
                    "rank_low": rank[1] if rank and len(rank) > 1 else None,
                    "rank_high": rank[2] if rank and len(rank) > 1 else None,
                    "p_best": place["best"][row],
                }


def build_site(
    source: str | Path,
    output: str | Path,
    *,
    title: str | None = None,
    measured: Callable[[str, Row], Markup] | None = None,
    further: Further | None = None,
) -> list[Path]:
    """Write the site of a results folder, a store or a table.

    Args:
        source: the results.
        output: the folder of the site.
        title: of its pages.
        measured: what more there is to say of a block of the zoo, by its name and one of its rows.
        further: what there is of other lenses.

    Returns:
        The files.

    Raises:
        UsageError, StoreError: the results cannot be read, or the folder cannot be written.
        Damaged: the history in the folder is not as it was written.
    """
    site = Site(gather(source), title or Site.title, measured=measured, further=further or Further())
    folder, written = Path(output), []
    history, line = continued(folder / FILE, site.today())
    for address, text in site.pages(history):
        write_text(folder / address, text, durable=False)
        written.append(folder / address)
    if line:  # last: a site that was not made has no day
        append_text(folder / FILE, line)
    return [*written, folder / FILE]
