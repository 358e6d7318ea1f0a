from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blockzoo.core.errors import StoreError
from blockzoo.core.record import Record
from blockzoo.core.schema import MIGRATIONS
from blockzoo.core.store import Store


def record(fingerprint: str, status: str = "ok", **values: float) -> Record:
    return Record("trial", fingerprint, "ResNetBasicBlock/mid", {"seed": 1}, status=status, values=values)  # type: ignore[arg-type]


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "results.sqlite")
    first = record("a", val_acc=0.5)
    first.samples = {"val_acc": [0.1, 0.5]}
    first.environment = {"cpu": "x", "environment_id": "e"}
    store.add(first)
    assert Store(store.path).records() == [first]


def test_newest_of_each_fingerprint_and_history(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    for entry in (record("a", "failed"), record("b"), record("a", val_acc=0.5)):
        store.add(entry)
    assert [(r.fingerprint, r.status) for r in store.records()] == [("b", "ok"), ("a", "ok")]
    assert len(store.records(history=True)) == 3
    assert store.statuses() == {"a": "ok", "b": "ok"}
    assert store.records("latency") == []


def test_not_a_number_becomes_null(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.add(record("a", val_loss=float("nan")))
    assert store.records()[0].values["val_loss"] is None


def test_migrations_are_named_and_applied_once(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    Store(path)
    Store(path)
    with sqlite3.connect(path) as db:
        assert [n for (n,) in db.execute("SELECT name FROM migrations")] == [n for n, _ in MIGRATIONS]
        db.execute("INSERT INTO migrations VALUES ('9999-future', '')")
    with pytest.raises(StoreError, match="newer blockzoo"):
        Store(path)


def test_half_written_store_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    Store(path).add(record("a"))
    torn = path.read_bytes()[:5000]
    path.write_bytes(torn)
    with pytest.raises(StoreError, match=r"r\.sqlite"):
        Store(path).records()
    assert path.read_bytes() == torn
    path.write_text("not a database, at all, but long enough to be read as one " * 30)
    with pytest.raises(StoreError, match="left untouched"):
        Store(path)


def test_no_store_and_no_permission(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="blockzoo train"):
        Store(tmp_path / "none.sqlite", create=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--output"):
        Store(tmp_path / "file" / "r.sqlite")


def test_every_record_survives_a_kill(tmp_path: Path) -> None:
    code = """
import sys
from blockzoo.core.record import Record
from blockzoo.core.store import Store
store = Store(sys.argv[1])
for i in range(100000):
    store.add(Record("trial", str(i), "ResNetBasicBlock/mid", {}))
    print(i, flush=True)
"""
    path = tmp_path / "r.sqlite"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while int(process.stdout.readline()) < 20:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    reported = [int(line) for line in process.stdout.read().split()] or [20]
    process.wait()
    assert len(Store(path).records()) >= max(reported) + 1


def _foreign(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


FOREIGN = {
    "another program's": ["CREATE TABLE studies (id INTEGER PRIMARY KEY, name TEXT)"],
    "a write-ahead log": ["PRAGMA journal_mode=WAL", "CREATE TABLE studies (id INTEGER)"],
    "migrations of another": ["CREATE TABLE migrations (id INTEGER, migration TEXT, batch INTEGER)"],
    "no rows of ours": ["CREATE TABLE migrations (name TEXT, applied TEXT)"],
    "records of another": [
        "CREATE TABLE migrations (name TEXT, applied TEXT)",
        "INSERT INTO migrations VALUES ('0001-create', 'now')",
        "CREATE TABLE environments (id TEXT, facts TEXT)",
        "CREATE TABLE records (artist TEXT, title TEXT)",
    ],
    "a mark and no table": ["PRAGMA application_id = 1196444487"],
    "a version and no table": ["PRAGMA user_version = 7"],
}


@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("create", [True, False])
def test_a_database_of_another_program_is_never_written_to(
    tmp_path: Path, statements: list[str], create: bool
) -> None:
    path = tmp_path / "results.sqlite"
    _foreign(path, *statements)
    before, stamp, beside = path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())
    with pytest.raises(StoreError, match="left untouched"):
        Store(path, create=create)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, stamp)
    assert sorted(tmp_path.iterdir()) == beside


def test_an_empty_file_becomes_a_store_and_is_none_to_be_read(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    path.touch()
    with pytest.raises(StoreError, match="no results store"):
        Store(path, create=False)
    assert path.stat().st_size == 0
    Store(path).add(record("a"))
    assert len(Store(path, create=False).records()) == 1


def test_folders_and_pipes_are_no_stores(tmp_path: Path) -> None:
    (tmp_path / "r.sqlite").mkdir()
    os.mkfifo(tmp_path / "pipe.sqlite")
    for name, create in [("r.sqlite", True), ("r.sqlite", False), ("pipe.sqlite", False)]:
        with pytest.raises(StoreError, match="is no file"):
            Store(tmp_path / name, create=create)


def test_reading_a_store_writes_nothing_and_needs_no_right_to(tmp_path: Path) -> None:
    path = tmp_path / "a ?#% name.sqlite"
    Store(path).add(record("a"))
    beside = {p: p.stat().st_mtime_ns for p in [tmp_path, *tmp_path.iterdir()]}
    store = Store(path, create=False)
    with store.database.reading() as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM records")
    assert len(store.records()) == 1 and store.statuses() == {"a": "ok"}
    assert {p: p.stat().st_mtime_ns for p in [tmp_path, *tmp_path.iterdir()]} == beside


def test_a_store_with_a_table_of_the_users_own_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    Store(path).add(record("a"))
    _foreign(path, "CREATE TABLE my_notes (text TEXT)")
    Store(path).add(record("b"))
    assert len(Store(path, create=False).records()) == 2


KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 2")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE records SET status = 'failed'")
for i in range(300):
    db.execute("INSERT INTO environments VALUES (?, ?)", (str(i), "x" * 3000))
os._exit(9)
"""


def test_what_a_killed_writer_began_is_undone_for_the_reader_and_later_for_good(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    Store(path).add(record("a"))
    subprocess.run([sys.executable, "-c", KILLED, str(path)])
    journal = Path(f"{path}-journal")
    assert journal.stat().st_size, "the writer left nothing to undo"
    before = path.read_bytes()
    assert Store(path, create=False).statuses() == {"a": "ok"}
    assert path.read_bytes() == before and journal.stat().st_size, "a reader wrote"
    Store(path).add(record("b"))
    assert Store(path, create=False).statuses() == {"a": "ok", "b": "ok"}
