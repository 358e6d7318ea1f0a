"""Records as files: what comes back is what was written, or nothing and a sentence."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core.errors import Damaged, UsageError
from blockzoo.core.merging import merge
from blockzoo.core.outputs import Outputs
from blockzoo.core.record_file import as_store, export_records, read_records, write_records
from blockzoo.core.store import Store
from tests.fuzz.entries.store import records


def test_a_store_comes_back_record_by_record(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.sqlite")
    store.add(*records()[:-1])
    count = export_records(store, tmp_path / "all.jsonl.gz")
    texts = [record.to_json() for record in store.each_record()]
    assert count == len(texts) == len(records()) - 1
    assert [record.to_json() for record in read_records(tmp_path / "all.jsonl.gz")] == texts
    (tmp_path / "other").mkdir()
    again = as_store(tmp_path / "all.jsonl.gz", tmp_path / "other")
    assert [record.to_json() for record in again.each_record()] == texts
    assert list(again.rows()) == list(store.rows())


def test_equal_records_make_equal_bytes_and_parts_make_the_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.sqlite")
    first, *others = {record.to_json(): record for record in records()}.values()
    store.add(first)
    one, same, two = (tmp_path / f"{name}.jsonl.gz" for name in ("one", "same", "two"))
    assert export_records(store, one) == export_records(store, same) == 1
    assert one.read_bytes() == same.read_bytes()
    store.add(*others)
    assert export_records(store, two, [one]) == len(others)
    together = [record.to_json() for part in (one, two) for record in read_records(part)]
    assert together == [record.to_json() for record in store.each_record()]


def test_a_record_that_is_stored_twice_is_written_once_and_merged_stores_are_equal(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.sqlite")
    first, *others = records()[:-1]
    store.add(first, *others, first, replace(first, notes="another"))
    path, plainly = tmp_path / "once.jsonl.gz", tmp_path / "all.jsonl.gz"
    assert export_records(store, path) == len(others) + 2
    texts = [record.to_json() for record in read_records(path)]
    assert len(set(texts)) == len(texts) and texts[0] == first.to_json()
    assert write_records(plainly, store.each_record()) == len(others) + 3
    held = []
    for number, file in enumerate((path, plainly)):
        target = Store(tmp_path / f"merged-{number}.sqlite")
        (tmp_path / str(number)).mkdir()
        merge(target, as_store(file, tmp_path / str(number)))
        held.append([record.to_json() for record in target.each_record()])
    assert held[0] == held[1]


@pytest.mark.parametrize(
    "fault", ["cut", "flipped", "a line", "no gzip", "no end", "newer", "empty", "one less"]
)
def test_what_is_damaged_is_refused_whole(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "some.jsonl.gz"
    write_records(path, records())
    text, raw = gzip.decompress(path.read_bytes()), path.read_bytes()
    path.write_bytes({
        "cut": raw[:-20], "flipped": raw[:100] + bytes([raw[100] ^ 16]) + raw[101:], "no gzip": text,
        "a line": gzip.compress(text.replace(b'"kind": "trial"', b'"kind": 7', 1)), "no end": gzip.compress(text[:-1]),
        "empty": b"", "one less": gzip.compress(text.partition(b"\n")[2]),
        "newer": gzip.compress(text.replace(b'"schema_version": 2', b'"schema_version": 99', 1)),
    }[fault])  # fmt: skip
    with pytest.raises(Damaged, match=r"some\.jsonl\.gz"):
        as_store(path, tmp_path)
    assert not list(Store(tmp_path / "results.sqlite").each_record())


def test_names_and_missing_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"NAME\.jsonl\.gz"):
        write_records(tmp_path / "records.json", records())
    with pytest.raises(UsageError, match="cannot read"):
        list(read_records(tmp_path / "none.jsonl.gz"))


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = Outputs.at(tmp_path / "a")
    outputs.store().add(*{(record.kind, record.fingerprint): record for record in records()}.values())
    part = str(tmp_path / "part-1.jsonl.gz")
    assert main(["store", "export", str(tmp_path / "a"), "--records", part]) == 0
    assert main(["store", "merge", part, "--output", str(tmp_path / "b")]) == 0
    assert main(["store", "merge", part, "--output", str(tmp_path / "b")]) == 0
    said = capsys.readouterr().out
    assert " records copied" in said and "0 records copied" in said and "there already" in said
    assert list(Outputs.at(tmp_path / "b").store().rows()) == list(outputs.store().rows())
    assert main(["store", "export", str(tmp_path / "a"), "--beside", part]) == 2
