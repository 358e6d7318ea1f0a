"""A store read once from its beginning to its end, a few records at a time: each trial with its row of the results table."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from blockzoo.core.reading import Asked, Reading
from blockzoo.core.record import Record
from blockzoo.core.sealed import parsed
from blockzoo.core.store import Store
from blockzoo.core.table import Row

AT_A_TIME = 256
"""Records in memory."""


@dataclass(frozen=True)
class Walk:
    """What is read of a store: the newest record of each trial, and all measurements of times, up to a last one.

    Args:
        reading: over one connection.
        trials: numbers of the newest records of trials, rising.
        timings: numbers of all records of times, rising.
        others: how many records of other kinds there are, by kind, and how many superseded trials.
        way: of the times that rows have.
    """

    reading: Reading
    trials: Sequence[int]
    timings: Sequence[int]
    others: Counter[str]
    way: str

    def each_trial(self) -> Iterator[tuple[Row, Record]]:
        """Rows and their records, oldest first; a trial that has no row, or cannot be read, is left out and said."""
        for numbers in self._parts(self.trials):
            query = replace(self.reading.asked, ids=numbers, way=self.way)
            own = Reading(self.reading.db, query, self.reading.schema, self.reading.faults)
            rows = {row["fingerprint"]: row for row in own.rows()}
            for record in self._records(numbers):
                if record.fingerprint in rows:
                    yield rows[record.fingerprint], record

    def each_timing(self) -> Iterator[Record]:
        """Records of times, oldest first, failed ones too."""
        for numbers in self._parts(self.timings):
            yield from self._records(numbers)

    def _parts(self, numbers: Sequence[int]) -> Iterator[Sequence[int]]:
        for begin in range(0, len(numbers), AT_A_TIME):
            yield numbers[begin : begin + AT_A_TIME]

    def _records(self, numbers: Sequence[int]) -> Iterator[Record]:
        marks = ", ".join("?" * len(numbers))
        for _, record in parsed(self.reading.db, f"r.id IN ({marks})", numbers, self.reading.faults):
            yield record


@contextmanager
def walking(store: Store) -> Iterator[Walk]:
    """A walk over a store as it is now: what is written meanwhile is left out.

    Raises:
        StoreError: the store cannot be read.
    """
    with store.reader(Asked()) as reading:
        db, last = reading.db, reading.asked.upto
        newest = "SELECT max(id) FROM records WHERE kind = 'trial' AND id <= ? GROUP BY fingerprint"
        trials = sorted(number for (number,) in db.execute(newest, (last,)))
        timings = [number for (number,) in db.execute(
            "SELECT id FROM records WHERE kind = 'latency' AND id <= ? ORDER BY id", (last,)
        )]  # fmt: skip
        yield Walk(reading, trials, timings, _others(db, last, len(trials)), reading.way() or "")


def _others(db: sqlite3.Connection, last: int, newest: int) -> Counter[str]:
    kinds = "SELECT kind, count(*) FROM records WHERE id <= ? GROUP BY kind"
    counts = Counter({str(kind): int(count) for kind, count in db.execute(kinds, (last,))})
    counts.pop("latency", None)
    counts["superseded trial"] = counts.pop("trial", 0) - newest
    return +counts
