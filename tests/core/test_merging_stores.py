"""Stores made one: what comes of it is what a store has to which all records were added one after the other."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core.merging import Merged, merge
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import FINAL, Record
from blockzoo.core.repair import check
from blockzoo.core.store import Store
from tests.core.test_columns import latency, slow, trial


def tables(store: Store, table: str) -> list[tuple[object, ...]]:
    with store.database.reading() as db:
        return db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def drawn(draw: random.Random) -> Record:
    if draw.random() < 0.6:
        status = draw.choice(["ok", "ok", "failed", "killed"])
        return trial(draw.randrange(3), draw.randrange(4), status, draw.random())
    return latency(
        draw.randrange(3), draw.choice(["cpu", "gpu"]), draw.choice(["ok", "failed"]), draw.random()
    )


def those_that_count(before: list[Record], others: list[Record]) -> list[Record]:
    """By hand: without the very same ones, and without those of requests that have a result."""
    newest = {record.fingerprint: record.status for record in before if record.kind == "trial"}
    kept = list(before)
    for record in others:
        answered = record.kind == "trial" and newest.get(record.fingerprint) in FINAL
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
    stored = those_that_count(target.records(history=True) + target.records("latency", history=True),
                              sorted_by_number(source))  # fmt: skip
    wanted.add(*before, *stored[len(before) :])
    merged = merge(target, source)
    assert merged.copied + merged.there + merged.answered == len(others) and not merged.damaged
    for table in ("records", "trials", "times", "ways", "totals"):
        assert tables(target, table) == tables(wanted, table), table
    assert slow(target) == slow(wanted) and check(Outputs.at(tmp_path / "a")).is_sound
    assert source.path.read_bytes() == was
    assert merge(target, source).copied == 0, "a second time nothing is new"


def sorted_by_number(store: Store) -> list[Record]:
    with store.database.reading() as db:
        kinds = [kind for (kind,) in db.execute("SELECT kind FROM records ORDER BY id")]
    of = {kind: iter(store.records(kind, history=True)) for kind in set(kinds)}
    return [next(of[kind]) for kind in kinds]


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
    assert merge(target, source) == Merged(copied=4 - damaged, damaged=damaged)
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
