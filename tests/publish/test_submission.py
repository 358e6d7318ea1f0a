"""Records of others: a worked submission, and what is not taken."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blockzoo.cli import main
from blockzoo.core.checksums import file_digest
from blockzoo.core.errors import Damaged, UsageError
from blockzoo.core.merging import Merged, merge
from blockzoo.core.outputs import open_store
from blockzoo.core.record import Record
from blockzoo.core.record_file import read_records, write_records
from blockzoo.core.spec import TrialSpec
from blockzoo.core.table import COLUMNS
from blockzoo.execution.queue import plan_of
from blockzoo.publish.submission import MARKS, faults_of, marked, submit
from blockzoo.trials.verification import agreement, promoted
from tests.publish.made_up import stored, timing, trial

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "results" / "isolated" / "part-1.jsonl.gz"


def sound(block: int = 0, seed: int = 0, **values: Any) -> Record:
    """A training whose figures fit each other."""
    record = trial(block, seed)
    for name in [name for name in record.samples if name != "seconds"]:
        record.values[name] = record.samples[name][-1]
    record.values |= values
    return record


def rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    capsys.readouterr()
    assert main(["results", str(folder), "--format", "csv"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_a_worked_submission(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Others export their records; here they are handed in, beside own ones, and stay told apart."""
    theirs = [sound(0, 0), sound(0, 1), sound(1, 0), timing(0)]
    stored(tmp_path / "theirs", *theirs)
    file = tmp_path / "records.jsonl.gz"
    assert main(["store", "export", str(tmp_path / "theirs"), "--records", str(file)]) == 0
    mine = sound(0, 0, test_top5=0.25)
    store = stored(tmp_path / "mine", mine)

    assert main(["submit", str(file), "--by", "A. Person", "-o", str(tmp_path / "mine")]) == 0
    said = capsys.readouterr().out
    assert "3 taken as reported" in said and "1 of requests that have a result" in said

    made = {(row["block"], row["seed"]): row for row in rows(tmp_path / "mine", capsys)}
    digest = file_digest(file)[:16]
    assert {key: (row["tier"], row["submitted_by"], row["submission"]) for key, row in made.items()} == {
        ("ResNetBasicBlock", "0"): ("own", "", ""),
        ("ResNetBasicBlock", "1"): ("reported", "A. Person", digest),
        ("EdgeResidual", "0"): ("reported", "A. Person", digest),
    }
    own, *others = store.records("trial")
    assert own == Record.from_json(mine.to_json()), "a result that is here stays"
    for record, given in zip(others, theirs[1:3], strict=True):
        unmarked = {name: value for name, value in record.values.items() if name not in MARKS}
        assert replace(record, values=unmarked) == Record.from_json(given.to_json()), "provenance is kept"
    (times,) = store.records("latency")
    assert times.environment["timed_on"] == "Some CPU, fp32, eager, reported by A. Person"
    assert main(["submit", str(file), "--by", "A. Person", "-o", str(tmp_path / "mine")]) == 0
    assert len(rows(tmp_path / "mine", capsys)) == 3, "handed in again it is there already"


def test_own_times_and_reported_ones_share_no_table(tmp_path: Path) -> None:
    store = stored(tmp_path / "mine", sound(0), sound(1), timing(0), timing(1))
    stored(tmp_path / "theirs", timing(0, n=6))
    before = [row["latency_ms"] for row in store.rows()]
    submit(tmp_path / "theirs", store, "B. Person")
    assert [row["latency_ms"] for row in store.rows()] == before


def test_published_records_can_be_handed_in(tmp_path: Path) -> None:
    store = stored(tmp_path / "results", sound())
    taken = submit(PUBLISHED, store, "A. Person")
    trials = [
        record
        for record in read_records(PUBLISHED)
        if record.kind == "trial" and record.status in ("ok", "diverged")
    ]
    assert taken.merged.copied == len(trials) > 30 and taken.unchecked == 0
    assert taken.left_out["budget"] == 43


ALTERED = [
    ({"test_acc": 0.99}, "stored as right, and the test accuracy is 0.99"),
    ({"test_acc": 1.5}, "test_acc 1.5 .a fraction of 0 to 1"),
    ({"val_acc": 0.5}, "val_acc is 0.5, and the last of its epochs is"),
    ({"best_val_acc": 1.0}, "best_val_acc is 1.0, and the best of its epochs"),
    ({"training_time": 1.0}, "training_time is 1.0, and its epochs took"),
    ({"test_loss": 0.001}, "the test loss is 0.001"),
    ({"params_total": -1}, "params_total -1"),
    ({"test_acc": None}, "it has no test_acc"),
    ({"own": "x" * 20_000}, "own has 20,000 characters"),
    ({"block": "ConvNeXtBlock"}, "it says block of itself"),
    ({"lr": 0.1}, "it says lr of itself"),
    ({"budget": "iso-macs 1"}, "it says budget of itself"),
    ({"cpu": "a faster one"}, "it says cpu of itself"),
    ({"latency_ms": 0.001}, "it says latency_ms of itself"),
    ({"timing_key": "0" * 16}, "its times would be those of another network"),
    ({"code": "abc"}, "it is of code of its own"),
]


@pytest.mark.parametrize(
    ("values", "fault"), ALTERED, ids=[next(iter(values)) + str(n) for n, (values, _) in enumerate(ALTERED)]
)
def test_a_record_that_cannot_be_right_is_named(values: dict[str, Any], fault: str, tmp_path: Path) -> None:
    assert faults_of(sound()) == []
    record = sound()
    record.values |= values
    stored(tmp_path / "theirs", sound(1), record)
    store = stored(tmp_path / "mine", sound(2))
    with pytest.raises(
        UsageError, match=f"for 1 of its records cannot be right:\n.*{record.fingerprint}.*{fault}"
    ):
        submit(tmp_path / "theirs", store, "A. Person")
    assert len(store.records("trial")) == 1, "all or none"


def test_the_size_of_the_images_is_the_one_asked_for() -> None:
    record = sound()
    record.spec["image_size"] = 16
    assert "image_size is 32, and its request says 16" in "; ".join(faults_of(record))


def test_what_others_report_answers_no_request_of_ones_own(tmp_path: Path) -> None:
    """A sweep trains it, and what was trained elsewhere supersedes it; rerun and agreed with it does answer."""
    mine = sound(0, 0, test_top5=0.25)
    asked = TrialSpec.from_json(mine.spec)
    store = stored(tmp_path / "all", sound(2))
    submit(stored(tmp_path / "theirs", sound(0, 0)).path.parent, store, "A. Person")
    assert store.reported() == {mine.fingerprint} and mine.fingerprint in store.statuses()
    assert plan_of([asked], store, 1, "cpu").pending == [asked]
    assert merge(store, stored(tmp_path / "third", sound(1, 0)))[0].copied == 1
    again = sound(0, 0, test_top5=0.125)
    two = stored(tmp_path / "mine", again, mine)
    assert merge(store, two, stored(tmp_path / "late", sound(0, 0))) == [Merged(copied=2), Merged(answered=1)]
    assert not store.reported() and plan_of([asked], store, 1, "cpu").pending == []
    assert store.records("trial", fingerprint=mine.fingerprint)[-1].values["test_top5"] == 0.25

    other = stored(tmp_path / "other", sound(2))
    submit(stored(tmp_path / "handed in", mine).path.parent, other, "B. Person")
    (reported,) = other.records("trial", fingerprint=mine.fingerprint)
    other.add(*promoted(reported, agreement(0.5, [0.5], equal=True)))
    assert not other.reported() and plan_of([asked], other, 1, "cpu").pending == []


def test_other_things_that_cannot_be(tmp_path: Path) -> None:
    record = sound()
    cases = {
        "has the fingerprint": replace(record, fingerprint="0" * 16),
        "and its request of": replace(record, subject="EdgeResidual/mid"),
        "does not say torch": replace(record, environment={}),
        "no time of day": replace(record, timestamp="yesterday"),
        "has no field": replace(record, spec={**record.spec, "code": "rm"}),
        "values for 2 epochs": replace(record, samples={**record.samples, "val_acc": [0.5]}),
        "holds what is no number": replace(record, samples={**record.samples, "val_acc": ["x", 1]}),
        "no outcomes of images": replace(record, outcomes={"hits": "!", "losses": "!"}),
        "holds no time": replace(timing(), samples={"network_batch1_ms": [-1.0]}),
    }
    for fault, wrong in cases.items():
        assert fault in "; ".join(faults_of(Record.from_json(wrong.to_json()))), fault


def test_what_a_submission_says_of_its_own_tier_does_not_count() -> None:
    record = sound(tier="own", submitted_by="the owner", submission="none")
    assert [marked(record, "B", "abc").values[name] for name in MARKS] == ["reported", "B", "abc"]
    assert set(MARKS) <= set(COLUMNS)


def test_nothing_of_a_submission_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of the submitter's is named in records, lies where they say, and is not run; `verify` refuses it too."""
    monkeypatch.chdir(tmp_path)
    Path("theirs.py").write_text("raise SystemExit('it ran')\n")
    record = sound()
    record.spec["network"] = {**record.spec["network"], "subject": "theirs.py:Mine/mid"}
    record.subject = "theirs.py:Mine/mid"
    stored(tmp_path / "theirs", record)
    store = stored(tmp_path / "mine", sound(2))
    taken = submit(tmp_path / "theirs", store, "A. Person")
    assert (taken.merged.copied, taken.unchecked) == (1, 1)
    assert main(["verify", record.fingerprint, str(tmp_path / "mine")]) == 2


def test_who_hands_in_is_said_in_one_line(tmp_path: Path) -> None:
    store = stored(tmp_path / "mine", sound())
    for by in ("", "  ", "two\nlines", "\x1b[31mred", "x" * 300):
        with pytest.raises(UsageError, match="say who hands the records in"):
            submit(PUBLISHED, store, by)
    with pytest.raises(UsageError, match="hand in records"):
        submit(tmp_path / "table.csv", store, "A")
    with pytest.raises(UsageError, match="there is no file"):
        submit(tmp_path / "none.jsonl.gz", store, "A")


def test_a_damaged_file_is_not_taken(tmp_path: Path) -> None:
    store = stored(tmp_path / "mine", sound())
    file = tmp_path / "records.jsonl.gz"
    write_records(file, [sound(1)])
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(Damaged, match=r"not as it was written|cut off|end is missing"):
        submit(file, store, "A. Person")
    assert open_store(tmp_path / "mine").status(sound(1).fingerprint) is None


def test_nothing_to_hand_in_makes_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["submit", str(tmp_path / "none.jsonl.gz"), "--by", "A. Person", "-o", str(tmp_path / "results")]
    assert main(words) == 2
    assert "none.jsonl.gz: no such file of records" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
