"""Whole runs: folders, kills and resumption, stoppers, seeds."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from blockzoo.blockwise.run.config import folder_name
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.loop import RunResult
from blockzoo.blockwise.run.options import Network
from blockzoo.blockwise.run.reading import read_lines, run_status
from blockzoo.blockwise.run.reports import WRITTEN, ReportFolder
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.core.errors import DataError, StoreError, UsageError
from blockzoo.core.outputs import Outputs
from tests.blockwise.runs import config, same, started, trained, wait_for_reports
from tests.sampled import sampled


def test_a_run_leaves_one_folder_with_all_of_it(tmp_path: Path) -> None:
    asked = config(units=("norms", "deviation", "time-split", "working-memory"), measurement_sampling_rate=1)
    run = run_blockwise(asked, tmp_path)
    assert run.status == "finished" and run.folder is not None
    assert run.folder == tmp_path / "blockwise" / folder_name(asked)
    assert json.loads((run.folder / "parameters.json").read_text())["options"]["k"] == 2
    assert [line["round"] for line in read_lines(run.folder / "progress.jsonl")] == [1, 2, 3, 4]
    measured = read_lines(run.folder / "measurements.jsonl")
    assert [line["round"] for line in measured if line["unit"] == "norms"] == [0, 1, 2, 3, 4]
    moved = [line["values"]["deviation"] for line in measured if line["unit"] == "deviation"][1:]
    assert all(value > 0 for row in moved for value in row), "measured before communication: never zero"
    assert run_status(run.folder)["status"] == "finished"  # type: ignore[index]
    (stored,) = Outputs.at(tmp_path).store().records("blockwise")
    assert stored.fingerprint == asked.fingerprint() and stored.values["round"] == 4
    assert stored.samples["validation_loss"] == [r["validation_loss"] for r in run.reports]
    assert stored.samples["deviation/deviation/0"] == [row[0] for row in moved]
    assert len(stored.samples["working-memory/parameter_bytes"]) == 5
    with pytest.raises(UsageError, match=r"--resume goes on.*--restart"):
        run_blockwise(asked, tmp_path)
    again = run_blockwise(asked, tmp_path, restart=True)
    assert again.reports[-1]["validation_loss"] == run.reports[-1]["validation_loss"]


@pytest.mark.parametrize(
    "mode", sampled(["jacobi", "gauss-seidel", "entire", "async", "local-sgd"], ["jacobi", "local-sgd"])
)
def test_stopped_and_resumed_is_uninterrupted(mode: str, tmp_path: Path) -> None:
    """Bit for bit, with optimiser state, a curriculum that remembers, schedules and an ensemble that votes."""
    asked = config(
        mode,
        model="nn_ensemble",
        config=((6,), (5, 4)),
        combine="vote",
        curriculum="hard:3",
        step_schedule="cosine",
        k_schedule="linear:0.5",
        options={"optimizer": "adam", "step_size": 0.01, "rounds": 6, "k": 3},
        network=Network(0.1, 0.01, 1e6, 0.5, 3.0),
    )
    whole = run_blockwise(asked, tmp_path / "whole")

    class Stop(Exception): ...

    def stop(report: dict[str, Any]) -> None:
        if report["round"] == 5:
            raise Stop

    with pytest.raises(Stop):
        run_blockwise(asked, tmp_path / "parts", on_report=stop)
    folder = tmp_path / "parts" / "blockwise" / folder_name(asked)
    assert run_status(folder)["status"] == "failed"  # type: ignore[index]
    assert len(read_lines(folder / "progress.jsonl")) == 5
    resumed = run_blockwise(asked, tmp_path / "parts", resume=True)
    assert whole.folder is not None
    assert same(trained(whole.folder), trained(folder))
    timeless = [
        {k: v for k, v in r.items() if "seconds" not in k or k.startswith("sim")} for r in whole.reports
    ]
    assert timeless == [
        {k: v for k, v in r.items() if "seconds" not in k or k.startswith("sim")} for r in resumed.reports
    ]
    assert [line["round"] for line in read_lines(folder / "progress.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_killed_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    asked = config(
        options={"rounds": 4000, "optimizer": "momentum", "step_size": 0.001}, report_sampling_rate=20
    )
    folder = tmp_path / "blockwise" / folder_name(asked)
    with started(asked, tmp_path) as process:
        wait_for_reports(folder, 2, process)
        with pytest.raises(StoreError, match="another run is writing"):
            run_blockwise(asked, tmp_path, resume=True)
        process.send_signal(signal.SIGKILL)
    status = run_status(folder)
    assert status is not None and status["status"] == "killed"
    reached = torch.load(folder / "checkpoint.pt", weights_only=True)["frame"]["round"]

    class Enough(Exception): ...

    def enough(report: dict[str, Any]) -> None:
        if report["round"] >= reached + 40:
            raise Enough

    for place, resume in ((tmp_path, True), (tmp_path / "whole", False)):
        with pytest.raises(Enough):
            run_blockwise(asked, place, resume=resume, on_report=enough)
    whole = tmp_path / "whole" / "blockwise" / folder_name(asked)
    kept = [read_lines(f / "progress.jsonl")[-1]["validation_loss"] for f in (folder, whole)]
    assert kept[0] == kept[1] and same(trained(folder), trained(whole))


@pytest.mark.slow
def test_a_terminated_run_says_so(tmp_path: Path) -> None:
    asked = config(options={"rounds": 100_000})
    folder = tmp_path / "blockwise" / folder_name(asked)
    with started(asked, tmp_path) as process:
        wait_for_reports(folder, 1, process)
        process.terminate()
        process.wait(60)
    status = run_status(folder)
    assert status is not None and (status["status"], status["reason"]) == ("interrupted", "ended by SIGTERM")


def test_divergence_is_a_result_and_torn_files_are_named(tmp_path: Path) -> None:
    asked = config(options={"step_size": 1e9})
    run = run_blockwise(asked, tmp_path)
    assert run.status == "diverged" and "block" in run.reason and "learning rate" in run.reason
    assert run.folder is not None
    (run.folder / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(UsageError, match=r"checkpoint\.pt.*--restart"):
        run_blockwise(asked, tmp_path, resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        run_blockwise(asked, tmp_path / "file")


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "cifar10"},  # its data are not there
        {"stopper": "accuracy:0.9", "dataset": "ones"},  # which have no accuracy
    ],
)
def test_a_restart_that_cannot_run_leaves_the_earlier_run(changes: dict[str, Any], tmp_path: Path) -> None:
    asked = config(data_dir=str(tmp_path / "empty"), **changes)
    folder = tmp_path / "blockwise" / folder_name(asked)
    (folder / "arrays").mkdir(parents=True)
    for name in WRITTEN:
        path = folder / name / "one.npy" if name in ("arrays", "tensorboard") else folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    (folder / "status.json").write_text('{"status": "finished", "reason": "", "process": 1}')
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises((UsageError, DataError)):
        run_blockwise(asked, tmp_path, restart=True)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before


def test_a_restart_forgets_all_of_the_earlier_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.utils.tensorboard import SummaryWriter

    closed = []
    close = SummaryWriter.close
    monkeypatch.setattr(SummaryWriter, "close", lambda self: (closed.append(self), close(self)))
    asked = config(units=("hessian",), config=(3,), image_size=4, options={"rounds": 1})
    run = run_blockwise(asked, tmp_path, tensorboard=True)
    assert run.folder is not None and len(closed) == 1, "all events are written"
    old = [run.folder / "arrays" / "of-another-version.npy", *(run.folder / "tensorboard").iterdir()]
    old[0].write_bytes(b"")
    run_blockwise(asked, tmp_path, restart=True, tensorboard=True)
    assert len(closed) == 2 and not any(path.exists() for path in old)
    assert {path.name for path in run.folder.iterdir()} == {*WRITTEN, ".lock"}


def test_a_restart_that_was_killed_at_once_is_no_earlier_run(tmp_path: Path) -> None:
    """What it wrote before its first checkpoint does not take the place of the run it was to replace."""
    folder = tmp_path / "run"
    for place, text in ((folder / ".earlier", "the run"), (folder, "killed")):
        place.mkdir(parents=True, exist_ok=True)
        (place / "status.json").write_text(text)
    with pytest.raises(UsageError), ReportFolder(folder) as reports, reports.afresh():
        raise UsageError("no such network")
    assert (folder / "status.json").read_text() == "the run"
    (folder / ".earlier").mkdir()
    (folder / ".earlier" / "status.json").write_text("before the run")
    (folder / "checkpoint.pt").write_text("the run")
    with pytest.raises(UsageError), ReportFolder(folder) as reports, reports.afresh():
        raise UsageError("no such network")
    assert (folder / "status.json").read_text() == "the run", "one that has a checkpoint has taken the place"
    with ReportFolder(folder) as reports, reports.afresh():  # closed, so that it can be opened again
        pass
    assert not (folder / "status.json").exists() and not (folder / ".earlier").exists()


def test_a_run_ends_by_its_stopper(tmp_path: Path) -> None:
    run = run_blockwise(config(stopper="accuracy:0.3", options={"rounds": 200}), tmp_path)
    assert "accuracy" in run.reason and run.reports[-1]["round"] < 200
    ended = run_blockwise(config(stopper="accuracy:0.3", options={"rounds": 200}), tmp_path, resume=True)
    assert ended.reason == run.reason and len(ended.reports) == len(run.reports)


def test_regressions() -> None:
    run = run_blockwise(config(dataset="ones", options={"rounds": 30}), None)
    assert run.reports[-1]["validation_loss"] < 0.1 * run.reports[0]["validation_loss"]
    assert "validation_accuracy" not in run.reports[-1]
    with pytest.raises(UsageError, match="needs images"):
        Frame.from_config(config(dataset="ones", model="cnn"))


def _result(run: RunResult) -> float:
    return float(run.reports[-1]["validation_loss"])


def test_equal_seeds_are_equal_runs_and_others_are_not() -> None:
    first, second = run_blockwise(config(), None), run_blockwise(config(), None)
    other = run_blockwise(config(options={"seed": 1}), None)
    assert _result(first) == _result(second) != _result(other)
