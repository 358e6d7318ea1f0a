"""A results table read whole: every cell under its seal, and no index asked what there is.

An index of a damaged file can hide a row, or the times of one, without a sign of it; and a cell that was altered fits no search.
Therefore all rows are read in order, verified and counted, whichever of them are wanted: 0.4 s of processor for 100,000.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from blockzoo.core.columns import KNOWN, OF_TIMES, seal
from blockzoo.core.errors import Damaged
from blockzoo.core.sealed import Faults
from blockzoo.core.table import one_way

AT_A_TIME = 2000
"""Rows between two locks."""


@dataclass
class Times:
    """The times of all networks.

    Args:
        ways: the networks that have times in each way, by timing key; the way of the newest record last.
        cells: by timing key and way the newest cells, as text, and what is to be said of them.
        reasons: by timing key what the newest record says.
        damaged: timing keys of records whose seal does not fit, and their number.
    """

    ways: dict[str, set[str]] = field(default_factory=dict)
    cells: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, int] = field(default_factory=dict)

    def add(self, number: int, *cells: Any) -> bool:
        """A record's values and its seal, oldest first; whether this fits."""
        *known, mark = cells
        key, way, status, reason, text = known
        if mark != seal(*known):
            self.damaged[str(key)] = number
            return False
        self.reasons[key] = reason
        if status == "ok":
            keys = self.ways.pop(way, set())
            keys.add(key)
            self.ways[way] = keys
            self.cells[key, way] = text, reason
        return True

    def of(self, key: str, way: str | None) -> tuple[str, str]:
        """The newest cells of a network that were taken in a way, and what is to be said of them or of their absence.

        Raises:
            Damaged: some of its times were altered.
        """
        if key in self.damaged:
            raise Damaged(
                f"the seal of its times, record {self.damaged[key]}, does not fit: they were altered"
            )
        return self.cells.get((key, way or ""), ("{}", self.reasons.get(key, "")))


@dataclass(frozen=True)
class Scan:
    """One reading of the tables beside the records.

    Args:
        db: the connection.
        schema: "main", or "temp" after `columns.in_memory`.
        upto: the last record that counts.
        faults: told of rows that are not as they were written, or are missing.
    """

    db: sqlite3.Connection
    schema: str
    upto: int
    faults: Faults

    def times(self) -> Times:
        """All times, verified."""
        found = Times()
        query = f"SELECT id, {', '.join(OF_TIMES)}, seal FROM {self.schema}.times NOT INDEXED WHERE id <= ? ORDER BY id"
        count = 0
        for number, *cells in self.db.execute(query, (self.upto,)):
            count += 1
            if not found.add(number, *cells):
                self.faults.note(number, Damaged("the seal of its cells does not fit: they were altered"))
        self._count("latency", count)
        return found

    def wanted(self, condition: str, values: list[Any], *, history: bool) -> dict[int, str]:
        """The trials that fit a condition and are not superseded, by number, with their timing keys."""
        newest: dict[str, int] = {}
        fitting: dict[int, str] = {}
        known = f"id, fingerprint, timing_key, ({condition})"
        query = f"SELECT {known} FROM {self.schema}.trials t NOT INDEXED WHERE id <= ? ORDER BY id"
        for number, fingerprint, key, fits in self.db.execute(query, (*values, self.upto)):
            if not history and (before := newest.get(fingerprint)) is not None:
                fitting.pop(before, None)
            newest[fingerprint] = number
            if fits:
                fitting[number] = key
        return fitting

    def way(self, times: Times, wanted: dict[int, str], timed_on: str | None) -> str | None:
        """The way of the times that a table of these trials shows."""
        return one_way(times.ways, Counter(wanted.values()), timed_on)

    def trials(self, wanted: dict[int, str]) -> Iterator[tuple[int, str, str]]:
        """Number, timing key and cells of those trials, oldest first; all others are verified too."""
        names = ", ".join(f"t.{name}" for name in KNOWN)
        query = (
            f"SELECT t.id, {names}, t.seal FROM {self.schema}.trials t NOT INDEXED WHERE t.id > ? AND t.id <= ?"
            f" ORDER BY t.id LIMIT {AT_A_TIME}"
        )
        last, more, count = -1, True, 0
        while more:
            found = self.db.execute(query, (last, self.upto)).fetchall()
            more = len(found) == AT_A_TIME
            count += len(found)
            for last, *known, mark in found:
                if mark != seal(*known):
                    self.faults.note(last, Damaged("its seal does not fit: it was altered"))
                elif last in wanted:
                    yield last, known[1], known[-1]
        self._count("trial", count)

    def _count(self, kind: str, count: int) -> None:
        """Say where cells are missing. In memory they are made of the records, and what is wrong with these is said then."""
        query = "SELECT count(*) FROM records WHERE kind = ? AND id <= ?"
        (stored,) = self.db.execute(query, (kind, self.upto)).fetchone()
        if self.schema == "main" and stored != count:
            self.faults.sentences.append(
                f"its columns hold {count} records of kind {kind}, and {stored} are stored"
            )
