"""Runs compared at equal cost."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from blockzoo.blockwise.config import COSTS
from blockzoo.blockwise.study import Outcome, Study, at_cost, at_equal_costs, compare, read_study, run_study
from blockzoo.cli import main
from blockzoo.core.errors import RequestError
from blockzoo.core.outputs import Outputs

STUDY = """
base: {model: feedforward, config: [8], dataset: digits, image_size: 8, limit_train: 128, rounds: 100, k: 2, batch_size: 32,
       budget: "gradient_evaluations:16"}
vary: {training_mode: [jacobi, entire], step_size: [0.01, 0.3, 1.0e+30]}
tune: [step_size]
seeds: 2
"""


def test_a_study_compares_at_equal_cost_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(STUDY)
    command = ["blockwise", "sweep", str(file), "--output", str(tmp_path)]
    assert main([*command, "--dry-run"]) == 0 and "6 settings with 2 seeds" in capsys.readouterr().out
    assert main(command) == 0
    rows = list(csv.DictReader((tmp_path / "small.csv").open()))
    assert {r["training_mode"] for r in rows} == {"jacobi", "entire"}
    assert all(
        float(r["gradient_evaluations"]) == 16 and r["n"] == "2" and r["step_size"] == "0.3" for r in rows
    )
    critical = {r["training_mode"]: float(r["critical_steps"]) for r in rows}
    assert critical == {"jacobi": 8, "entire": 16}
    tracker = json.loads((tmp_path / "progress_tracker.json").read_text())
    assert tracker["done"] == 12 and {r["status"] for r in tracker["runs"].values()} == {"ok", "diverged"}
    assert len(Outputs.at(tmp_path).store().records("blockwise")) == 12
    before = (tmp_path / "small.csv").read_text()
    assert main(command) == 0 and (tmp_path / "small.csv").read_text() == before
    assert json.loads((tmp_path / "progress_tracker.json").read_text())["runs"] == {}, "nothing ran twice"
    asked = read_study(file)
    runs = run_study(asked, tmp_path)
    by_hand = [
        r.curves["validation_loss"][-1]
        for r in runs
        if dict(r.setting) == {"training_mode": "entire", "step_size": 0.3}
    ]
    line = next(line for line in compare(asked, runs) if dict(line.setting) == {"training_mode": "entire"})
    assert line.validation_loss.mean == pytest.approx(np.mean(by_hand)) and len(line.runs) == 2
    half = at_cost(line.runs[0], "gradient_evaluations", np.array([3.0]), "validation_loss")
    losses = line.runs[0].curves["validation_loss"]
    assert half[0] == pytest.approx((losses[0] + losses[1]) / 2)
    equal = {cost: (amount, losses) for cost, amount, losses in at_equal_costs(compare(asked, runs))}
    assert equal["gradient_evaluations"][0] == 16 and equal["critical_steps"][0] == 8
    assert None not in equal["critical_steps"][1] and equal["communicated_bytes"][1].count(None) == 1
    for wrong, says in (
        ("bases: {}", "bases"),
        ("tune: [k]", "tune names"),
        ("seeds: 0", "seeds"),
        ("base: {kk: 1}", "kk"),
    ):
        file.write_text(wrong)
        with pytest.raises(RequestError, match=says):
            read_study(file)


def test_a_setting_that_diverges_comes_behind() -> None:
    """However well the seeds did that were left."""
    study = Study({}, {"training_mode": ["jacobi", "entire"]}, [], 2)

    def run(mode: str, seed: int, status: str, loss: float) -> Outcome:
        curves = {"validation_loss": [loss], **{f"{cost}_total": [1.0] for cost in COSTS}}
        return Outcome((("training_mode", mode),), seed, status, curves)

    lines = compare(
        study,
        [
            run("jacobi", 0, "finished", 0.1),
            run("jacobi", 1, "diverged", 0.1),
            run("entire", 0, "finished", 0.5),
            run("entire", 1, "finished", 0.7),
        ],
    )
    assert [dict(line.setting)["training_mode"] for line in lines] == ["entire", "jacobi"]
    assert [line.not_finished for line in lines] == [0, 1]
