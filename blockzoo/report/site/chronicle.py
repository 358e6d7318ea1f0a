"""What changed since: a file beside the pages to which every making of the site that changes a figure adds a line, and its page.

A line holds the figures of that day and the digest of the line before it, so that a line that was altered since is seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockzoo.core.errors import Damaged
from blockzoo.core.record import plain as read_json
from blockzoo.report.site.markup import EMPTY, Markup, joined, tag
from blockzoo.report.site.words import Line, at

FILE = "history.jsonl"
MOST = 30
"""Changes of a table on one day that the page lists; it counts the others."""
State = dict[str, dict[str, Any]]
"""By the key of a table: its title, and of each position and block mean, seeds, rank and verdict."""


def state_of(boards: Iterable[Mapping[str, Any]]) -> State:
    """The figures of the day."""
    return {
        board["key"]: {
            "title": board["title"],
            "figures": {
                json.dumps([place["name"], board["blocks"][place["block"][row]]]): _figure(
                    Line(board, place, row)
                )
                for place in board["places"]
                for row in range(len(place["block"]))
            },
        }
        for board in boards
    }


def _figure(line: Line) -> list[Any]:
    against, rank = line.against, line.place["rank"][line.row]
    verdict = against[1].partition(":")[0] if against else ""
    return [line.mean, at(line.place["n"], line.row), rank[0] if rank else None, verdict]


@dataclass(frozen=True)
class Day:
    """One line of the file.

    Args:
        date: of the day, UTC, ISO 8601.
        version: of blockzoo.
        trainings: of the results.
        state: its figures.
    """

    date: str
    version: str
    trainings: int
    state: State

    def line(self, before: str) -> str:
        """Its text, which ends with its end of line.

        Args:
            before: the text of the line before it; empty for the first.
        """
        digest = hashlib.sha256(before.encode()).hexdigest() if before else ""
        fields = {"date": self.date, "version": self.version, "trainings": self.trainings, "after": digest}
        return json.dumps({**fields, "state": self.state}, separators=(",", ":"), allow_nan=False) + "\n"


def read(path: Path) -> tuple[list[Day], str]:
    """The entries of a file, the oldest first, and its last line; none where there is no file.

    Raises:
        Damaged: a line is not as it was written, or one before it was altered.
    """
    entries: list[Day] = []
    before = ""
    if not path.is_file():
        return entries, before
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            try:
                value = read_json(line)
                entry = Day(*(value[name] for name in ("date", "version", "trainings", "state")))
                whole = entry.line(before) == line
            except (Damaged, KeyError, TypeError):
                whole = False
            if not whole:
                raise Damaged(
                    f"{path}, line {number}: it is not as it was written, or the line before it is not; put back a copy of the "
                    "file, or move it away to begin a history anew"
                )
            entries.append(entry)
            before = line
    return entries, before


def continued(path: Path, now: Day) -> tuple[list[Day], str]:
    """The entries with today's, and what is to be added to the file: nothing where no figure changed.

    Args:
        path: of the file.
        now: today's entry.
    """
    entries, before = read(path)
    if entries and json.loads(json.dumps(now.state)) == entries[-1].state:
        return entries, ""
    return [*entries, now], now.line(before)


def changes(before: State, after: State) -> Iterator[tuple[str, list[str]]]:
    """Of each table that changed its title and what changed, verdicts and ranks before means."""
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if old is None or new is None:
            title = (new or old or {})["title"]
            yield title, ["a new table" if old is None else "the table is gone"]
        elif sentences := _within(old["figures"], new["figures"]):
            yield new["title"], sentences


def _within(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    blocks, verdicts, ranks, means = [], [], [], []
    for cell in {**old, **new}:
        place, block = json.loads(cell)
        name = (
            f"{block} at {place}"
            if place not in ("", "mean")
            else f"{block}{', mean of positions' if place else ''}"
        )
        if cell not in old or cell not in new:
            blocks.append(f"{name}: {'new' if cell not in old else 'gone'}{_percent(new.get(cell))}")
            continue
        (mean, n, rank, verdict), (mean_now, n_now, rank_now, verdict_now) = old[cell], new[cell]
        seeds = f" ({n} to {n_now} seeds)" if n != n_now else ""
        if verdict != verdict_now:
            verdicts.append(f"{name}: {verdict or 'no verdict'} became {verdict_now or 'no verdict'}{seeds}")
        if rank != rank_now:
            ranks.append(f"{name}: rank {rank or 'none'} became {rank_now or 'none'}{seeds}")
        elif mean != mean_now or n != n_now:
            means.append(f"{name}: {_number(mean)} became {_number(mean_now)}{seeds}")
    return [*blocks, *verdicts, *ranks, *means]


def _percent(figure: Sequence[Any] | None) -> str:
    return "" if figure is None or figure[0] is None else f", {_number(figure[0])} % of n = {figure[1]}"


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.2f}"


def body_of(entries: Sequence[Day]) -> Markup:
    """The main part of the page, the newest day first."""
    days = []
    for number in range(len(entries) - 1, -1, -1):
        entry, before = entries[number], entries[number - 1].state if number else {}
        by_table = list(changes(before, entry.state))
        parts = [joined([tag("h3", title), _listed(what)]) for title, what in by_table]
        head = tag("h2", tag("time", entry.date[:10], datetime=entry.date))
        count = f"{entry.trainings:,} trainings, by blockzoo {entry.version}"
        days.append(tag("section", head, tag("p", count, class_="quiet"), *parts))
    lead = tag("p", "What changed since, the newest day first. Nothing is taken out again.", class_="lead")
    return joined([tag("h1", "History"), lead, *days])


def _listed(what: Sequence[str]) -> Markup:
    shown = tag("ul", *(tag("li", one) for one in what[:MOST]), class_="changes")
    rest = what[MOST:]
    more = tag(
        "details",
        tag("summary", f"{len(rest)} more"),
        tag("ul", *(tag("li", one) for one in rest), class_="changes"),
    )
    return joined([shown, more if rest else EMPTY])
