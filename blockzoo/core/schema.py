"""The tables of a results store, and the named steps that bring any older one to today's."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

from blockzoo.core import columns
from blockzoo.core.columns import seal
from blockzoo.core.errors import StoreError
from blockzoo.core.record import now


def _create(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE environments (id TEXT PRIMARY KEY, facts TEXT NOT NULL)")
    db.execute(
        "CREATE TABLE records (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, fingerprint TEXT NOT NULL,"
        " subject TEXT NOT NULL, status TEXT NOT NULL, timestamp TEXT NOT NULL,"
        " environment_id TEXT NOT NULL REFERENCES environments(id), body TEXT NOT NULL)"
    )
    db.execute("CREATE INDEX by_fingerprint ON records (kind, fingerprint)")


def _seal(db: sqlite3.Connection) -> None:
    """Each record has a seal, each kind its count, the store a name of its own, and the table its columns."""
    db.execute("ALTER TABLE records ADD COLUMN seal")
    db.create_function("seal", -1, seal, deterministic=True)
    db.execute(f"UPDATE records SET seal = seal({', '.join(SEALED)})")
    db.execute("CREATE TABLE totals (kind TEXT PRIMARY KEY, records INTEGER NOT NULL)")
    db.execute("INSERT INTO totals SELECT kind, count(*) FROM records GROUP BY kind")
    db.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT)")
    db.execute("INSERT INTO about VALUES ('store', ?), ('columns', '')", (secrets.token_hex(8),))
    columns.create(db)


SEALED = ("kind", "fingerprint", "subject", "status", "timestamp", "environment_id", "body")
MIGRATIONS: tuple[tuple[str, Callable[[sqlite3.Connection], None]], ...] = (
    ("0001-create", _create),
    ("0002-columns", _seal),
)
"""Named steps that bring any older file to today's schema; each is applied once, on writing, in one transaction."""

OURS = {
    "migrations": {"name", "applied"},
    "environments": {"id", "facts"},
    "records": {"id", *SEALED},
}
"""The tables of a store and the columns each has at least: a database without them is not ours, whatever it is called."""


def is_ours(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is a store; False for an empty one.

    Raises:
        StoreError: it is something else, or of a newer version.
    """
    tables = {str(name) for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    marks = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    if not tables and not any(marks):
        return False
    if all(needed <= columns_of(db, name) for name, needed in OURS.items()) and applied(db, path):
        return True
    names = ", ".join(sorted(tables)[:5]) or "none"
    raise StoreError(
        f"{path} is a database of another program, not a results store (its tables: {names}); it is left "
        "untouched: choose another --output"
    )


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Apply the steps that the file has not seen."""
    db.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied TEXT NOT NULL)")
    seen = applied(db, path)
    for name, step in MIGRATIONS:
        if name not in seen:
            step(db)
            db.execute("INSERT INTO migrations VALUES (?, ?)", (name, now()))


def applied(db: sqlite3.Connection, path: Path) -> set[str]:
    """The steps that the file has seen.

    Raises:
        StoreError: there are some that this version does not know.
    """
    steps = {str(name) for (name,) in db.execute("SELECT name FROM migrations")}
    if unknown := steps - {name for name, _ in MIGRATIONS}:
        raise StoreError(f"{path} was written by a newer blockzoo ({sorted(unknown)}); update blockzoo")
    return steps


def columns_of(db: sqlite3.Connection, table: str) -> set[str]:
    """The names of a table's columns; none where there is no such table."""
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}


def about(db: sqlite3.Connection, name: str) -> str | None:
    """What a store says of itself: its own name (`store`), and the version of its `columns`."""
    if not columns_of(db, "about"):
        return None
    row: tuple[str] | None = db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None
