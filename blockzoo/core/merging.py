"""Stores made one: the records of other stores copied into one, each verified on the way, as they stand, in their order.

Nothing is parsed that need not be: a record is copied with its seal, and its row of the table with that of the row. What is
there already is not copied again, and a result that is there is not superseded, but for one that others handed in.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from blockzoo.core import columns, faults
from blockzoo.core.columns import seal, seal_of
from blockzoo.core.errors import Damaged, UsageError
from blockzoo.core.record import FINAL, plain
from blockzoo.core.schema import SEALED, about, columns_of
from blockzoo.core.sealed import Faults, parsed, record_of
from blockzoo.core.spec import fingerprint_of
from blockzoo.core.store import Store, reported_in
from blockzoo.core.table import REPORTED

log = logging.getLogger(__name__)
SEVERAL = ("latency",)
"""Kinds of which a network has several that all count; of any other, one result answers the request."""
CACHE_MIB = 256
"""Of pages of the store, while it is written: its indexes are in no order of time."""


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


def merge(target: Store, *sources: Store) -> list[Merged]:
    """Copy the records of stores into another, one source after the other: all of them or, where this raises, none.

    Raises:
        UsageError: a store is to be copied into itself.
        StoreError: one of them cannot be read or written.
    """
    if any(source.path.resolve() == target.path.resolve() for source in sources):
        raise UsageError(f"{target.path} cannot be copied into itself; choose another --output")
    with target.database.writing() as db:
        db.execute(f"PRAGMA cache_size = {-1024 * CACHE_MIB}")
        there, merged = _There.of(db), []
        with ExitStack() as at_the_end:
            indexed = True
            for source in sources:
                with source.database.reading() as source_db:
                    if indexed and _count(source_db) > there.last:
                        at_the_end.enter_context(_without_indexes(db))
                        indexed = False
                    merged.append(_copied(source_db, db, there))
        columns.count_ways(db)
        faults.point("store.inserted")
    faults.point("store.committed")
    return merged


def _count(db: sqlite3.Connection) -> int:
    count: int = db.execute("SELECT count(*) FROM records").fetchone()[0]
    return count


@contextmanager
def _without_indexes(db: sqlite3.Connection) -> Iterator[None]:
    """Indexes are made at the end, each by one sort: a million rows put into them one by one are read and written all over."""
    indexes = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        db.execute(f'DROP INDEX "{name}"')
    yield
    for _, sql in indexes:
        db.execute(sql)


@dataclass
class _There:
    """What a store holds: the seals of its records, the newest status of each request, and the last number."""

    db: sqlite3.Connection
    seals: set[int]
    statuses: dict[tuple[str, str], str]
    last: int

    @staticmethod
    def of(db: sqlite3.Connection) -> _There:
        newest = "SELECT kind, fingerprint, status FROM records ORDER BY id"
        return _There(
            db,
            {mark for (mark,) in db.execute("SELECT seal FROM records")},
            {(kind, fingerprint): status for kind, fingerprint, status in db.execute(newest)},
            db.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()[0],
        )

    @cached_property
    def reported(self) -> set[str]:
        """Trials whose result others handed in. All records are read for it: it is asked for where a request has two results."""
        return reported_in(self.db)

    def is_superseded(self, texts: list[Any]) -> bool:
        """Did others hand in the result that is there, and is this sound record of its request one's own, or a rerun one?"""
        kind, fingerprint, _, status, *_, body = texts
        if kind != "trial" or status not in FINAL or fingerprint not in self.reported:
            return False
        return bool(plain(body).get("values", {}).get("tier") != REPORTED)

    def answered(self) -> set[tuple[str, str]]:
        """The requests that have a result."""
        return {of for of, status in self.statuses.items() if status in FINAL and of[0] not in SEVERAL}


def _copied(given: sqlite3.Connection, db: sqlite3.Connection, there: _There) -> Merged:
    """Copy the records of one store."""
    merged, numbers, kinds = Merged(), dict[int, int](), Counter[str]()
    environments = _environments(given, db)
    marks = ", ".join("?" * len(SEALED))
    insert = f"INSERT INTO records (id, {', '.join(SEALED)}, seal) VALUES ({marks}, CAST(? AS TEXT), ?)"
    for old, row in _chosen(given, environments, there, merged):
        db.execute(insert, row)
        numbers[old] = there.last
        kinds[str(row[1])] += 1
    merged.copied = len(numbers)
    _copy_cells(given, db, numbers)
    count = "INSERT INTO totals VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET records = records + excluded.records"
    db.executemany(count, kinds.items())
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
    environments: dict[str, str],
    there: _There,
    merged: Merged,
) -> Iterator[tuple[int, tuple[object, ...]]]:
    """Rows to write, under their new numbers, each with its old one; the others are counted."""
    answered = there.answered()
    stored = "seal" if "seal" in columns_of(given, "records") else "NULL"
    *short, body = SEALED
    query = (
        f"SELECT id, {stored}, {', '.join(short)}, CAST({body} AS BLOB) FROM records NOT INDEXED ORDER BY id"
    )
    for old, mark, *texts in given.execute(query):
        own = seal_of(texts)
        kind, fingerprint, _, status, *_ = texts
        if not _is_sound(mark, own, texts, environments):
            merged.damaged += 1
        elif own in there.seals:
            merged.there += 1
        elif (kind, fingerprint) in answered and not there.is_superseded(texts):
            merged.answered += 1
        else:
            if (kind, fingerprint) in answered:  # what follows of it here counts too
                answered.remove((kind, fingerprint))
                there.reported.remove(fingerprint)
            there.seals.add(own)
            there.statuses[kind, fingerprint] = status
            there.last += 1
            yield old, (there.last, *texts, own)


def _is_sound(mark: object, own: int, texts: list[Any], environments: dict[str, str]) -> bool:
    """Is a record as it was written? One of an earlier version, which has no seal, is parsed to see."""
    facts = environments.get(texts[-2])
    if mark is not None or facts is None:
        return mark == own and facts is not None
    *short, body = texts
    try:
        record_of(mark, facts, [*short, body.decode()], {})
    except (Damaged, AttributeError, UnicodeDecodeError):  # a body that is no text
        return False
    return True


def _copy_cells(given: sqlite3.Connection, db: sqlite3.Connection, numbers: dict[int, int]) -> None:
    """The rows of the table that these records give: copied where they are of today's version, else made."""
    copied: set[int] = set()
    if about(given, "columns") == columns.VERSION:
        for table in columns.OF_KIND.values():
            marks = ", ".join("?" * len(columns_of(db, table)))
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", _cells(given, table, numbers, copied))
    kinds = ", ".join(f"'{kind}'" for kind in columns.OF_KIND)
    of_table = given.execute(f"SELECT id FROM records WHERE kind IN ({kinds})")
    lacking = {old for (old,) in of_table if old in numbers and old not in copied}
    for old, record in parsed(given, f"r.kind IN ({kinds})", (), Faults()) if lacking else ():
        if old in lacking:
            try:
                columns.insert(db, numbers[old], record)
            except Damaged as error:
                log.warning("%s %s has no row in the table: %s", record.kind, record.fingerprint, error)


def _cells(
    given: sqlite3.Connection, table: str, numbers: dict[int, int], copied: set[int]
) -> Iterator[tuple[object, ...]]:
    for old, *values, mark in given.execute(f"SELECT * FROM {table}"):
        if old in numbers and mark == seal(*values):
            copied.add(old)
            yield numbers[old], *values, mark
