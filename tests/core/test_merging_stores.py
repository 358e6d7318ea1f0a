"""Stores made one: what comes of it is what a store has to which all records were added one after the other."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from blockzoo.core.faults import VARIABLE
from blockzoo.core.merging import Merged, merge
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import FINAL, Record
from blockzoo.core.repair import check
from blockzoo.core.store import Store
from tests.core.test_columns import latency, slow, trial


def tables(store: Store, table: str) -> list[tuple[object, ...]]:
    with store.database.reading() as db:
        return db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def shape(store: Store) -> list[tuple[object, ...]]:
    """The tables and indexes."""
    with store.database.reading() as db:
        return db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def drawn(draw: random.Random) -> Record:
    if draw.random() < 0.1:  # of a kind that has no row in the table
        status, number = draw.choice(["ok", "killed"]), draw.randrange(4)
        return Record("evaluation", f"e{number}", "mine", {}, status, notes=str(draw.random()))  # type: ignore[arg-type]
    if draw.random() < 0.6:
        status = draw.choice(["ok", "ok", "failed", "killed"])
        return trial(draw.randrange(3), draw.randrange(4), status, draw.random())
    return latency(
        draw.randrange(3), draw.choice(["cpu", "gpu"]), draw.choice(["ok", "failed"]), draw.random()
    )


def those_that_count(before: list[Record], others: list[Record]) -> list[Record]:
    """By hand: without the very same ones, and without those of requests that have a result."""
    newest = {(record.kind, record.fingerprint): record.status for record in before}
    kept = list(before)
    for record in others:
        answered = record.kind != "latency" and newest.get((record.kind, record.fingerprint)) in FINAL
        if record not in kept and not answered:
            kept.append(record)
    return kept


@pytest.mark.parametrize("seed", range(12))
def test_a_merged_store_is_one_to_which_all_was_added(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    before, others = ([drawn(draw) for _ in range(draw.randrange(40))] for _ in range(2))
    others += draw.sample(before, min(3, len(before)))
    target, source, wanted = (Outputs.at(tmp_path / name).store() for name in ("a", "b", "c"))
    target.add(*before)
    source.add(*others)
    was = source.path.read_bytes()
    stored = those_that_count(sorted_by_number(target), sorted_by_number(source))
    wanted.add(*before, *stored[len(before) :])
    (merged,) = merge(target, source)
    assert merged.copied + merged.there + merged.answered == len(others) and not merged.damaged
    for table in ("records", "trials", "times", "ways", "totals"):
        assert tables(target, table) == tables(wanted, table), table
    assert (
        slow(target) == slow(wanted)
        and shape(target) == shape(wanted)
        and check(Outputs.at(tmp_path / "a")).is_sound
    )
    assert source.path.read_bytes() == was
    assert merge(target, source)[0].copied == 0, "a second time nothing is new"


def sorted_by_number(store: Store) -> list[Record]:
    with store.database.reading() as db:
        kinds = [kind for (kind,) in db.execute("SELECT kind FROM records ORDER BY id")]
    of = {kind: iter(store.records(kind, history=True)) for kind in set(kinds)}
    return [next(of[kind]) for kind in kinds]


@pytest.mark.parametrize("seed", range(4))
def test_several_at_once_are_as_one_after_the_other(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    sources = [Outputs.at(tmp_path / f"s{number}").store() for number in range(3)]
    for source in sources:
        source.add(*(drawn(draw) for _ in range(25)))
    at_once, in_turn = (Outputs.at(tmp_path / name).store() for name in ("a", "b"))
    merged = merge(at_once, *sources)
    assert merged == [merge(in_turn, source)[0] for source in sources]
    assert shape(at_once) == shape(sources[0])
    for table in ("records", "trials", "times", "ways", "totals", "environments"):
        assert tables(at_once, table) == tables(in_turn, table), table


def test_into_itself(tmp_path: Path) -> None:
    store = Outputs.at(tmp_path).store()
    with pytest.raises(UsageError, match="into itself"):
        merge(store, Outputs.at(tmp_path).store(create=False))


def test_killed_before_the_end_nothing_was_copied(tmp_path: Path) -> None:
    target, source = (Outputs.at(tmp_path / name).store() for name in ("a", "b"))
    target.add(trial(2))
    source.add(trial(0), latency(0))
    command = [
        sys.executable,
        "-m",
        "blockzoo",
        "store",
        "merge",
        str(tmp_path / "b"),
        "-o",
        str(tmp_path / "a"),
    ]
    killed = subprocess.run(
        command, env={**os.environ, VARIABLE: "store.inserted:1:kill"}, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(sorted_by_number(target)) == 1 and check(Outputs.at(tmp_path / "a")).is_sound
    assert shape(target) == shape(source)
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert len(sorted_by_number(target)) == 3 and check(Outputs.at(tmp_path / "a")).is_sound


def altered(store: Store, *statements: str) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize(
    ("statement", "damaged"),
    [
        ("UPDATE records SET body = replace(body, '0.5', '0.9') WHERE id = 2", 1),
        ("UPDATE records SET body = replace(body, '0.5', 'x'), seal = NULL WHERE id = 2", 1),
        ("UPDATE environments SET facts = '{\"cpu\": 1}'", 4),
        ("UPDATE records SET body = x'ff', seal = NULL WHERE id = 2", 1),
        ("UPDATE trials SET cells = replace(cells, '0.5', '0.9')", 0),
        ("UPDATE about SET value = 'of another version' WHERE name = 'columns'", 0),
        ("UPDATE records SET seal = NULL", 0),
    ],
)
def test_what_is_damaged_is_left_out_and_what_follows_from_records_is_made(
    tmp_path: Path, statement: str, damaged: int
) -> None:
    target, source = (Outputs.at(tmp_path / name).store() for name in ("a", "b"))
    target.add(trial(2))
    source.add(trial(0), trial(1), latency(0), latency(1))
    altered(source, statement)
    assert merge(target, source) == [Merged(copied=4 - damaged, damaged=damaged)]
    assert {row["val_acc"] for row in slow(target)} == {0.5} and check(Outputs.at(tmp_path / "a")).is_sound


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = [str(tmp_path / name) for name in ("a", "b", "c")]
    for number, place in enumerate(places[:2]):
        Outputs.at(place).store().add(trial(number), latency(number))
    assert main(["store", "merge", *places[:2], "--output", places[2]]) == 0
    assert capsys.readouterr().out.count("2 records copied") == 2
    assert len((tmp_path / "c" / "results.csv").read_text().splitlines()) == 3
    assert main(["store", "merge", *places[:2], "--output", places[2]]) == 0
    assert "0 records copied; 2 there already" in capsys.readouterr().out
    altered(Outputs.at(places[0]).store(), "UPDATE records SET subject = 'x' WHERE id = 1")
    assert main(["store", "merge", places[0], "--output", str(tmp_path / "d")]) == 1
    assert "1 DAMAGED, left out" in capsys.readouterr().out
    assert main(["store", "merge", places[2], "--output", places[2]]) == 2
    assert main(["store", "merge", "--output", places[2]]) == 2
    assert main(["store", "merge", str(tmp_path / "nowhere"), "--output", places[2]]) == 1
