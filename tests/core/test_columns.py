"""Tables that are read from the columns of a store, against rows made from its records; and the CSV that grows with it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from blockzoo.core import columns, export, schema
from blockzoo.core.csv_file import Mark, mark_of, read_csv
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.outputs import Outputs, read_rows
from blockzoo.core.reading import Asked
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.table import COLUMNS, rows
from blockzoo.core.text import csv_text

BLOCKS = ("ResNetBasicBlock/mid", "EdgeResidual/late", "my_file.py:Mine/early")


def trial(block: int = 0, seed: int = 0, status: str = "ok", accuracy: float = 0.5, **more: str) -> Record:
    """Specs of blocks whose files are not here are made as records have them."""
    network = NetworkSpec("ResNetBasicBlock/mid", base_channels=block + 1)
    spec = TrialSpec(network=network, seed=seed).to_json()
    spec["network"]["subject"] = BLOCKS[block]
    values: dict[str, float | int | str | None] = {
        "val_acc": accuracy,
        "image_size": 32,
        "timing_key": f"key{block}",
    }
    return Record("trial", f"{block}-{seed}", BLOCKS[block], spec, status, values=values, **more)  # type: ignore[arg-type]


def latency(
    block: int = 0, way: str = "cpu", status: str = "ok", ms: float = 1.0, reason: str = ""
) -> Record:
    samples = {"network_batch1_ms": [ms, ms + 1, ms + 2]} if status == "ok" else {}
    return Record("latency", f"key{block}", BLOCKS[block], {}, status, reason, samples=samples,  # type: ignore[arg-type]
                  environment={"timed_on": way})  # fmt: skip


def slow(store: Store, timed_on: str | None = None) -> list[dict[str, object]]:
    return rows(store.records("trial"), store.records("latency", history=True), timed_on=timed_on)


class Results(RuleBasedStateMachine):
    """A results folder, and a list of all records that were added to it."""

    @initialize(small=st.sampled_from([10_000, 2]))
    def begin(self, small: int) -> None:
        self.folder = TemporaryDirectory()
        self.outputs = Outputs.at(Path(self.folder.name))
        self.store = self.outputs.store()
        self.added: list[Record] = []
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(export, "SMALL", small)
        self.small = small

    def teardown(self) -> None:
        self.patch.undo()
        self.folder.cleanup()

    def add(self, *records: Record) -> None:
        self.store.add(*records)
        self.added += [Record.from_json(record.to_json()) for record in records]

    @rule(
        block=st.integers(0, 2),
        seed=st.integers(0, 1),
        status=st.sampled_from(["ok", "failed"]),
        at=st.floats(0, 1),
    )
    def train(self, block: int, seed: int, status: str, at: float) -> None:
        self.add(trial(block, seed, status, at, notes='a "note",\nof two lines'))

    @rule(
        block=st.integers(0, 2),
        way=st.sampled_from(["cpu, fp32", "cpu, bf16", ""]),
        status=st.sampled_from(["ok", "failed"]),
        reason=st.sampled_from(["", "why"]),
    )
    def time(self, block: int, way: str, status: str, reason: str) -> None:
        self.add(latency(block, way, status, len(self.added) + 1.0, reason))

    @rule()
    def several(self) -> None:
        self.add(trial(0, 5), latency(0), trial(1, 5), trial(0, 5, accuracy=0.75))

    @rule(anew=st.booleans())
    def write_the_table(self, anew: bool) -> None:
        path = export.export(self.outputs, self.store, anew=anew)
        mark = Mark.of(path)
        assert mark is not None and path == self.outputs.csv
        written, wanted = path.read_text(), csv_text(slow(self.store), COLUMNS)
        if not mark.behind:
            assert written == wanted
        else:
            assert self.small == 2, "a small table is never behind"
        fingerprints = [row["fingerprint"] for row in read_csv(path)]
        assert len(fingerprints) == len(set(fingerprints)), "a trial has one row"
        assert set(fingerprints) == {r.fingerprint for r in self.added if r.kind == "trial"}

    @rule()
    def somebody_edits_the_table(self) -> None:
        if self.outputs.csv.exists():
            self.outputs.csv.write_bytes(self.outputs.csv.read_bytes() + b"torn, ")

    @rule()
    def somebody_deletes_the_mark(self) -> None:
        mark_of(self.outputs.csv).unlink(missing_ok=True)

    @invariant()
    def the_columns_give_the_rows_of_the_records(self) -> None:
        if not hasattr(self, "store"):
            return
        store = Store(self.outputs.database, create=False)
        assert store.records(history=True) == [r for r in self.added if r.kind == "trial"]
        assert list(store.rows()) == slow(store)
        few = [row for row in slow(store) if row["block"] == "EdgeResidual"]
        selected = list(store.rows(Asked(where={"block": "EdgeResidual"})))
        assert [row["fingerprint"] for row in selected] == [row["fingerprint"] for row in few]
        everything = rows(store.records("trial", history=True), store.records("latency", history=True))
        assert list(store.rows(Asked(history=True))) == everything


TestResults = Results.TestCase
TestResults.settings = settings(max_examples=8, stateful_step_count=8, deadline=None)


def test_one_way_can_be_asked_for_and_rows_can_be_chosen(tmp_path: Path) -> None:
    store = Outputs.at(tmp_path).store()
    store.add(
        trial(0), trial(0, 1, accuracy=0.25), trial(1), latency(0, "cpu, fp32"), latency(1, "cpu, bf16", ms=7)
    )
    assert list(store.rows(Asked(timed_on="bf16"))) == slow(store, "bf16")
    with pytest.raises(UsageError, match="there are times on: cpu, fp32; cpu, bf16"):
        list(store.rows(Asked(timed_on="fp64")))
    chosen = {
        "block=ResNetBasicBlock": 2, "block=ResNetBasicBlock seed=1": 1, "val_acc=0.25": 1, "val_acc=.250": 1, "seed=0": 2,
        "position=late": 1, "base_channels=2": 1, "notes=": 3, "dataset=digits": 0, "dataset=cifar10": 3, "gpu=": 3,
    }  # fmt: skip
    export.export(Outputs.at(tmp_path), store)
    for text, count in chosen.items():
        where = dict(pair.split("=") for pair in text.split())
        assert len(read_rows(tmp_path, where=where)) == count, text
        assert len(read_rows(tmp_path / "results.csv", where=where)) == count, text
    with pytest.raises(UsageError, match="no column 'colour'"):
        read_rows(tmp_path, where={"colour": "red"})


def earlier(path: Path, *records: Record) -> None:
    """A store as the first version made it."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied TEXT NOT NULL)")
        name, step = schema.MIGRATIONS[0]
        step(db)
        db.execute("INSERT INTO migrations VALUES (?, '')", (name,))
        for record in records:
            from blockzoo.core.sealed import parts

            identifier, facts, body = parts(record)
            db.execute("INSERT OR IGNORE INTO environments VALUES (?, ?)", (identifier, facts))
            known = (
                record.kind,
                record.fingerprint,
                record.subject,
                record.status,
                record.timestamp,
                identifier,
                body,
            )
            names = ", ".join(schema.SEALED)
            db.execute(f"INSERT INTO records ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)", known)
    db.close()


def test_an_earlier_store_is_read_as_it_is_and_migrated_on_writing(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    earlier(path, trial(0), latency(0), trial(1), trial(0, accuracy=0.75))
    before = path.read_bytes()
    store = Store(path, create=False)
    wanted = slow(store)
    assert list(store.rows()) == wanted and [row["val_acc"] for row in wanted] == [0.5, 0.75]
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["results.sqlite"]
    assert list(Store(path).rows()) == wanted
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM trials").fetchone() == (3,)
        shown = db.execute("SELECT block, val_acc FROM results ORDER BY id").fetchall()
    assert shown == [("ResNetBasicBlock", 0.5), ("EdgeResidual", 0.5), ("ResNetBasicBlock", 0.75)]
    db.close()


def test_columns_of_other_names_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.add(trial(0), latency(0))
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE about SET value = 'of long ago' WHERE name = 'columns'")
        db.execute("UPDATE trials SET cells = '[]'")
    db.close()
    before = store.path.read_bytes()
    assert list(Store(store.path, create=False).rows()) == slow(store)
    assert store.path.read_bytes() == before
    assert list(Store(store.path).rows()) == slow(store)


@pytest.mark.mutation("stored-columns")
def test_columns_that_are_not_those_of_the_record_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.add(trial(0), trial(1))
    with sqlite3.connect(store.path) as db:
        known = db.execute(f"SELECT {', '.join(columns.KNOWN)} FROM trials WHERE id = 1").fetchone()
        other = known[-1].replace("0.5", "0.6")
        sealed = columns.seal(*known[:-1], other)
        db.execute("UPDATE trials SET cells = ?, seal = ? WHERE id = 1", (other, sealed))
    db.close()
    with pytest.raises(CheckFailed, match=r"another val_acc.*store repair"):
        list(store.rows())


def test_a_trial_costs_the_same_in_a_large_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what SQLite does, not by a clock: the steps of its machine in a store of 20 and of 400 trials."""
    steps = []
    for count in (20, 400):
        outputs = Outputs.at(tmp_path / str(count))
        store = outputs.store()
        store.add(*(replace(trial(i % 2, i), fingerprint=str(i)) for i in range(count)), latency(0))
        export.export(outputs, store)
        done = 0

        def step() -> int:
            nonlocal done
            done += 1
            return 0

        connect = store.database._connect

        def counted(*args: object, connect: object = connect, step: object = step) -> sqlite3.Connection:
            db: sqlite3.Connection = connect(*args)  # type: ignore[operator]
            db.set_progress_handler(step, 10)  # type: ignore[arg-type]
            return db

        monkeypatch.setattr(store.database, "_connect", counted)
        size = outputs.csv.stat().st_size
        store.add(replace(trial(2, 0), fingerprint="new"))
        export.export(outputs, store)
        store.add(latency(2))
        export.export(outputs, store)
        assert export.rows_of(store, ["new"])[0]["latency_ms"] == 2.0
        assert outputs.csv.stat().st_size > size
        steps.append(done)
    assert steps[1] < 1.3 * steps[0], steps


def test_the_last_trial_of_a_table_again_takes_its_place(tmp_path: Path) -> None:
    outputs = Outputs.at(tmp_path)
    store = outputs.store()
    for accuracy in (0.5, 0.75):
        store.add(trial(0, 0, accuracy=accuracy))
        table = read_csv(export.export(outputs, store))
        assert [row["val_acc"] for row in table] == [accuracy]
    assert len(table) == 1
