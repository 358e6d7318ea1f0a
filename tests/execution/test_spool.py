from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from blockzoo.core.errors import Damaged
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.execution.queue import collect
from blockzoo.execution.spool import leftovers, read_spool, write_spool

NOON = "2026-11-29T12:00:00+00:00"
"""Of every record: two that were made in different seconds would differ."""


def trial(seed: int = 0) -> Record:
    spec = TrialSpec(network=NetworkSpec("ResNetBasicBlock/mid"), seed=seed)
    return Record(
        "trial",
        spec.fingerprint(),
        spec.network.subject,
        spec.to_json(),
        values={"val_acc": 0.5},
        timestamp=NOON,
    )


def as_read(record: Record) -> Record:
    """JSON has lists, where Python has tuples."""
    return Record.from_json(record.to_json())


def test_what_is_written_is_read_and_earlier_files_too(tmp_path: Path) -> None:
    records = [trial(0), replace(trial(1), notes="ä \ud800 \n \x1b[31m")]
    write_spool(tmp_path / "a.json", records)
    (tmp_path / "b.json").write_text(json.dumps([record.to_json() for record in records]))
    for path in (tmp_path / "a.json", tmp_path / "b.json"):
        assert read_spool(path) == [as_read(record) for record in records]


def _with(**changes: object) -> str:
    return json.dumps([json.dumps({**json.loads(trial().to_json()), **changes})])


BAD = {
    "empty": ("", "empty"),
    "torn": (_with()[:50], "no JSON"),
    "binary": ("\xff\xfe", "decode|codec"),
    "another thing": ('{"a": 1}', "no list of records"),
    "unknown field": (_with(colour=1), "unknown field 'colour'"),
    "newer": (_with(schema_version=99), "written by a newer blockzoo"),
    "a field no trial has": (_with(spec={"batchsize": 3}), "no field 'batchsize'"),
    "a wrong spec": (_with(spec={"batch_size": "many"}), "batch_size='many'"),
    "a status nobody knows": (_with(status="fine"), "status cannot be 'fine'"),
    "values that are none": (_with(values={"val_acc": [0.5]}), "values cannot be"),
    "not finite": (_with().replace("0.5", "NaN"), "NaN"),
    "deep": ("[" * 100_000, "no JSON"),
}


@pytest.mark.parametrize(("content", "says"), BAD.values(), ids=BAD)
def test_a_bad_file_is_set_aside_by_name_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, says: str
) -> None:
    outputs = Outputs.at(tmp_path)
    write_spool(outputs.spool / "z.json", [trial(1)])
    bad = outputs.spool / "a.json"
    bad.write_bytes(content.encode("latin-1"))
    with pytest.raises(Damaged, match=says):
        read_spool(bad)
    store = outputs.store()
    collect(outputs, store)
    assert [record.fingerprint for record in store.records()] == [trial(1).fingerprint]
    (kept,) = outputs.spool.iterdir()
    assert (kept.name, kept.read_bytes()) == ("a.json.quarantine", content.encode("latin-1"))
    assert "a.json" in caplog.text and "set aside as a.json.quarantine" in caplog.text
    bad.write_text("")
    collect(outputs, store)
    assert sorted(p.name for p in outputs.spool.iterdir()) == ["a.json.quarantine", "a.json.quarantine-1"]
    assert list(leftovers(outputs.spool)) == []


def test_a_record_is_stored_once_and_its_checkpoint_cleared_whenever_the_supervisor_was_killed(
    tmp_path: Path,
) -> None:
    outputs = Outputs.at(tmp_path)
    store, done = outputs.store(), trial()
    for stored_before in (False, True):
        write_spool(outputs.spool / "one.json", [done])
        outputs.checkpoint(done.fingerprint).parent.mkdir(exist_ok=True)
        outputs.checkpoint(done.fingerprint).touch()
        collect(outputs, store)
        assert len(store.records(history=True)) == 1, stored_before
        assert not list(outputs.spool.iterdir()) and not list((tmp_path / "checkpoints").iterdir())
    write_spool(outputs.spool / "one.json", [done])
    outputs.checkpoint(done.fingerprint).touch()
    collect(outputs, store, keep_weights=True)
    assert outputs.checkpoint(done.fingerprint).exists(), "the weights that are wanted lie there alone"
    again = replace(done, timestamp="2030-01-01T00:00:00+00:00")
    write_spool(outputs.spool / "one.json", [again])
    collect(outputs, store)
    assert len(store.records(history=True)) == 2, "another outcome of the same trial is another record"


@pytest.mark.parametrize("sealed", [True, False])
def test_altered_files_are_read_right_or_refused(tmp_path: Path, sealed: bool) -> None:
    """With its digest a file gives what was written or nothing; without, as earlier versions wrote it, records or our error."""
    path, rng = tmp_path / "one.json", random.Random(0)
    write_spool(path, [trial()])
    whole = path.read_bytes() if sealed else json.dumps([trial().to_json()]).encode()
    refused = 0
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(changed))
            match rng.randrange(3):
                case 0:
                    changed[place] = rng.randrange(256)
                case 1:
                    del changed[place : place + rng.randint(1, 30)]
                case _:
                    changed[place:place] = rng.randbytes(2)
        path.write_bytes(changed)
        try:
            records = read_spool(path)
        except Damaged as error:
            refused += 1
            assert str(path) in str(error)
        else:
            assert not sealed or bytes(changed) == whole or records == [as_read(trial())]
    assert refused > 200
