"""Stores that were damaged on purpose: what is bad is told and set aside, the rest goes on, and nothing is written by reading."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core import columns
from blockzoo.core.errors import BlockzooError, StoreError
from blockzoo.core.outputs import Outputs, each_row
from blockzoo.core.reading import Asked
from blockzoo.core.record import Record
from blockzoo.core.repair import check, repair
from blockzoo.core.said import forget_what_was_said
from blockzoo.core.store import Store
from tests.core.test_columns import earlier, latency, slow, trial


def altered(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def filled(folder: Path) -> Outputs:
    outputs = Outputs.at(folder)
    outputs.store().add(trial(0), latency(0), trial(1), trial(0, 1))
    return outputs


DAMAGE = {
    "body cut": ("UPDATE records SET body = substr(body, 1, 50) WHERE id = 3", "seal"),
    "one digit": ("UPDATE records SET body = replace(body, '0.5', '0.9') WHERE id = 3", "seal"),
    "status": ("UPDATE records SET status = 'failed' WHERE id = 3", "seal"),
    "no text": ("UPDATE records SET body = x'ff00ff', seal = NULL WHERE id = 3", "JSON|utf|codec|body"),
    "a number": ("UPDATE records SET body = 7, seal = NULL WHERE id = 3", "no record"),
    "unknown field": (
        "UPDATE records SET body = json_insert(body, '$.colour', 1), seal = NULL WHERE id = 3", "unknown field 'colour'",
    ),
    "newer": ("UPDATE records SET body = json_set(body, '$.schema_version', 9), seal = NULL WHERE id = 3", "newer blockzoo"),
    "wrong spec": ("UPDATE records SET body = json_set(body, '$.spec.seed', 'x'), seal = NULL WHERE id = 3", "seed='x'"),
    "wrong samples": ("UPDATE records SET body = json_set(body, '$.samples', 'x'), seal = NULL WHERE id = 3", "samples cannot"),
    "another's body": (
        "UPDATE records SET seal = NULL, body = (SELECT body FROM records WHERE id = 1) WHERE id = 3", "of another record",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "says"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("version", [1, 2])
def test_one_bad_record_is_told_and_set_aside_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, statement: str, says: str, version: int
) -> None:
    outputs = Outputs.at(tmp_path)
    if version == 1:  # without seals, so that damage shows in the content alone
        earlier(outputs.database, trial(0), latency(0), trial(1), trial(0, 1))
        statement = statement.replace(", seal = NULL", "").replace("seal = NULL, ", "")
        if says == "seal":
            pytest.skip("an earlier version had none")
    else:
        filled(tmp_path)
    altered(outputs.database, statement)
    before = outputs.database.read_bytes()
    store = Store(outputs.database, create=False)
    rows = list(store.rows())
    assert [r["fingerprint"] for r in rows if r["fingerprint"] != "1-0"] == ["0-0", "0-1"]
    if "spec" not in statement:  # of such a record there is no row, but the record can be read
        assert [r.fingerprint for r in store.records()] == ["0-0", "0-1"]
        assert "1 of its records cannot be read" in caplog.text and "record 3" in caplog.text
    report = check(outputs)
    assert list(report.damaged) == [3] and not report.is_sound
    assert any(part in report.damaged[3] for part in says.split("|"))
    assert outputs.database.read_bytes() == before, "looking writes nothing"
    done = repair(outputs)
    assert "1 records were set aside" in " ".join(done.done)
    assert check(outputs).is_sound
    store = Store(outputs.database)
    assert [r.fingerprint for r in store.records()] == ["0-0", "0-1"] and list(store.rows()) == slow(store)
    with closing(sqlite3.connect(outputs.database)) as db:
        ((number, reason),) = db.execute("SELECT id, reason FROM quarantine").fetchall()
    assert number == 3 and reason
    assert store.statuses() == {"0-0": "ok", "0-1": "ok"}, (
        "so that the trial runs again where it is asked for"
    )


def test_records_that_vanish_or_appear_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outputs = filled(tmp_path)
    altered(outputs.database, "DELETE FROM records WHERE id = 3")
    assert len(Store(outputs.database, create=False).records()) == 2
    assert "it holds 2 records of kind trial, and 3 were stored" in caplog.text
    assert check(outputs).faults == [
        "it holds 2 records of kind trial, and 3 were stored",
        "row 3 of the columns of trials is of no record",
    ]
    repair(outputs)
    assert check(outputs).is_sound


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("trials", name) for name in (*columns.KNOWN, "seal")),
        *(("times", name) for name in (*columns.OF_TIMES, "seal")),
    ],
)
def test_every_altered_column_is_told_and_made_anew(tmp_path: Path, table: str, column: str) -> None:
    """What `results` leaves out is what `check` names, and `repair` brings back."""
    outputs = filled(tmp_path)
    whole = list(each_row(tmp_path, Asked()))
    (number,) = number_of(outputs.database, table)
    altered(
        outputs.database,
        f"UPDATE {table} SET {column} = {'1' if column == 'seal' else repr('other')} WHERE id = {number}",
    )
    (fault,) = check(outputs).faults
    assert fault == f"record {number}: its column {column} is not what the record says" or column == "cells"
    repair(outputs)
    assert check(outputs).is_sound and list(each_row(tmp_path, Asked())) == whole


def test_a_row_of_no_record_is_told(tmp_path: Path) -> None:
    outputs = filled(tmp_path)
    names = ", ".join((*columns.KNOWN, "seal"))
    altered(outputs.database, f"INSERT INTO trials (id, {names}) SELECT 99, {names} FROM trials LIMIT 1")
    assert check(outputs).faults == ["row 99 of the columns of trials is of no record"]
    repair(outputs)
    assert check(outputs).is_sound


def number_of(database: Path, table: str) -> tuple[int]:
    with closing(sqlite3.connect(database)) as db:
        (row,) = db.execute(f"SELECT max(id) FROM {table}").fetchall()
    return row  # type: ignore[no-any-return]


def test_the_commands_say_what_they_found_and_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = filled(tmp_path)
    assert main(["store", "check", str(tmp_path)]) == 0
    assert "1 latency, 3 trial" in capsys.readouterr().out
    altered(outputs.database, DAMAGE["one digit"][0])
    outputs.spool.mkdir()
    (outputs.spool / "trial-x.json").write_text("")
    assert main(["store", "check", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert (
        "record 3: its seal does not fit" in out
        and "trial-x.json: it is empty" in out
        and "store repair" in out
    )
    assert main(["store", "repair", str(tmp_path)]) == 0
    assert "1 records were set aside in the table quarantine" in capsys.readouterr().out
    assert (outputs.spool / "trial-x.json.quarantine").is_file()
    assert main(["store", "check", str(tmp_path)]) == 0
    assert len(outputs.csv.read_text().splitlines()) == 3
    assert main(["store", "export", str(tmp_path)]) == 0
    assert main(["store", "check", str(tmp_path / "none")]) == 1


def test_pages_that_are_damaged_cost_the_records_on_them_alone(tmp_path: Path) -> None:
    outputs = Outputs.at(tmp_path)
    many = [trial(i % 2, i, notes="x" * 3000) for i in range(40)]
    outputs.store().add(*many, latency(0))
    content = bytearray(outputs.database.read_bytes())
    with closing(sqlite3.connect(outputs.database)) as db:
        page = len(content) // 4096 // 3
        if _has_dbstat(db):
            leaves = "SELECT pageno FROM dbstat WHERE name = 'records' AND pagetype = 'leaf' LIMIT 1 OFFSET 5"
            (page,) = db.execute(leaves).fetchone()
    content[(page - 1) * 4096 : (page - 1) * 4096 + 64] = bytes(64)
    outputs.database.write_bytes(content)
    report = check(outputs)
    assert report.pages and not report.is_sound
    try:
        read = len(Store(outputs.database, create=False).records())
    except StoreError as error:
        assert "store repair" in str(error)
    else:
        assert read == 40
    repair(outputs)
    assert (tmp_path / "results.sqlite.quarantine").read_bytes() == bytes(content)
    kept = Store(outputs.database).records()
    assert 30 <= len(kept) < 41 and all(record in many_as_read(many) for record in kept)
    assert check(outputs).is_sound


@pytest.mark.parametrize("name", ["results", "trials_by_block", "totals"])
def test_a_schema_that_is_damaged_is_repaired(tmp_path: Path, name: str) -> None:
    outputs = filled(tmp_path)
    wanted = outputs.store().records(history=True)
    altered(outputs.database, "PRAGMA writable_schema = ON",
            f"UPDATE sqlite_master SET sql = replace(sql, 'CREATE', 'CR\x1bEATE') WHERE name = '{name}'")  # fmt: skip
    assert check(outputs).pages
    with pytest.raises(StoreError, match="store repair") as error:
        Store(outputs.database)
    assert "\x1b" not in str(error.value)
    repair(outputs)
    assert check(outputs).is_sound and Store(outputs.database).records(history=True) == wanted


def _has_dbstat(db: sqlite3.Connection) -> bool:
    try:
        db.execute("SELECT 1 FROM dbstat LIMIT 1")
    except sqlite3.OperationalError:
        return False
    return True


def many_as_read(records: list[Record]) -> list[Record]:
    return [Record.from_json(record.to_json()) for record in records]


LOCKER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
if sys.argv[2] == "writing":
    db.execute("PRAGMA cache_size = 2")
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE records SET status = 'failed'")
    for i in range(300):
        db.execute("INSERT INTO environments VALUES (?, ?)", (str(i), "x" * 3000))
else:
    db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["idle", "writing"])
def test_reading_waits_for_no_writer_and_writes_nothing(tmp_path: Path, how: str) -> None:
    outputs = filled(tmp_path)
    wanted = slow(Store(outputs.database, create=False))
    process = subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(outputs.database), how], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        began = time.monotonic()
        store = Store(outputs.database, create=False)
        assert list(store.rows()) == wanted and store.statuses() == {"0-0": "ok", "1-0": "ok", "0-1": "ok"}
        assert time.monotonic() - began < 20
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    finally:
        process.kill()
        process.wait()


def test_a_folder_that_is_gone_is_said_and_no_other_is_made(tmp_path: Path) -> None:
    outputs = filled(tmp_path / "results")
    store = outputs.store()
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is gone: it, or its folder, was moved or deleted"):
        store.add(trial(2))
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("count", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_stores_with_altered_bytes_give_what_was_stored_or_say_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    outputs = filled(tmp_path / "whole")
    whole, wanted = outputs.database.read_bytes(), slow(outputs.store())
    records, rng = outputs.store().records(history=True), random.Random(0)
    path = tmp_path / "results.sqlite"
    ends = {"right": 0, "said": 0, "refused": 0}
    for _ in range(count):
        changed = bytearray(whole)
        match rng.randrange(4):
            case 0:
                for _ in range(rng.randint(1, 8)):
                    changed[rng.randrange(len(changed))] = rng.randrange(256)
            case 1:
                del changed[rng.randrange(len(changed)) :]
            case 2:
                at = rng.randrange(0, len(changed), 512)
                changed[at : at + 512] = bytes(512)
            case _:
                at = changed.find(
                    rng.choice([b"0.5", b"trial", b'"seed"', b"ok", b"key0", b"Block"]),
                    rng.randrange(len(changed)),
                )
                changed[at : at + 1] = rng.choice([b"9", b"z", b"\xff"])
        path.write_bytes(changed)
        caplog.clear()
        forget_what_was_said()
        try:
            store = Store(path, create=False)
            rows, history = list(store.rows()), store.records(history=True)
            list(store.records("latency"))
        except BlockzooError as error:
            ends["refused"] += 1
            assert str(path) in str(error) or "stored-columns" in str(error)
            continue
        assert all(record in records for record in history), "another record than was stored"
        if rows == wanted and history == records:
            ends["right"] += 1
            continue
        ends["said"] += 1
        assert caplog.text, "rows or records are missing, and nothing was said"
        assert all(row in wanted or row["latency_ms"] is None for row in rows), "another row than was stored"
    assert min(ends.values()) > 0, ends
