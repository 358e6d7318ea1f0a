"""Runs compared at equal cost."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blockzoo.blockwise.cost_curves import over_costs
from blockzoo.blockwise.run.config import COSTS
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.blockwise.sweep import (
    BlockwiseStudy,
    StudyRun,
    at_cost,
    at_equal_costs,
    compare,
    rows,
    run_blockwise_study,
)
from blockzoo.cli import main
from blockzoo.core.errors import StoreError, UsageError
from blockzoo.core.files import write_text
from blockzoo.core.locks import locked
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.trials.study import read_study

STUDY = """
base: {model: feedforward, config: [8], dataset: digits, image_size: 8, limit_train: 128, rounds: 100, k: 2, batch_size: 32,
       budget: "gradient_evaluations:16"}
vary: {training_mode: [jacobi, entire], step_size: [0.01, 0.3, 1.0e+30]}
tune: [step_size]
seeds: 2
"""


@pytest.mark.slow
def test_a_study_compares_at_equal_cost_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(STUDY)
    command = ["blockwise", "sweep", str(file), "--output", str(tmp_path)]
    assert main([*command, "--dry-run"]) == 0 and "6 settings with 2 seeds" in capsys.readouterr().out
    assert main(command) == 0
    lines = list(csv.DictReader((tmp_path / "small.csv").open()))
    assert {r["training_mode"] for r in lines} == {"jacobi", "entire"}
    assert all(
        float(r["gradient_evaluations"]) == 16 and r["n"] == "2" and r["step_size"] == "0.3" for r in lines
    )
    critical = {r["training_mode"]: float(r["critical_steps"]) for r in lines}
    assert critical == {"jacobi": 8, "entire": 16}
    capsys.readouterr()
    assert main(["sweep", "status", "--output", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "feedforward, jacobi" in told and "done" in told and "diverged" in told
    assert len(Outputs.at(tmp_path).store().records("blockwise")) == 12
    before = (tmp_path / "small.csv").read_text()
    assert main(command) == 0 and (tmp_path / "small.csv").read_text() == before
    assert len(Outputs.at(tmp_path).store().records("blockwise", history=True)) == 12, "nothing ran twice"
    asked = read_study(file, BlockwiseStudy)
    runs = run_blockwise_study(asked, output=tmp_path)
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
    file.write_text("seeds:")
    assert read_study(file, BlockwiseStudy).seeds == 1, "nothing said"
    for wrong, says in (
        ("bases: {}", "bases"),
        ("tune: [k]", "tune names"),
        ("seeds: 0", "seeds"),
        ("base: {kk: 1}", "kk"),
    ):
        file.write_text(wrong)
        with pytest.raises(UsageError, match=says):
            read_study(file, BlockwiseStudy)


MODES = BlockwiseStudy({}, {"training_mode": ["jacobi", "entire"]}, [], 2)


def run(mode: str, seed: int, status: str, loss: float, reason: str = "") -> StudyRun:
    curves = {"validation_loss": [loss], **{f"{cost}_total": [1.0] for cost in COSTS}}
    return StudyRun((("training_mode", mode),), seed, status, curves, reason)


def test_a_setting_that_diverges_comes_behind() -> None:
    """However well the seeds did that were left."""
    lines = compare(
        MODES,
        [
            run("jacobi", 0, "finished", 0.1),
            run("jacobi", 1, "diverged", 0.1),
            run("entire", 0, "finished", 0.5),
            run("entire", 1, "finished", 0.7),
        ],
    )
    assert [dict(line.setting)["training_mode"] for line in lines] == ["entire", "jacobi"]
    assert [line.not_finished for line in lines] == [0, 1]


def test_a_setting_of_which_no_run_counts_is_a_row_with_the_reason() -> None:
    runs = [
        run("jacobi", 0, "diverged", 0.1, "block 2"),
        run("jacobi", 1, "finished", math.nan),
        run("entire", 0, "finished", 0.5),
        run("entire", 1, "finished", 0.7),
    ]
    lines = compare(MODES, runs)
    best, worst = rows(lines)
    assert best["validation_loss_mean"] == pytest.approx(0.6) and best["reason"] == ""
    assert worst == {
        "training_mode": "jacobi",
        "n": 0,
        "not_finished": 2,
        "reason": "seed 0: diverged: block 2; seed 1: its last validation loss is not finite",
    }
    assert [losses[1] for _, _, losses in at_equal_costs(lines)] == [None] * len(COSTS)
    figure = over_costs(lines, ["critical_steps"])
    assert len(figure.axes) == 1
    none = compare(MODES, [run("jacobi", 0, "failed", 0.1)])
    assert len(none) == 1 and at_equal_costs(none) == [] and over_costs(none, ["seconds"])


def test_a_study_in_which_nothing_finished_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wild.yaml").write_text(
        "base: {config: [4], image_size: 4, limit_train: 32, step_size: 1.0e+38, rounds: 4, k: 4}\n"
        "vary: {dataset: [digits, cifar10]}\n"
    )
    command = ["blockwise", "sweep", str(tmp_path / "wild.yaml"), "--output", str(tmp_path)]
    assert main([*command, "--data-dir", str(tmp_path)]) == 1, "a run without a result"
    assert "smaller learning rate" in " ".join(capsys.readouterr().out.split())
    wild, absent = csv.DictReader((tmp_path / "wild.csv").open())
    assert (wild["n"], wild["not_finished"]) == ("0", "1") and "diverged: block" in wild["reason"]
    assert absent["dataset"] == "cifar10" and "dataset cifar10 was not found" in absent["reason"]
    kept = {record.status for record in Outputs.at(tmp_path).store().records("blockwise")}
    assert kept == {"diverged", "failed"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    """A results folder in which one run is finished that no store knows, and its record."""
    folder = tmp_path_factory.mktemp("finished")
    config = ONE.config((("step_size", 0.1),), 0)
    return folder, run_blockwise(config, folder, store=False).record(config)


ONE = BlockwiseStudy(
    {"config": [4], "dataset": "digits", "image_size": 4, "limit_train": 32, "rounds": 2, "units": ["norms"]},
    {"step_size": [0.1]},
    [],
    1,
)


@pytest.mark.parametrize("in_the_spool", [True, False])
def test_a_finished_run_of_a_killed_study_reaches_the_store(
    finished: tuple[Path, Record], in_the_spool: bool, tmp_path: Path
) -> None:
    """Killed between the end of a run and the store: its record is in the spool, or only its folder is left."""
    shutil.copytree(finished[0], tmp_path, dirs_exist_ok=True)
    outputs = Outputs.at(tmp_path)
    if in_the_spool:
        write_text(outputs.spool / "one.json", json.dumps([finished[1].to_json()]))
    (only,) = run_blockwise_study(ONE, output=tmp_path)
    assert only.status == "finished" and not list(outputs.spool.glob("*.json"))
    (stored,) = outputs.store().records("blockwise")
    assert stored == replace(Record.from_json(finished[1].to_json()), timestamp=stored.timestamp)
    run_blockwise_study(ONE, output=tmp_path)
    assert len(outputs.store().records("blockwise", history=True)) == 1


def test_a_study_writes_alone(tmp_path: Path) -> None:
    with locked(tmp_path / ".results.lock"), pytest.raises(StoreError, match="another"):
        run_blockwise_study(ONE, output=tmp_path)


def test_a_study_is_not_ended_by_what_an_earlier_one_was_asked(tmp_path: Path) -> None:
    """It was killed before it could do so and clear the request."""
    outputs = Outputs.at(tmp_path)
    outputs.cancel.parent.mkdir(parents=True, exist_ok=True)
    outputs.cancel.touch()
    assert [run.status for run in run_blockwise_study(ONE, output=tmp_path, device="cpu")] == ["finished"]
    assert not outputs.cancel.exists()
