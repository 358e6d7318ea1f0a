"""Rows of the results table as they are read from a store's columns: a few by their numbers, or all in one verified scan."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from blockzoo.core.columns import FINDING, KNOWN, OF_TIMES, check_columns, seal
from blockzoo.core.errors import Damaged, UsageError
from blockzoo.core.record import plain
from blockzoo.core.scan import Scan, Times
from blockzoo.core.sealed import Faults, parsed
from blockzoo.core.table import COLUMNS, Row, with_reason

LARGE = 20_000
"""Rows of a table that is verified whole whatever is asked of it: a tenth of a second."""


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
            raise UsageError(f"there is no column {unknown[0]!r}; known: {', '.join(COLUMNS)}")

    def fits(self, row: Row) -> bool:
        """Whether a row that was read elsewhere is one of those `where` wants."""
        return all(_is(row.get(name), wanted) for name, wanted in self.where.items())

    def condition(self) -> tuple[str, list[Any]]:
        """The same in SQL, of a trial t."""
        parts: list[str] = ["1"]
        values: list[Any] = []
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
    """What reads a few rows over one connection, by the indexes of the tables; see `Table` for all of them.

    Args:
        db: the connection.
        asked: which rows.
        schema: "main", or "temp" after `columns.in_memory`.
        faults: told of a row that is not as it was written.
    """

    db: sqlite3.Connection
    asked: Asked
    schema: str
    faults: Faults

    def __post_init__(self) -> None:
        self._trials, self._times = f"{self.schema}.trials", f"{self.schema}.times"

    def way(self) -> str | None:
        """The way of the times that the whole table has, by the summary that is kept up to date."""
        best = f"SELECT way FROM {self.schema}.ways ORDER BY trials DESC, newest DESC LIMIT 1"
        return next((way for (way,) in self.db.execute(best)), None)

    def newest(self, fingerprints: Iterable[str]) -> list[int]:
        """The numbers of the newest trials of these fingerprints."""
        query = f"SELECT max(id) FROM {self._trials} WHERE fingerprint = ?"
        numbers = (self.db.execute(query, (fingerprint,)).fetchone()[0] for fingerprint in fingerprints)
        return [number for number in numbers if number is not None]

    def fingerprints(self) -> set[str]:
        """Of all trials."""
        return {fingerprint for (fingerprint,) in self.db.execute(f"SELECT fingerprint FROM {self._trials}")}

    def number_of_last(self) -> int | None:
        """The number of the last trial that is not superseded."""
        query = f"SELECT max(t.id) FROM {self._trials} t"  # no trial is newer than the last
        return next((number for (number,) in self.db.execute(query)), None)

    def since(self, last: int) -> tuple[list[int], set[int], set[int]]:
        """What records after `last` do to a table that ends with it: trials that are new, rows that are others now, and rows that
        are gone, whose trial is among the new ones.
        """
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
        gone = {before for before in superseded.values() if before is not None}
        return list(superseded), changed - gone, gone

    def rows(self) -> Iterator[Row]:
        """The rows, oldest first."""
        way = self.asked.way if self.asked.way is not None else self.way()
        query = f"SELECT {', '.join(KNOWN)}, seal FROM {self._trials} WHERE id = ?"
        known_times: dict[str, Times] = {}

        def trials() -> Iterator[tuple[int, str, str, Times]]:
            for number in sorted(self.asked.ids or ()):
                for *values, mark in self.db.execute(query, (number,)).fetchall():
                    if mark != seal(*values):
                        self.faults.note(number, Damaged("its seal does not fit: it was altered"))
                        continue
                    key = values[1]
                    if key not in known_times:
                        known_times[key] = self._times_of(key)
                    yield number, key, values[-1], known_times[key]

        yield from self._made(trials(), way)

    def _times_of(self, key: str) -> Times:
        query = f"SELECT id, {', '.join(OF_TIMES)}, seal FROM {self._times} WHERE fingerprint = ? AND id <= ? ORDER BY id"
        times = Times()
        for row in self.db.execute(query, (key, self.asked.upto)).fetchall():
            times.add(*row)
        return times

    def _made(self, trials: Iterable[tuple[int, str, str, Times]], way: str | None) -> Iterator[Row]:
        """Rows of numbers, timing keys, cells and times; the first of them compared with its record."""
        wanted = [(name, place) for place, name in enumerate(COLUMNS) if name in self.asked.columns]
        names = {name for name, _ in wanted}
        decoded = _decoder()
        checked = self.schema != "main"
        read: dict[str, Row] = {}
        for number, key, text, times in trials:
            try:
                cells = decoded(text)
                row = {name: cells[place] for name, place in wanted}
                timed, why = times.of(key, way)
            except Damaged as error:
                self.faults.note(number, error)
                continue
            checked = checked or self._check(number)
            if timed not in read:
                read = {timed: {n: cell for n, cell in plain(timed).items() if n in names}}
            row |= read[timed]
            if why and "reason" in names:
                row["reason"] = with_reason(row["reason"], why)
            yield row

    def _check(self, number: int) -> bool:
        """A row against its record, once in a reading; a record that cannot be read is told elsewhere."""
        for _, record in parsed(self.db, "r.id = ?", (number,), Faults()):
            check_columns(self.db, number, record, self.schema)
        return True


def _decoder() -> Callable[[str], Any]:
    """As `plain`, in half the time, and equal texts are one object: of many rows they would take a third of the memory."""
    from pydantic_core import from_json

    def decoded(text: str) -> Any:
        try:
            return from_json(text, allow_inf_nan=False)
        except (ValueError, TypeError):  # half of a surrogate pair, say, which Python reads and writes
            return plain(text)

    return decoded


class Table(Reading):
    """What reads the whole table over one connection, or of it the rows that are asked for.

    All of it is verified, unless only some of more than `LARGE` rows are asked for: then these.
    """

    @cached_property
    def _verified(self) -> bool:
        (rows,) = self.db.execute(f"SELECT count(*) FROM {self._trials}").fetchone()
        return not self.asked.where or rows <= LARGE

    @cached_property
    def _scanned(self) -> tuple[Scan, Times, dict[int, str]]:
        scan = Scan(self.db, self.schema, self.asked.upto, self.faults)
        condition, values = self.asked.condition()
        find = scan.wanted if self._verified else scan.wanted_by_index
        return scan, scan.times(), find(condition, values, history=self.asked.history)

    def way(self) -> str | None:
        """The way of the times that the rows have: that of most of the trials that are asked for, by counting them."""
        scan, times, wanted = self._scanned
        return scan.way(times, wanted, self.asked.timed_on)

    def rows(self) -> Iterator[Row]:
        """The rows, oldest first."""
        scan, times, wanted = self._scanned
        trials = (
            (number, key, text, times) for number, key, text in scan.trials(wanted, verified=self._verified)
        )
        yield from self._made(trials, self.asked.way if self.asked.way is not None else self.way())
