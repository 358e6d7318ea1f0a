"""Killed at the write points that no sweep passes: lines of a run's reports, rows that a results table grows by."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blockzoo.blockwise.run.reading import read_lines
from blockzoo.core.csv_file import read_csv
from blockzoo.core.faults import VARIABLE
from blockzoo.core.outputs import Outputs
from blockzoo.core.reading import Asked

RUN = (
    "-m blockzoo blockwise --model feedforward --config [4] --dataset digits --image-size 4 --limit-train 64 --rounds 4 "
    "--report-sampling-rate 1 --measurement-sampling-rate 2 --units norms --device cpu --output"
).split()

GROW = """
import sys
from blockzoo.core import export
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
outputs = Outputs.at(sys.argv[1])
store = outputs.store()
for seed in range(int(sys.argv[2])):
    record = Record("trial", f"{seed:016x}", "ResNetBasicBlock/mid", {"seed": seed}, values={"val_acc": seed / 8})
    if store.status(record.fingerprint) is None:
        store.add(record)
        export.export(outputs, store)
"""


def code(*words: str, fault: str = "") -> int:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), VARIABLE: fault}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True).returncode


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "full"])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_reports_of_a_run(tmp_path: Path, n: int, action: str) -> None:
    assert code(*RUN, str(tmp_path / "whole")) == 0
    assert code(*RUN, str(tmp_path / "again"), fault=f"line.appended:{n}:{action}") not in (0, 2)
    assert code(*RUN, str(tmp_path / "again"), "--resume") == 0
    reports = []
    for place in ("whole", "again"):
        (folder,) = (tmp_path / place / "blockwise").iterdir()
        lines = read_lines(folder / "progress.jsonl")
        assert [line["round"] for line in lines] == [1, 2, 3, 4]
        measured = [(line["round"], line["values"]) for line in read_lines(folder / "measurements.jsonl")]
        reports.append(([line["validation_loss"] for line in lines], measured))
    assert reports[0] == reports[1]


@pytest.mark.parametrize("n", [1, 2])
def test_a_results_table_that_grows(tmp_path: Path, n: int) -> None:
    assert code("-c", GROW, str(tmp_path), "4", fault=f"table.grown:{n}:kill") == -signal.SIGKILL
    assert code("-c", GROW, str(tmp_path), "6") == 0
    outputs = Outputs.at(tmp_path)
    rows = read_csv(outputs.csv)
    assert [row["seed"] for row in rows] == list(range(6))
    kept = list(outputs.store(create=False).rows(Asked()))
    assert [row["val_acc"] for row in rows] == [row["val_acc"] for row in kept]
