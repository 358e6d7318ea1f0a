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
from blockzoo.core.store import MIGRATIONS, Store


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
