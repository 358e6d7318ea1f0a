from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from blockzoo.cli import main
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.report.runs import run_rows, runs_table


def run(seed: int, k: int, loss: float | None, status: str = "ok", reason: str = "") -> Record:
    spec = {"model": "cnn", "dataset": "digits", "device": "cpu", "config": [4, 4], "network": {"delay_s": 0.0},
            "options": {"training_mode": "jacobi", "seed": seed, "k": k, "rounds": 7}}  # fmt: skip
    values = {
        "round": 7,
        "validation_loss": loss,
        "validation_accuracy": 0.25,
        "communicated_bytes_total": 1234,
    }
    return Record("blockwise", f"{seed}-{k}", "cnn", spec, status, reason, values)  # type: ignore[arg-type]


RUNS = [run(0, 2, 1.5), run(0, 10, 1.25), run(1, 10, None, "diverged", "the loss is no number")]


def test_one_row_a_run_with_settings_and_values() -> None:
    first = run_rows(RUNS)[0]
    assert (first["model"], first["training_mode"], first["k"], first["validation_loss"]) == (
        "cnn",
        "jacobi",
        2,
        1.5,
    )
    assert "device" not in first and first["network_delay_s"] == 0.0


def test_settings_that_differ_are_columns_and_the_best_is_first() -> None:
    console = Console(width=200, file=io.StringIO())
    console.print(runs_table(RUNS))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert " k " in text and "delay" not in text and "[4, 4]" not in text
    lines = [line for line in text.splitlines() if "jacobi" in line]
    assert "1.2500" in lines[0] and "1.5000" in lines[1] and "diverged: the loss is no number" in lines[2]
    assert "25.00" in lines[0] and "1,234" in lines[0]


def test_results_shows_a_block_wise_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Outputs.at(tmp_path).store()
    assert main(["results", str(tmp_path)]) == 0
    assert "holds no trial and no run yet" in capsys.readouterr().out.replace("\n", " ")
    for record in RUNS:
        store.add(record)
    for source in (tmp_path, tmp_path / "results.sqlite"):
        assert main(["results", str(source)]) == 0
        assert "1.2500" in capsys.readouterr().out
    assert main(["results", str(tmp_path), "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(RUNS)
