"""A results table read whole: every cell under its seal, and no index asked what there is.

An index of a damaged file can hide a row, or the times of one, without a sign of it; and a cell that was altered fits no search.
Therefore all rows are read in order, verified and counted, whichever of them are wanted. Of a large table of which only some rows
are wanted that would take longer than all else: those are found by the indexes, and they alone are verified.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from blockzoo.core.columns import KNOWN, OF_TIMES, seal, seal_of
from blockzoo.core.errors import Damaged
from blockzoo.core.sealed import Faults
from blockzoo.core.table import one_way

AT_A_TIME = 1000
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
        *values, mark = cells
        key, way, status, reason, text = values
        if mark != seal(*values):
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
        times = Times()
        query = f"SELECT id, {', '.join(OF_TIMES)}, seal FROM {self.schema}.times NOT INDEXED WHERE id <= ? ORDER BY id"
        count = 0
        for number, *cells in self.db.execute(query, (self.upto,)):
            count += 1
            if not times.add(number, *cells):
                self.faults.note(number, Damaged("the seal of its cells does not fit: they were altered"))
        self._count("latency", count)
        return times

    def wanted(self, condition: str, values: list[Any], *, history: bool) -> dict[int, str]:
        """The trials that fit a condition and are not superseded, by number, oldest first, with their timing keys.

        All trials are verified, whichever fit; those that are not as they were written are left out, and noted.
        """
        newest: dict[bytes, int] = {}
        fitting: dict[int, bytes | None] = {}
        names = ", ".join(f"t.{name}" for name in KNOWN)
        query = (
            f"SELECT t.id, ({condition}), t.seal, {names} FROM {self.schema}.trials t NOT INDEXED"
            " WHERE t.id <= ? ORDER BY t.id"
        )
        count = 0
        with _as_bytes(self.db):
            for number, fits, mark, *cells in self.db.execute(query, (*values, self.upto)):
                count += 1
                if not history and (before := newest.get(cells[0])) is not None:
                    fitting.pop(before, None)
                newest[cells[0]] = number
                if mark != seal_of(cells):
                    self.faults.note(number, Damaged("its seal does not fit: it was altered"))
                elif fits:
                    fitting[number] = cells[1]
        self._count("trial", count)
        return {number: "" if key is None else key.decode() for number, key in fitting.items()}

    def wanted_by_index(self, condition: str, values: list[Any], *, history: bool) -> dict[int, str]:
        """The same by the indexes of the tables, nothing verified: `trials` does that for these alone."""
        trials = f"{self.schema}.trials"
        newer = f"SELECT 1 FROM {trials} n WHERE n.fingerprint = t.fingerprint AND n.id > t.id AND n.id <= ?"
        select = f"SELECT t.id, t.timing_key FROM {trials} t WHERE t.id <= ? AND {condition}"
        if history:
            return dict(self.db.execute(f"{select} ORDER BY t.id", (self.upto, *values)))
        query = f"{select} AND NOT EXISTS ({newer}) ORDER BY t.id"
        return dict(self.db.execute(query, (self.upto, *values, self.upto)))

    def way(self, times: Times, wanted: dict[int, str], timed_on: str | None) -> str | None:
        """The way of the times that a table of these trials shows."""
        return one_way(times.ways, Counter(wanted.values()), timed_on)

    def trials(self, wanted: dict[int, str], *, verified: bool) -> Iterator[tuple[int, str, str]]:
        """Number, timing key and cells of those trials; verified here unless they are."""
        waiting = iter(wanted)
        while numbers := list(itertools.islice(waiting, AT_A_TIME)):
            chosen = f"{self.schema}.trials WHERE id IN ({', '.join(map(str, numbers))}) ORDER BY id"
            names = "cells" if verified else f"seal, {', '.join(KNOWN)}"
            for number, *stored in self.db.execute(f"SELECT id, {names} FROM {chosen}").fetchall():
                if not verified and stored[0] != seal(*stored[1:]):
                    self.faults.note(number, Damaged("its seal does not fit: it was altered"))
                    continue
                yield number, wanted[number], stored[-1]

    def _count(self, kind: str, count: int) -> None:
        """Say where cells are missing. In memory they are made of the records, and what is wrong with these is said then."""
        query = "SELECT count(*) FROM records WHERE kind = ? AND id <= ?"
        (stored,) = self.db.execute(query, (kind, self.upto)).fetchone()
        if self.schema == "main" and stored != count:
            self.faults.sentences.append(
                f"its columns hold {count} records of kind {kind}, and {stored} are stored"
            )


@contextmanager
def _as_bytes(db: sqlite3.Connection) -> Iterator[None]:
    """Within, texts are given as the bytes that they are stored as."""
    before, db.text_factory = db.text_factory, bytes
    try:
        yield
    finally:
        db.text_factory = before
