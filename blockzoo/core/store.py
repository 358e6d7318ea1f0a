"""The results store: one SQLite file, one writer, every record durable before the next trial starts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from blockzoo.core.errors import StoreError
from blockzoo.core.record import Record, now
from blockzoo.core.spec import fingerprint_of


def _create(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE environments (id TEXT PRIMARY KEY, facts TEXT NOT NULL)")
    db.execute(
        "CREATE TABLE records (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, fingerprint TEXT NOT NULL,"
        " subject TEXT NOT NULL, status TEXT NOT NULL, timestamp TEXT NOT NULL,"
        " environment_id TEXT NOT NULL REFERENCES environments(id), body TEXT NOT NULL)"
    )
    db.execute("CREATE INDEX by_fingerprint ON records (kind, fingerprint)")


MIGRATIONS: tuple[tuple[str, Callable[[sqlite3.Connection], None]], ...] = (("0001-create", _create),)
"""Named steps that bring any older file to today's schema; each is applied once, in one transaction."""


class Store:
    """Records on disk. Reading needs no lock; writing is for one process at a time.

    The journal is a plain truncated rollback journal with full synchronisation: older SQLite versions can
    corrupt a write-ahead log on reset, and a record is worth one fsync.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.is_file():
            raise StoreError(
                f"there is no results store {self.path}; run `blockzoo train` or `blockzoo sweep` first"
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make the folder {self.path.parent}: {error.strerror}; choose another --output"
            ) from error
        with self._open() as db:
            self._migrate(db)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode=TRUNCATE")
                db.execute("PRAGMA synchronous=FULL")
                yield db
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"results store {self.path}: {error}; choose another --output or free the disk"
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path} is not a readable results store ({error}); it is left untouched: "
                "move it away, or choose another --output"
            ) from error

    def _migrate(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied TEXT NOT NULL)")
        applied = {name for (name,) in db.execute("SELECT name FROM migrations")}
        if unknown := applied - {name for name, _ in MIGRATIONS}:
            raise StoreError(
                f"{self.path} was written by a newer blockzoo ({sorted(unknown)}); update blockzoo"
            )
        for name, step in MIGRATIONS:
            if name not in applied:
                step(db)
                db.execute("INSERT INTO migrations VALUES (?, ?)", (name, now()))
        db.execute("COMMIT")

    def add(self, record: Record) -> None:
        """Write one record; it is on the disk when this returns."""
        body = json.loads(record.to_json())
        environment = body.pop("environment")
        identifier = fingerprint_of(environment)
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute(
                "INSERT OR IGNORE INTO environments VALUES (?, ?)",
                (identifier, json.dumps(environment, sort_keys=True)),
            )
            db.execute(
                "INSERT INTO records (kind, fingerprint, subject, status, timestamp, environment_id, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    record.kind,
                    record.fingerprint,
                    record.subject,
                    record.status,
                    record.timestamp,
                    identifier,
                    json.dumps(body, sort_keys=True),
                ),
            )
            db.execute("COMMIT")

    def records(self, kind: str = "trial", *, history: bool = False) -> list[Record]:
        """All records of a kind, oldest first: the newest of each fingerprint, or all with `history`."""
        query = "SELECT r.body, e.facts FROM records r JOIN environments e ON e.id = r.environment_id WHERE r.kind = ?"
        if not history:
            query += " AND r.id IN (SELECT max(id) FROM records GROUP BY kind, fingerprint)"
        with self._open() as db:
            rows = db.execute(query + " ORDER BY r.id", (kind,)).fetchall()
        return [Record(**json.loads(body), environment=json.loads(facts)) for body, facts in rows]

    def statuses(self, kind: str = "trial") -> dict[str, str]:
        """The newest status of each fingerprint."""
        with self._open() as db:
            rows = db.execute("SELECT fingerprint, status FROM records WHERE kind = ? ORDER BY id", (kind,))
            return dict(rows.fetchall())
