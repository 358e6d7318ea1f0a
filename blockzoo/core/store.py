"""The results store: one SQLite file, one writer, every record durable before the next trial starts."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

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

OURS = {
    "migrations": {"name", "applied"},
    "environments": {"id", "facts"},
    "records": {"id", "kind", "fingerprint", "subject", "status", "timestamp", "environment_id", "body"},
}
"""The tables of a store and the columns each has at least: a database without them is not ours, whatever it is called."""


class Store:
    """Records on disk. Reading needs no lock; writing is for one process at a time.

    A file of another program is recognised before anything is written, and left as it is. The journal is a plain truncated
    rollback journal with full synchronisation: older SQLite versions can corrupt a write-ahead log on reset, and a record
    is worth one fsync.

    Args:
        path: of the file.
        create: make it where there is none; without, the store is opened to be read and needs no right to write.

    Raises:
        StoreError: no store there, another program's file, one that cannot be read, or cannot be written with `create`.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_file():
            raise StoreError(f"{self.path} is no file, so no results store; choose another --output")
        holds_one = self.path.is_file() and self._is_store()
        if not create and not holds_one:
            raise StoreError(
                f"there is no results store {self.path}; run `blockzoo train` or `blockzoo sweep` first"
            )
        if create:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"cannot make the folder {self.path.parent}: {error.strerror}; choose another --output"
                ) from error
            with self._open(write=True) as db:
                self._migrate(db)

    def _is_store(self) -> bool:
        """Whether the file is a store; False for an empty one.

        Raises:
            StoreError: it is something else, or cannot be read.
        """
        with self._open() as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            marks = [
                db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            ]
            if not tables and not any(marks):
                return False
            if all(needed <= self._columns(db, name) for name, needed in OURS.items()) and self._applied(db):
                return True
        found = ", ".join(sorted(tables)[:5]) or "none"
        raise StoreError(
            f"{self.path} is a database of another program, not a results store (its tables: {found}); it is left "
            "untouched: choose another --output"
        )

    @staticmethod
    def _columns(db: sqlite3.Connection, table: str) -> set[str]:
        return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}

    @contextmanager
    def _open(self, *, write: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            with ExitStack() as stack:
                path = self.path if write else stack.enter_context(self._without_journal())
                address = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}"
                connection = sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)
                db = stack.enter_context(closing(connection))
                if write:
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
        except OSError as error:
            raise StoreError(f"results store {self.path}: {error.strerror or error}") from error

    @contextmanager
    def _without_journal(self) -> Iterator[Path]:
        """The file to read: itself, or a copy where its writer was killed and undoing what it began would be a write."""
        with self.path.open("rb") as file:
            head = file.read(20)
        if head[18:20] == b"\x02\x02" and head.startswith(b"SQLite format 3"):
            raise sqlite3.DatabaseError("it keeps a write-ahead log, which our stores never do")
        journal = Path(f"{self.path.resolve()}-journal")
        try:
            with closing(
                sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
            ) as db:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            yield self.path
            return
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or not journal.is_file() or not journal.stat().st_size:
                raise
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "copy.sqlite"
            shutil.copyfile(self.path, copy)
            shutil.copyfile(journal, f"{copy}-journal")
            with closing(sqlite3.connect(copy)) as db:
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            yield copy

    def _migrate(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied TEXT NOT NULL)")
        applied = self._applied(db)
        for name, step in MIGRATIONS:
            if name not in applied:
                step(db)
                db.execute("INSERT INTO migrations VALUES (?, ?)", (name, now()))
        db.execute("COMMIT")

    def _applied(self, db: sqlite3.Connection) -> set[str]:
        applied = {name for (name,) in db.execute("SELECT name FROM migrations")}
        if unknown := applied - {name for name, _ in MIGRATIONS}:
            raise StoreError(
                f"{self.path} was written by a newer blockzoo ({sorted(unknown)}); update blockzoo"
            )
        return applied

    def add(self, record: Record) -> None:
        """Write one record; it is on the disk when this returns."""
        body = json.loads(record.to_json())
        environment = body.pop("environment")
        identifier = fingerprint_of(environment)
        with self._open(write=True) as db:
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

    def holds(self, record: Record) -> bool:
        """Whether this very record is stored, and not only another of its fingerprint."""
        body = json.loads(record.to_json())
        identifier = fingerprint_of(body.pop("environment"))
        with self._open() as db:
            query = (
                "SELECT 1 FROM records WHERE kind = ? AND fingerprint = ? AND environment_id = ? AND body = ?"
            )
            wanted = (record.kind, record.fingerprint, identifier, json.dumps(body, sort_keys=True))
            return db.execute(query, wanted).fetchone() is not None

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
