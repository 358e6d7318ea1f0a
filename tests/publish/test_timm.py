"""timm's tables: what is doubted is left out and said, what others reported stands apart."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest

from blockzoo.core.outputs import Outputs
from blockzoo.core.record_file import write_records
from blockzoo.core.table import REPRODUCED
from blockzoo.publish.folder import export_results
from blockzoo.publish.submission import submit
from tests.publish.made_up import stored, timing, trial


def models(folder: Path, beginning: str) -> dict[bool, list[str]]:
    """The models of the files whose names begin so, by whether they end with -reported."""
    listed: dict[bool, list[str]] = {}
    for path in folder.glob(f"{beginning}-*.csv"):
        listed[path.stem.endswith("-reported")] = [line["model"] for line in csv.DictReader(path.open())]
    return listed


def test_a_time_that_is_doubted_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    doubted = timing(1)
    doubted.values = {"network_batch1_doubt": "wild samples"}
    stored(tmp_path / "results", trial(0), trial(1), timing(0), doubted)
    with caplog.at_level(logging.WARNING, "blockzoo"):
        export_results(tmp_path / "results", tmp_path / "timm", "timm")
    assert models(tmp_path / "timm", "benchmark") == {False: ["ResNetBasicBlock/mid"]}
    assert sorted(models(tmp_path / "timm", "results")[False]) == ["EdgeResidual/mid", "ResNetBasicBlock/mid"]
    assert "1 times are left out" in caplog.text and "EdgeResidual/mid (wild samples)" in caplog.text


def test_what_others_reported_stands_in_files_of_its_own(tmp_path: Path) -> None:
    write_records(tmp_path / "theirs.jsonl.gz", [trial(1), timing(1)])
    reproduced = trial(2, values={"tier": REPRODUCED, "submitted_by": "B. Person"})
    stored(tmp_path / "results", trial(0), timing(0), timing(1, way="their CPU"), reproduced)
    submit(tmp_path / "theirs.jsonl.gz", Outputs.at(tmp_path / "results").store(), "A. Person")
    export_results(tmp_path / "results", tmp_path / "timm", "timm")
    assert {reported: sorted(of) for reported, of in models(tmp_path / "timm", "results").items()} == {
        False: ["GhostBottleneck/mid", "ResNetBasicBlock/mid"],
        True: ["EdgeResidual/mid"],
    }


@pytest.mark.parametrize("whose", ["own", "reported"])
def test_times_of_others_stand_apart_whoever_trained(tmp_path: Path, whose: str) -> None:
    store = Outputs.at(tmp_path / "results").store()
    write_records(tmp_path / "theirs.jsonl.gz", [timing(0), *([trial(0)] if whose == "reported" else [])])
    store.add(*([trial(0)] if whose == "own" else []))
    submit(tmp_path / "theirs.jsonl.gz", store, "A. Person")
    export_results(tmp_path / "results", tmp_path / "timm", "timm")
    assert models(tmp_path / "timm", "benchmark") == {True: ["ResNetBasicBlock/mid"]}
    assert list(models(tmp_path / "timm", "results")) == [whose == "reported"]
