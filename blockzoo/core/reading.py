"""Rows of the results table as they are read from a store's columns, some at a time, so that no lock is held for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blockzoo.core.columns import FINDING, OF_TIMES, check_columns, seal
from blockzoo.core.errors import Damaged, RequestError
from blockzoo.core.record import plain
from blockzoo.core.sealed import Faults, parsed
from blockzoo.core.table import COLUMNS, Row, one_way, with_reason

AT_A_TIME = 2000
"""Rows between two locks."""


@dataclass(frozen=True)
class Asked:
    """Which rows are wanted.

    Args:
        where: columns and the values they are to have, as texts; "" for none.
        history: the superseded trials too.
        timed_on: which times, see `core.table.rows`.
        way: the very way of the times, where it is known.
        ids: only the trials of these numbers.
        columns: those that the rows have.
        upto: the last record that counts.
    """

    where: Mapping[str, str] = field(default_factory=dict)
    history: bool = False
    timed_on: str | None = None
    way: str | None = None
    ids: Collection[int] | None = None
    columns: Sequence[str] = tuple(COLUMNS)
    upto: int = 2**62

    def __post_init__(self) -> None:
        if unknown := [name for name in self.where if name not in COLUMNS]:
            raise RequestError(f"there is no column {unknown[0]!r}; known: {', '.join(COLUMNS)}")

    @property
    def is_all(self) -> bool:
        """Whether the times are those of the whole table."""
        return not (self.where or self.history or self.timed_on or self.ids is not None)

    def fits(self, row: Row) -> bool:
        """Whether a row that was read elsewhere is one of those `where` wants."""
        return all(_is(row.get(name), wanted) for name, wanted in self.where.items())

    def condition(self, trials: str) -> tuple[str, list[Any]]:
        """The same in SQL, of a trial t."""
        parts: list[str] = ["t.id <= ?"]
        values: list[Any] = [self.upto]
        if not self.history:
            newer = "n.fingerprint = t.fingerprint AND n.id > t.id AND n.id <= ?"
            parts.append(f"NOT EXISTS (SELECT 1 FROM {trials} n WHERE {newer})")
            values.append(self.upto)
        for name, wanted in self.where.items():
            number = _number(wanted)
            cell = (
                f"t.{name}" if name in FINDING else f"json_extract(t.cells, '$[{list(COLUMNS).index(name)}]')"
            )
            if name in FINDING or number is None:
                parts.append(f"{cell} = ?" if name in FINDING else f"COALESCE({cell}, '') = ?")
            else:
                parts.append(f"{cell} IN (?, ?)")
                values.append(number)
            values.append(wanted)
        if self.ids is not None:
            parts.append(f"t.id IN ({', '.join(str(int(number)) for number in self.ids)})")
        return " AND ".join(parts), values


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is(cell: Any, wanted: str) -> bool:
    return ("" if cell is None else cell) in (wanted, _number(wanted) if wanted else "")


@dataclass
class Reading:
    """What is read over one connection.

    Args:
        db: the connection.
        asked: which rows.
        schema: "main", or "temp" after `columns.in_memory`.
        damaged: told of a row whose seal does not fit.
    """

    db: sqlite3.Connection
    asked: Asked
    schema: str
    damaged: Callable[[int, Exception], None]

    def __post_init__(self) -> None:
        self._trials, self._times = f"{self.schema}.trials", f"{self.schema}.times"
        self._condition, self._values = self.asked.condition(self._trials)

    def way(self) -> str | None:
        """The way of the times that the rows have: of all trials by the summary, of some by counting them."""
        if self.schema == "main" and self.asked.is_all:
            best = f"SELECT way FROM {self.schema}.ways ORDER BY trials DESC, newest DESC LIMIT 1"
            return next((way for (way,) in self.db.execute(best)), None)
        keys = dict(
            self.db.execute(
                f"SELECT t.timing_key, count(*) FROM {self._trials} t WHERE {self._condition} GROUP BY t.timing_key",
                self._values,
            )
        )
        return one_way(self._ways(), keys, self.asked.timed_on)

    def _ways(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        newest: dict[str, int] = {}
        query = f"SELECT way, fingerprint, max(id) FROM {self._times} WHERE status = 'ok' AND id <= ? GROUP BY way, fingerprint"
        for way, key, number in self.db.execute(query, (self.asked.upto,)):
            found.setdefault(way, set()).add(key)
            newest[way] = max(newest.get(way, 0), number)
        return {way: found[way] for way in sorted(found, key=newest.__getitem__)}

    def newest(self, fingerprints: Iterable[str]) -> list[int]:
        """The numbers of the newest trials of these fingerprints."""
        query = f"SELECT max(id) FROM {self._trials} WHERE fingerprint = ?"
        found = (self.db.execute(query, (fingerprint,)).fetchone()[0] for fingerprint in fingerprints)
        return [number for number in found if number is not None]

    def fingerprints(self) -> set[str]:
        """Of all trials."""
        return {fingerprint for (fingerprint,) in self.db.execute(f"SELECT fingerprint FROM {self._trials}")}

    def number_of_last(self) -> int | None:
        """The number of the last trial that is not superseded."""
        query = f"SELECT max(t.id) FROM {self._trials} t"  # no trial is newer than the last
        return next((number for (number,) in self.db.execute(query)), None)

    def since(self, last: int) -> tuple[list[int], set[int]]:
        """What records after `last` do to a table that ends with it: trials that are new, and rows that are others now."""
        newer = f"SELECT 1 FROM {self._trials} n WHERE n.fingerprint = t.fingerprint AND n.id > t.id"
        new = f"SELECT t.id, t.fingerprint FROM {self._trials} t WHERE t.id > ? AND NOT EXISTS ({newer}) ORDER BY t.id"
        earlier = f"SELECT max(id) FROM {self._trials} WHERE fingerprint = ? AND id <= ?"
        superseded = {
            number: self.db.execute(earlier, (fingerprint, last)).fetchone()[0]
            for number, fingerprint in self.db.execute(new, (last,)).fetchall()
        }
        keys = self.db.execute(
            f"SELECT DISTINCT fingerprint FROM {self._times} WHERE id > ?", (last,)
        ).fetchall()
        timed = (
            f"SELECT t.id FROM {self._trials} t WHERE t.timing_key = ? AND t.id <= ? AND NOT EXISTS ({newer})"
        )
        changed = {number for (key,) in keys for (number,) in self.db.execute(timed, (key, last))}
        return list(superseded), changed | {before for before in superseded.values() if before is not None}

    def rows(self) -> Iterator[Row]:
        """The rows, oldest first."""
        way = self.asked.way if self.asked.way is not None else self.way()
        wanted = [(name, place) for place, name in enumerate(COLUMNS) if name in self.asked.columns]
        names = {name for name, _ in wanted}
        of_times = self._cells_of_times(way, names)
        query = (
            f"SELECT t.id, t.timing_key, t.cells, t.seal FROM {self._trials} t WHERE t.id > ? AND {self._condition}"
            f" ORDER BY t.id LIMIT {AT_A_TIME}"
        )
        last, more, checked = -1, True, False
        while more:
            found = self.db.execute(query, (last, *self._values)).fetchall()
            more = len(found) == AT_A_TIME
            for last, key, text, mark in found:
                try:
                    if mark != seal(key, text):
                        raise Damaged("its seal does not fit: it was altered")
                    cells = plain(text)
                    row = {name: cells[place] for name, place in wanted}
                    times, why = of_times(key)
                except Damaged as error:
                    self.damaged(last, error)
                    continue
                if not checked and self.schema == "main":
                    checked = self._check(last)
                row |= times
                if why and "reason" in names:
                    row["reason"] = with_reason(row["reason"], why)
                yield row

    def _check(self, number: int) -> bool:
        """A row against its record, once in a reading; a record that cannot be read is told elsewhere."""
        for _, record in parsed(self.db, "r.id = ?", (number,), Faults()):
            check_columns(self.db, number, record, self.schema)
        return True

    def _cells_of_times(self, way: str | None, names: set[str]) -> Callable[[str], tuple[Row, str]]:
        """By timing key the cells of the newest times that were taken in a way, and what is to be said of them."""
        query = f"SELECT id, {', '.join(OF_TIMES)}, seal FROM {self._times} WHERE fingerprint = ? AND id <= ? ORDER BY id DESC"
        read: dict[str, tuple[Row, str]] = {}

        def of(key: str) -> tuple[Row, str]:
            if key not in read:
                why = None
                for number, *known, mark in self.db.execute(query, (key, self.asked.upto)).fetchall():
                    if mark != seal(*known):
                        raise Damaged(
                            f"the seal of its times, record {number}, does not fit: they were altered"
                        )
                    _, taken, status, reason, text = known
                    if status == "ok" and taken == way:
                        read[key] = {n: cell for n, cell in plain(text).items() if n in names}, reason
                        break
                    why = reason if why is None else why  # of the newest
                else:
                    read[key] = {}, why or ""
            return read[key]

        return of
