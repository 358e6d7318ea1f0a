"""Rows trained again: what agrees, what does not, and what nobody can say."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.record_file import write_records
from blockzoo.core.store import Store
from blockzoo.trials.options import Verifying
from blockzoo.trials.verification import agreement, promoted, row_of, spec_of, wrong_costs

TRAINED = (
    "ResNetBasicBlock/mid --dataset digits --epochs 1 --batch-size 16 --base-channels 4 --num-blocks 1 --no-latency --quiet"
).split()


def test_an_honest_row_agrees_in_95_of_100() -> None:
    """The interval is one of a further value: it holds so often, whatever n is."""
    draw = random.Random(0)
    for n in (3, 5, 10):
        held = [
            agreement(draw.gauss(0.5, 0.01), [draw.gauss(0.5, 0.01) for _ in range(n)]) for _ in range(2000)
        ]
        share = sum(judged.verdict != "disagrees" for judged in held) / len(held)
        assert 0.935 < share < 0.965, (n, share)


def test_an_altered_row_disagrees() -> None:
    draw = random.Random(1)
    judged = [agreement(0.6, [draw.gauss(0.5, 0.01) for _ in range(5)]).verdict for _ in range(200)]
    assert judged.count("disagrees") > 190


def test_what_cannot_be_said() -> None:
    assert agreement(0.5, [0.5], equal=True).verdict == "agrees"
    assert agreement(0.9, [0.5]).verdict == agreement(0.9, [0.5, 0.51]).verdict == "cannot say"
    wide = agreement(0.5, [0.4, 0.5, 0.6])
    assert wide.verdict == "cannot say" and f"{Verifying.within:g} points" in wide.why
    assert agreement(0.5, [0.4, 0.5, 0.6], within=100).verdict == "agrees"
    same = agreement(0.5, [0.501, 0.499, 0.502], same_environment=True)
    assert same.verdict == "cannot say" and "same bits" in same.why
    for judged in (wide, same, agreement(0.9, [0.1, 0.11, 0.12])):
        assert judged.sentence.startswith(judged.verdict) and "(n = 3)" in judged.sentence


def test_tiers_follow_verdicts() -> None:
    reported = Record("trial", "f", "x", {}, values={"tier": "reported"})
    agrees, differs, open_ = (
        agreement(0.5, [0.5], equal=True),
        agreement(0.9, [0.1, 0.11, 0.12]),
        agreement(0.5, [0.5]),
    )
    (reproduced,) = promoted(reported, agrees)
    assert reproduced == replace(reported, values={"tier": "reproduced"})
    assert promoted(reported, differs) == promoted(reported, open_) == promoted(reproduced, agrees) == []
    assert promoted(reproduced, differs)[0].values == {"tier": "reported"}
    assert promoted(Record("trial", "f", "x", {}), agrees) == []


def test_a_row_is_found_by_the_beginning_of_its_fingerprint(tmp_path: Path) -> None:
    from tests.publish.made_up import stored, trial

    store = stored(tmp_path, trial(0, 0), trial(0, 1), trial(1, 0, status="diverged"))
    first = trial(0, 0).fingerprint
    assert row_of(store, first[:12]).fingerprint == first
    for wrong, said in (
        ("zzz", "no row has it"),
        ("", "no row has it"),
        (trial(1, 0).fingerprint, "nothing to verify"),
    ):
        with pytest.raises(UsageError, match=said):
            row_of(store, wrong)
    with pytest.raises(UsageError, match=r"rests on weights of a file \(abc\)"):
        spec_of(replace(trial(), spec={**trial().spec, "start": "w.pth", "start_identity": "abc"}))
    with pytest.raises(UsageError, match=r"rests on callbacks \(mine:Zero\)"):
        spec_of(replace(trial(), spec={**trial().spec, "callbacks": "mine:Zero"}))
    with pytest.raises(UsageError, match="of another request than it says"):
        spec_of(replace(trial(), fingerprint="0" * 16))


def test_costs_are_counted_again() -> None:
    row = Record(
        "trial", "f", "x", {}, values={"macs": 5, "params_total": 7, "stage_macs": 3, "memory_mb": 1.0}
    )
    assert wrong_costs(row, {"macs": 5, "params_total": 7, "memory_mb": 2.0}) == ""
    assert wrong_costs(row, {"macs": 5321, "stage_macs": 3}) == "macs is 5 in the row and 5,321 here"


def trained(folder: Path) -> tuple[Store, Record]:
    assert main(["train", *TRAINED, "--output", str(folder)]) == 0
    store = Outputs.at(folder).store()
    (record,) = store.records("trial")
    return store, record


@pytest.mark.slow
def test_real_rows_are_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row that is handed in as it was trained is reproduced; one with another accuracy comes out as disagreeing."""
    _, record = trained(tmp_path / "theirs")
    honest, altered, smaller = (tmp_path / f"{name}.jsonl.gz" for name in ("honest", "altered", "smaller"))
    write_records(honest, [record])
    write_records(smaller, [replace(record, values={**record.values, "macs": 5})])
    better = {**record.values, "test_acc": 0.99, "test_loss": 0.01}
    write_records(altered, [replace(record, values=better, outcomes={})])
    verdicts = {}
    for file, code in ((honest, 0), (altered, 1), (smaller, 1)):
        mine = tmp_path / file.stem
        assert main(["submit", str(file), "--by", "A. Person", "-o", str(mine)]) == 0
        capsys.readouterr()
        words = ["verify", record.fingerprint[:10], str(mine), "--reruns", "4", "--format", "json", "--quiet"]
        assert main(words) == code
        said = capsys.readouterr().out
        store = Outputs.at(mine).store(create=False)
        (verification,) = store.records("verification")
        verdicts[file.name] = verification.values["verdict"]
        assert f'"{verification.values["verdict"]}"' in said
        assert len(verification.samples["test_acc"]) == verification.values["n"]
        assert next(iter(store.rows()))["tier"] == ("reproduced" if code == 0 else "reported")
    assert list(verdicts.values()) == ["agrees", "disagrees", "disagrees"]
