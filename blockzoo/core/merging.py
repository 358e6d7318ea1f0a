"""Stores made one: the records of other stores copied into one, each verified on the way, as they stand, in their order.

Nothing is parsed that need not be: a record is copied with its seal, and its row of the table with that of the row. What is
there already is not copied again, and a result that is there is not superseded.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from blockzoo.core import columns
from blockzoo.core.columns import seal
from blockzoo.core.errors import Damaged
from blockzoo.core.record import FINAL, plain
from blockzoo.core.schema import SEALED, about, columns_of
from blockzoo.core.sealed import Faults, parsed, record_of
from blockzoo.core.spec import fingerprint_of
from blockzoo.core.store import Store

log = logging.getLogger(__name__)
SEVERAL = ("latency",)
"""Kinds of which a network has several that all count; of any other, one result answers the request."""
CACHE_MIB = 256
"""Of pages of the store, while it is written: its indexes are in no order of time."""
AT_ONCE = 10_000


@dataclass
class Merged:
    """What came of the records of a store.

    Args:
        copied: so many.
        there: were there already, the very same.
        answered: of requests that have a result already, which stays.
        damaged: were not as they had been written, and are left out; the store they lie in says which.
    """

    copied: int = 0
    there: int = 0
    answered: int = 0
    damaged: int = 0


def merge(target: Store, source: Store) -> Merged:
    """Copy the records of a store into another, all or, where this raises, none.

    Raises:
        StoreError: one of them cannot be read or written.
    """
    with source.database.reading() as given, target.database.writing() as db:
        db.execute(f"PRAGMA cache_size = {-1024 * CACHE_MIB}")
        merged, numbers, kinds = Merged(), dict[int, int](), Counter[str]()
        environments = _environments(given, db)
        for several in _in_parts(_chosen(given, db, environments, merged, numbers)):
            kinds.update(str(row[1]) for row in several)
            marks = ", ".join("?" * (len(SEALED) + 2))
            db.executemany(f"INSERT INTO records (id, {', '.join(SEALED)}, seal) VALUES ({marks})", several)
        merged.copied = len(numbers)
        _copy_cells(given, db, numbers)
        count = "INSERT INTO totals VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET records = records + excluded.records"
        db.executemany(count, kinds.items())
        columns.count_ways(db)
    return merged


def _environments(given: sqlite3.Connection, db: sqlite3.Connection) -> dict[str, str]:
    """Copy what is not there; the facts of those that are as they were written."""
    rows = [
        (identifier, facts)
        for identifier, facts in given.execute("SELECT id, facts FROM environments")
        if isinstance(facts, str) and _identified(facts) == identifier
    ]
    db.executemany("INSERT OR IGNORE INTO environments VALUES (?, ?)", rows)
    return dict(rows)


def _identified(facts: str) -> str | None:
    try:
        return fingerprint_of(plain(facts))
    except Damaged:
        return None


def _chosen(
    given: sqlite3.Connection,
    db: sqlite3.Connection,
    environments: dict[str, str],
    merged: Merged,
    numbers: dict[int, int],
) -> Iterator[tuple[object, ...]]:
    """Rows to write, under their new numbers."""
    there = {mark for (mark,) in db.execute("SELECT seal FROM records")}
    others = ", ".join("?" * len(SEVERAL))
    newest = f"SELECT max(id) FROM records WHERE kind NOT IN ({others}) GROUP BY kind, fingerprint"
    statuses = db.execute(f"SELECT kind, fingerprint, status FROM records WHERE id IN ({newest})", SEVERAL)
    answered = {(kind, fingerprint) for kind, fingerprint, status in statuses if status in FINAL}
    (number,) = db.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()
    stored = "seal" if "seal" in columns_of(given, "records") else "NULL"
    for old, mark, *texts in given.execute(
        f"SELECT id, {stored}, {', '.join(SEALED)} FROM records ORDER BY id"
    ):
        own = seal(*texts)
        kind, fingerprint, *_ = texts
        if not _is_sound(mark, own, texts, environments):
            merged.damaged += 1
        elif own in there:
            merged.there += 1
        elif (kind, fingerprint) in answered:
            merged.answered += 1
        else:
            there.add(own)
            number += 1
            numbers[old] = number
            yield number, *texts, own


def _is_sound(mark: object, own: int, texts: list[str], environments: dict[str, str]) -> bool:
    """Is a record as it was written? One of an earlier version, which has no seal, is parsed to see."""
    facts = environments.get(texts[-2])
    if mark is not None or facts is None:
        return mark == own and facts is not None
    try:
        record_of(mark, facts, texts, {})
    except Damaged:
        return False
    return True


def _copy_cells(given: sqlite3.Connection, db: sqlite3.Connection, numbers: dict[int, int]) -> None:
    """The rows of the table that these records give: copied where they are of today's version, else made."""
    lacking = dict(numbers)
    if about(given, "columns") == columns.VERSION:
        for table in columns.OF_KIND.values():
            for several in _in_parts(_cells(given, table, numbers, lacking)):
                marks = ", ".join("?" * len(several[0]))
                db.executemany(f"INSERT INTO {table} VALUES ({marks})", several)
    kinds = ", ".join(f"'{kind}'" for kind in columns.OF_KIND)
    faults = Faults()
    for old, record in parsed(given, f"r.kind IN ({kinds})", (), faults) if lacking else ():
        if old in lacking:
            try:
                columns.put(db, numbers[old], record)
            except Damaged as error:
                log.warning("%s %s has no row in the table: %s", record.kind, record.fingerprint, error)


def _cells(
    given: sqlite3.Connection, table: str, numbers: dict[int, int], lacking: dict[int, int]
) -> Iterator[tuple[object, ...]]:
    for old, *known, mark in given.execute(f"SELECT * FROM {table}"):
        if old in numbers and mark == seal(*known):
            del lacking[old]
            yield numbers[old], *known, mark


def _in_parts(rows: Iterator[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    several: list[tuple[object, ...]] = []
    for row in rows:
        several.append(row)
        if len(several) == AT_ONCE:
            yield several
            several = []
    if several:
        yield several
