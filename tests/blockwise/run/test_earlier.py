"""Runs that go on from one that was to end sooner, against runs that were never interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blockzoo.blockwise.contracts import CURRICULA, ENGINES
from blockzoo.blockwise.run.config import RunConfig, folder_name
from blockzoo.blockwise.run.earlier import adopt_earlier
from blockzoo.blockwise.run.reading import read_lines, run_status
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from tests.blockwise.runs import config, same, trained, words
from tests.sampled import sampled


def longer(asked: RunConfig, rounds: int, **changes: Any) -> RunConfig:
    return replace(asked, options=replace(asked.options, rounds=rounds), **changes)


def in_folder(place: Path, asked: RunConfig) -> Path:
    return place / "blockwise" / folder_name(asked)


@pytest.mark.parametrize(
    "mode", sampled(["jacobi", "gauss-seidel", "async", "local-sgd", "entire"], ["jacobi", "local-sgd"])
)
def test_more_rounds_end_as_the_uninterrupted_run(mode: str, tmp_path: Path) -> None:
    """The earlier run ended between two reports, with one of its own that the longer run does not have."""
    asked = config(
        mode,
        options={"optimizer": "adam", "step_size": 0.01, "rounds": 5},
        report_sampling_rate=2,
        measurement_sampling_rate=1,
        units=("norms",),
        curriculum="hard:3",
        step_schedule="step:0.5@2",
    )
    more = longer(asked, 8)
    run_blockwise(asked, tmp_path / "there")
    run = run_blockwise(more, tmp_path / "there", adopt=True)
    whole = run_blockwise(more, tmp_path / "whole")
    assert run.folder == in_folder(tmp_path / "there", more) and whole.folder is not None
    assert same(trained(run.folder), trained(whole.folder))
    for name in ("progress.jsonl", "measurements.jsonl"):
        one, other = (read_lines(folder / name) for folder in (run.folder, whole.folder))
        assert [line["round"] for line in one] == [line["round"] for line in other], name
        for key in ("values", "validation_loss", "gradient_evaluations_total", "communicated_bytes_total"):
            assert [line.get(key) for line in one] == [line.get(key) for line in other], (name, key)
    status = run_status(in_folder(tmp_path / "there", asked))
    assert status is not None and status["status"] == "finished", "the earlier run stays"


@pytest.mark.slow
def test_another_stopper_and_another_budget_go_on_too(tmp_path: Path) -> None:
    asked = config(stopper="accuracy:0.3", options={"rounds": 40})
    first = run_blockwise(asked, tmp_path)
    assert "accuracy" in first.reason
    began: list[int] = []
    more = replace(asked, stopper="never", budget="gradient_evaluations:100")
    run = run_blockwise(more, tmp_path, adopt=True, on_report=lambda r: began.append(r["round"]))
    assert began[0] == first.reports[-1]["round"] + 1 and "budget" in run.reason
    assert run.reports == run_blockwise(more, None).reports or [
        r["validation_loss"] for r in run.reports
    ] == [r["validation_loss"] for r in run_blockwise(more, None).reports]
    strict = replace(asked, stopper="accuracy:0.2")
    began.clear()
    sooner = run_blockwise(strict, tmp_path, adopt=True, on_report=lambda r: began.append(r["round"]))
    assert began[0] == 1, "it would have ended before any checkpoint there is"
    assert sooner.reports[-1]["validation_accuracy"] >= 0.2 > sooner.reports[-2]["validation_accuracy"]


def test_the_furthest_is_taken_and_never_one_that_went_too_far(tmp_path: Path) -> None:
    asked = config(options={"rounds": 2})
    for rounds in (2, 5, 9):
        run_blockwise(longer(asked, rounds), tmp_path)
    assert adopt_earlier(longer(asked, 7), tmp_path) == in_folder(tmp_path, longer(asked, 5))
    assert adopt_earlier(longer(asked, 1), tmp_path) is None
    assert adopt_earlier(longer(asked, 9), tmp_path) is None, "it has a checkpoint of its own"
    other = replace(asked, options=replace(asked.options, rounds=12, seed=1))
    assert adopt_earlier(other, tmp_path) is None
    (in_folder(tmp_path, longer(asked, 9)) / "parameters.json").write_text("{")
    assert adopt_earlier(longer(asked, 12), tmp_path) == in_folder(tmp_path, longer(asked, 5)), (
        "torn: passed over"
    )


def test_what_depends_on_the_number_of_rounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own:
        """Every example, always."""

        def __init__(self, argument: str = "") -> None: ...

        def weights(self, round: int, frame: Any) -> None: ...

    class OwnEngine(ENGINES["jacobi"]):  # type: ignore[misc]
        """The same, from elsewhere."""

    monkeypatch.setitem(CURRICULA, "own", Own)
    monkeypatch.setitem(ENGINES, "own-engine", OwnEngine)
    for mode, changes in (
        ("jacobi", {"step_schedule": "cosine"}),
        ("jacobi", {"k_schedule": "linear:0.5"}),
        ("jacobi", {"curriculum": "growing"}),
        ("jacobi", {"curriculum": "own"}),
        ("own-engine", {}),
    ):
        asked = config(mode, options={"rounds": 2}, **changes)
        run_blockwise(asked, tmp_path)
        with pytest.raises(UsageError, match=r"depends on the number of rounds, 2 there and 3 here"):
            run_blockwise(longer(asked, 3), tmp_path, adopt=True)
    Own.depends_on_rounds = False  # type: ignore[attr-defined]
    asked = config(curriculum="own", options={"rounds": 2})
    assert adopt_earlier(longer(asked, 3), tmp_path) == in_folder(tmp_path, asked)


def test_the_command_resumes_with_more_rounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = config(options={"rounds": 2})
    assert main(["blockwise", *words(asked, tmp_path)]) == 0
    capsys.readouterr()
    assert main(["blockwise", *words(longer(asked, 4), tmp_path), "--resume"]) == 0
    told = capsys.readouterr()
    assert [line.split()[1] for line in told.out.splitlines() if line.startswith("round")] == ["3", "4"]
    status = json.loads((in_folder(tmp_path, longer(asked, 4)) / "status.json").read_text())
    assert (status["status"], status["round"], status["rounds"]) == ("finished", 4, 4)


def test_the_status_tells_the_round_while_it_runs(tmp_path: Path) -> None:
    asked = config(options={"rounds": 6}, report_sampling_rate=2)
    told: list[int] = []

    def look(report: dict[str, Any]) -> None:
        told.append(json.loads((in_folder(tmp_path, asked) / "status.json").read_text())["round"])

    run_blockwise(asked, tmp_path, on_report=look)
    assert told == [0, 2, 4], "at each report, that of the checkpoint there is"
