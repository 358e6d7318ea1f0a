"""Records in SQL, each under a seal: written once, and verified where they are read."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

from blockzoo.core import columns
from blockzoo.core.columns import seal
from blockzoo.core.errors import Damaged
from blockzoo.core.record import Record, plain
from blockzoo.core.said import say_once
from blockzoo.core.schema import SEALED, columns_of
from blockzoo.core.spec import fingerprint_of

log = logging.getLogger(__name__)


def parsed(
    db: sqlite3.Connection, condition: str, values: Collection[object], faults: Faults, *, scan: bool = False
) -> Iterator[tuple[int, Record]]:
    """Records by number, oldest first; those that are not as they were written are noted.

    With `scan` all of the table is read, and no index, which could hide some, is asked.
    """
    how = "NOT INDEXED" if scan else ""
    sealed = "r.seal" if "seal" in columns_of(db, "records") else "NULL"
    query = (
        f"SELECT r.id, {sealed}, e.facts, {', '.join(f'r.{name}' for name in SEALED)} FROM records r {how}"
        f" LEFT JOIN environments e ON e.id = r.environment_id WHERE {condition} ORDER BY r.id"
    )
    facts: dict[str, object] = {}
    with closing(db.cursor()) as rows:
        for number, mark, environment, *texts in rows.execute(query, tuple(values)):
            try:
                yield number, record_of(mark, environment, texts, facts)
            except Damaged as error:
                faults.note(number, error)


def record_of(mark: object, facts: object, texts: list[str], known: dict[str, object]) -> Record:
    """A record of what the tables hold, verified; `known` are the environments that were."""
    kind, fingerprint, _, status, _, environment_id, body = texts
    if mark is not None and mark != seal(*texts):
        raise Damaged("its seal does not fit: it was altered")
    if environment_id not in known:
        if not isinstance(facts, str):
            raise Damaged("its environment is gone")
        environment = plain(facts)
        if fingerprint_of(environment) != environment_id:
            raise Damaged("its environment was altered")
        known[environment_id] = environment
    if not isinstance(body, str):
        raise Damaged("it has no body")
    values = plain(body)
    if isinstance(values, dict) and "environment" in values:
        raise Damaged("unknown field 'environment'")
    record = Record.of(
        {**values, "environment": known[environment_id]} if isinstance(values, dict) else values
    )
    if (record.kind, record.fingerprint, record.status) != (kind, fingerprint, status):
        raise Damaged("its body is of another record")
    return record


def insert(db: sqlite3.Connection, record: Record, number: int | None = None) -> None:
    """Write one record, sealed, and what it gives to the table; under the next number, or that."""
    record = Record.from_json(record.to_json())  # as it will be read
    identifier, facts, body = parts(record)
    db.execute("INSERT OR IGNORE INTO environments VALUES (?, ?)", (identifier, facts))
    texts = (record.kind, record.fingerprint, record.subject, record.status, record.timestamp)
    values = (*texts, identifier, body)
    marks = ", ".join("?" * (len(SEALED) + 2))
    number = db.execute(
        f"INSERT INTO records (id, {', '.join(SEALED)}, seal) VALUES ({marks})",
        (number, *values, seal(*values)),
    ).lastrowid
    assert number is not None
    count = "INSERT INTO totals VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET records = records + 1"
    db.execute(count, (record.kind,))
    try:
        columns.put(db, number, record)
    except Damaged as error:  # nothing is lost: the record is there, and reading it says the same
        log.warning("%s %s has no row in the table: %s", record.kind, record.fingerprint, error)


def parts(record: Record) -> tuple[str, str, str]:
    """The environment's identifier and facts, and the rest of the record."""
    body = json.loads(record.to_json())
    environment = body.pop("environment")
    return (
        fingerprint_of(environment),
        json.dumps(environment, sort_keys=True),
        json.dumps(body, sort_keys=True),
    )


def miscounted(db: sqlite3.Connection, *kinds: str, scan: bool = False) -> list[str]:
    """What the counts of records say, of some kinds or all: more or fewer than were stored. For `scan` see `parsed`."""
    how = "NOT INDEXED" if scan else ""
    if not columns_of(db, "totals"):
        return []
    stored = dict(db.execute("SELECT kind, records FROM totals").fetchall())
    faults = []
    for kind in kinds or stored:
        (count,) = db.execute(f"SELECT count(*) FROM records {how} WHERE kind = ?", (kind,)).fetchone()
        if stored.get(kind, 0) != count:
            faults.append(f"it holds {count} records of kind {kind}, and {stored.get(kind, 0)} were stored")
    return faults


def holds_none(db: sqlite3.Connection, kind: str) -> bool:
    """Whether neither the count of a kind nor the index knows a record of it: then there is none to scan for."""
    if not columns_of(db, "totals"):
        return False
    counted = db.execute("SELECT 1 FROM totals WHERE kind = ? AND records > 0", (kind,)).fetchone()
    return counted is None and db.execute("SELECT 1 FROM records WHERE kind = ?", (kind,)).fetchone() is None


class Faults:
    """What is wrong with the records of a store, told in one sentence."""

    def __init__(self) -> None:
        self.damaged: dict[int, str] = {}
        self.sentences: list[str] = []

    def note(self, number: int, error: Exception) -> None:
        self.damaged[number] = str(error)

    def say(self, path: Path) -> None:
        sentences = list(self.sentences)
        if self.damaged:
            number, why = next(iter(self.damaged.items()))
            more = f"; and {len(self.damaged) - 1} more" if len(self.damaged) > 1 else ""
            sentences.append(
                f"{len(self.damaged)} of its records cannot be read and are left out (record {number}: {why}{more})"
            )
        if sentences:
            say_once(
                f"{path}: {'; '.join(sentences)}; `blockzoo store check` lists all, `blockzoo store repair` sets them aside"
            )
