"""A run's folder with damage in it: what is whole is kept, what is not is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.reading import (
    read_array,
    read_checkpoint,
    read_lines,
    read_parameters,
    run_status,
)
from blockzoo.blockwise.run.reports import ReportFolder
from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.said import forget_what_was_said


def folder_with(tmp_path: Path, rounds: int = 6) -> Path:
    with ReportFolder(tmp_path / "run") as reports:
        for number in range(1, rounds + 1):
            reports.progress({"round": number, "validation_loss": 1 / number})
            reports.measured(number, "norms", {"norm": number})
    return tmp_path / "run"


@pytest.mark.parametrize(
    "damage", ['{"ro"nd": 3}', "", "[1]", '{"round": true}', '{"round": -1}', "\ud83d", "[" * 5000]
)
def test_one_damaged_line_costs_that_line_alone(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forget_what_was_said()
    path = folder_with(tmp_path) / "progress.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = damage.encode("utf-8", "surrogatepass") + b"\n"
    path.write_bytes(b"".join(lines))
    for _ in range(2):
        assert [line["round"] for line in read_lines(path)] == [1, 2, 4, 5, 6]
    assert len(caplog.messages) == 1 and "progress.jsonl: line 3" in caplog.messages[0]
    with ReportFolder(path.parent) as reports:
        reports.go_back_to(5)
    assert [line["round"] for line in read_lines(path)] == [1, 2, 4, 5]
    assert path.with_name("progress.jsonl.damaged").read_bytes() == lines[2]


def test_a_torn_last_line_is_left_out_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = folder_with(tmp_path) / "progress.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert [line["round"] for line in read_lines(path)] == [1, 2, 3, 4, 5] and not caplog.messages
    assert read_lines(path.with_name("nothing.jsonl")) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": 3}, "model"),
        ({"unknown": 3}, "unknown"),
        ({"options": {"rounds": "many"}}, "rounds"),
        ({"options": {"rounds": 10**30}}, ""),
        ({"options": []}, "options"),
        ({"network": {"delay_s": None}}, "delay"),
        ({"stopper": {}, "device": 1}, "stopper.*device"),
        ({"environment": 3}, "environment"),
    ],
)
def test_parameters_of_another_type_are_named(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    values = {**RunConfig(config=(8, (2, 3))).to_json(), "environment": {}}
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps(values))
    assert read_parameters(tmp_path)[0] == RunConfig(config=(8, (2, 3)))
    path.write_text(json.dumps({**values, **changes}))
    if said:
        with pytest.raises(DataError, match=rf"parameters\.json: (?s:.)*{said}"):
            read_parameters(tmp_path)


def test_a_state_that_cannot_be_read_is_one(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    assert run_status(folder) is None
    for content in ("", "[]", '{"status": 3}', '{"status": "running", "reason": "", "process": "x"}', "\xff"):
        (folder / "status.json").write_text(content, encoding="latin-1")
        status = run_status(folder)
        assert status is not None and status["status"] == "damaged" and "status.json" in status["reason"]
    (folder / "status.json").write_text('{"status": "running", "reason": "", "process": 1}')
    (folder / ".lock").unlink()
    assert run_status(folder)["status"] == "killed"  # type: ignore[index]


def test_arrays_lie_in_the_folder_of_the_run(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    with ReportFolder(folder) as reports:
        reports.measured(7, "large", {"map": np.arange(4900.0).reshape(70, 70)})
    value = read_lines(folder / "measurements.jsonl")[-1]["values"]["map"]
    np.testing.assert_array_equal(read_array(folder, value, 2), np.arange(4900.0).reshape(70, 70))
    np.testing.assert_array_equal(read_array(folder, [[1, 2]], 2), [[1, 2]])
    np.save(tmp_path / "secret.npy", np.eye(2))
    for other in (
        "../secret.npy",
        "arrays/../../secret.npy",
        str(tmp_path / "secret.npy"),
        3,
        "arrays/none.npy",
    ):
        with pytest.raises(DataError):
            read_array(folder, {"file": other}, 2)
    for odd in ([[1], [2, 3]], ["a"], 3, [[None]], [[[1]]]):
        with pytest.raises(DataError):
            read_array(folder, odd, 2)


def test_a_checkpoint_of_something_else(tmp_path: Path) -> None:
    import torch

    for content in ([], {"state_dict": {}}, {"frame": {}, "totals": {}, "clock": [], "reports": []}):
        torch.save(content, tmp_path / "checkpoint.pt")
        with pytest.raises(UsageError, match=r"checkpoint\.pt.*--restart"):
            read_checkpoint(tmp_path / "checkpoint.pt")
