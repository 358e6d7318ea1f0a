"""Whole runs: folders, kills and resumption, real processes, units, stoppers, curricula, schedules, the simulated clock."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blockzoo.blockwise.closed_loop import choose
from blockzoo.blockwise.communication import Network, SimulatedClock
from blockzoo.blockwise.config import RunConfig
from blockzoo.blockwise.curricula import make_curriculum
from blockzoo.blockwise.curvature.coupling import coupling_map
from blockzoo.blockwise.curvature.hessian import exact_hessian
from blockzoo.blockwise.data import Examples, Stream
from blockzoo.blockwise.frame import Frame
from blockzoo.blockwise.options import Options
from blockzoo.blockwise.probe import largest, largest_batch_size
from blockzoo.blockwise.reports import read_lines, run_status
from blockzoo.blockwise.run import RunResult, folder_name, run_blockwise
from blockzoo.blockwise.schedules import make_schedule
from blockzoo.blockwise.study import at_cost, at_equal_costs, compare, read_study, run_study
from blockzoo.blockwise.units import make_units, read_units
from blockzoo.cli import main
from blockzoo.core.contracts import CURRICULA, ENGINES, SCHEDULES, STOPPERS, UNITS
from blockzoo.core.errors import Diverged, OutOfMemory, RequestError, StoreError
from blockzoo.core.outputs import Outputs
from blockzoo.training.stoppers import make_stopper


def config(mode: str = "jacobi", **changes: Any) -> RunConfig:
    options = {"rounds": 4, "k": 2, "step_size": 0.1, "batch_size": 32, **changes.pop("options", {})}
    fields = {"dataset": "digits", "image_size": 8, "config": (12, 10), "limit_train": 128, **changes}
    return RunConfig(options=Options(training_mode=mode, **options), **fields)


def words(asked: RunConfig, output: Path) -> list[str]:
    """The command line of a configuration made by `config`."""
    o = asked.options
    return [
        *("--training-mode", o.training_mode, "--config", str(list(asked.config)), "--dataset", "digits"),
        *("--image-size", "8", "--limit-train", "128", "--rounds", str(o.rounds), "--K", str(o.k)),
        *("--step-size", str(o.step_size), "--batch-size", str(o.batch_size), "--optimizer", o.optimizer),
        *("--report-sampling-rate", str(asked.report_sampling_rate), "--output", str(output)),
    ]


def trained(folder: Path) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = torch.load(folder / "checkpoint.pt", weights_only=True)["frame"]["model"]
    return saved


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


# --- folders, kills, resumption ---------------------------------------------------------------------


def test_a_run_leaves_one_folder_with_all_of_it(tmp_path: Path) -> None:
    asked = config(units=("norms", "deviation", "time-split", "working-memory"), measurement_sampling_rate=1)
    found = run_blockwise(asked, tmp_path)
    assert found.status == "finished" and found.folder is not None
    assert found.folder == tmp_path / "blockwise" / folder_name(asked)
    assert json.loads((found.folder / "parameters.json").read_text())["options"]["k"] == 2
    assert [line["round"] for line in read_lines(found.folder / "progress.jsonl")] == [1, 2, 3, 4]
    measured = read_lines(found.folder / "measurements.jsonl")
    assert [line["round"] for line in measured if line["unit"] == "norms"] == [0, 1, 2, 3, 4]
    moved = [line["values"]["deviation"] for line in measured if line["unit"] == "deviation"][1:]
    assert all(value > 0 for row in moved for value in row), "measured before communication: never zero"
    assert run_status(found.folder)["status"] == "finished"  # type: ignore[index]
    (stored,) = Outputs.at(tmp_path).store().records("blockwise")
    assert stored.fingerprint == asked.fingerprint() and stored.values["round"] == 4
    assert stored.samples["validation_loss"] == [r["validation_loss"] for r in found.reports]
    assert stored.samples["deviation/deviation/0"] == [row[0] for row in moved]
    assert len(stored.samples["working-memory/parameter_bytes"]) == 5
    with pytest.raises(RequestError, match=r"--resume goes on.*--restart"):
        run_blockwise(asked, tmp_path)
    again = run_blockwise(asked, tmp_path, restart=True)
    assert again.reports[-1]["validation_loss"] == found.reports[-1]["validation_loss"]


@pytest.mark.parametrize("mode", ["jacobi", "gauss-seidel", "entire", "async", "local-sgd"])
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


def _started(asked: RunConfig, output: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "blockzoo.blockwise", *words(asked, output), "--seed", "0", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for_reports(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.time() + 120
    while time.time() < deadline and process.poll() is None:
        if (folder / "progress.jsonl").exists() and len(read_lines(folder / "progress.jsonl")) >= count:
            return
        time.sleep(0.05)
    raise AssertionError(process.communicate()[1])


def test_killed_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    asked = config(
        options={"rounds": 4000, "optimizer": "momentum", "step_size": 0.001}, report_sampling_rate=20
    )
    folder = tmp_path / "blockwise" / folder_name(asked)
    process = _started(asked, tmp_path)
    _wait_for_reports(folder, 2, process)
    with pytest.raises(StoreError, match="another run is writing"):
        run_blockwise(asked, tmp_path, resume=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = run_status(folder)
    assert found is not None and found["status"] == "killed"
    reached = torch.load(folder / "checkpoint.pt", weights_only=True)["frame"]["round"]

    class Enough(Exception): ...

    def enough(report: dict[str, Any]) -> None:
        if report["round"] >= reached + 40:
            raise Enough

    torch.set_num_threads(torch.get_num_threads())
    for place, resume in ((tmp_path, True), (tmp_path / "whole", False)):
        with pytest.raises(Enough):
            run_blockwise(asked, place, resume=resume, on_report=enough)
    whole = tmp_path / "whole" / "blockwise" / folder_name(asked)
    kept = [read_lines(f / "progress.jsonl")[-1]["validation_loss"] for f in (folder, whole)]
    assert kept[0] == kept[1] and same(trained(folder), trained(whole))


def test_a_terminated_run_says_so(tmp_path: Path) -> None:
    asked = config(options={"rounds": 100_000})
    folder = tmp_path / "blockwise" / folder_name(asked)
    process = _started(asked, tmp_path)
    _wait_for_reports(folder, 1, process)
    process.terminate()
    process.wait(60)
    found = run_status(folder)
    assert found is not None and (found["status"], found["reason"]) == ("interrupted", "ended by SIGTERM")


def test_divergence_is_a_result_and_torn_files_are_named(tmp_path: Path) -> None:
    asked = config(options={"step_size": 1e9})
    found = run_blockwise(asked, tmp_path)
    assert found.status == "diverged" and "block" in found.reason and "step size" in found.reason
    assert issubclass(Diverged, Exception)
    assert found.folder is not None
    (found.folder / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(RequestError, match=r"checkpoint\.pt.*--restart"):
        run_blockwise(asked, tmp_path, resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        run_blockwise(asked, tmp_path / "file")


# --- real processes ---------------------------------------------------------------------------------


def _torchrun(ranks: int, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(
        [*command, "-m", "blockzoo.blockwise", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
    )


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_are_jacobi_bit_for_bit(ranks: int, tmp_path: Path) -> None:
    """Four blocks on two and on four ranks, with momentum and a share that rests; then resumed on one process."""
    asked = config(
        "distributed",
        config=(12, 10, 8),
        options={"optimizer": "momentum", "share_of_active_workers": 0.5, "gamma": 0.9, "rounds": 6},
    )
    more = ["--share-of-active-workers", "0.5", "--gamma", "0.9"]
    done = _torchrun(ranks, *words(asked, tmp_path), *more)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "blockwise" / folder_name(asked)
    alone = replace(asked, options=replace(asked.options, training_mode="jacobi"))
    reference = run_blockwise(alone, tmp_path)
    assert reference.folder is not None
    assert same(trained(folder), trained(reference.folder))
    found, want = (
        torch.load(f / "checkpoint.pt", weights_only=True)["frame"] for f in (folder, reference.folder)
    )
    assert found["streams"][:-1] == want["streams"][:-1], (
        "every block's own stream, from the rank that owns it"
    )
    for a, b in zip(found["optimizers"][:-1], want["optimizers"][:-1], strict=True):
        assert a["state"].keys() == b["state"].keys()
        for key in a["state"]:
            assert torch.equal(a["state"][key]["momentum_buffer"], b["state"][key]["momentum_buffer"])
    reports = read_lines(folder / "progress.jsonl")
    for report, wanted in zip(reports, reference.reports, strict=True):
        assert report["train_loss"] == pytest.approx(wanted["train_loss"], rel=1e-5), "of all ranks alike"
    assert reports[-1]["communicated_bytes_total"] > 0 and reports[-1]["round"] == 6


def test_a_worker_that_diverges_ends_all_ranks_alike(tmp_path: Path) -> None:
    asked = config("distributed", options={"step_size": 1e30, "rounds": 50})
    done = _torchrun(2, *words(asked, tmp_path))
    folder = tmp_path / "blockwise" / folder_name(asked)
    found = run_status(folder)
    assert done.returncode != 0 and found is not None and found["status"] == "diverged"
    assert "block" in found["reason"] and "smaller step size" in found["reason"]
    assert "another rank is lost" not in done.stderr


def test_more_ranks_than_blocks_and_no_torchrun(tmp_path: Path) -> None:
    asked = config("distributed", config=(12,))
    with pytest.raises(RequestError, match=r"torchrun --nproc-per-node"):
        run_blockwise(asked, tmp_path)
    done = _torchrun(3, *words(asked, tmp_path))
    assert done.returncode != 0 and "3 ranks for 2 blocks" in done.stderr


def test_a_rank_that_dies_ends_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    """Two processes without torchrun's own watch: one is killed, the other says what happened and how to go on."""
    asked = config("distributed", options={"rounds": 100_000}, report_sampling_rate=5)
    folder = tmp_path / "blockwise" / folder_name(asked)
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "blockzoo.blockwise", *words(asked, tmp_path)],
            env={**common, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    _wait_for_reports(folder, 2, started[0])
    started[1].kill()
    errors = started[0].communicate(timeout=120)[1]
    assert started[0].returncode == 1
    assert "another rank is lost" in errors and "--resume" in errors
    found = run_status(folder)
    assert found is not None and found["status"] == "failed" and "RankLost" in found["reason"]
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["frame"]["round"] >= 5


def _free_port() -> int:
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# --- units ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(UNITS))
def test_every_unit_measures_with_named_units_and_changes_nothing(name: str) -> None:
    asked = config(config=(4,), image_size=4, options={"rounds": 2})
    frame = Frame.from_config(asked)
    frame.previous = [[p.detach().clone() for p in s.parameters] for s in frame.blocks]
    frame.last = ENGINES["jacobi"]().run(frame)
    before = [p.detach().clone() for p in frame.model.parameters()]
    found = make_units([name])[name].measure(frame)
    assert found and all(isinstance(key, str) for key in found)
    for value in found.values():
        assert np.isfinite(np.asarray(value, dtype=float)).all() if not isinstance(value, list) else True
    assert all(torch.equal(a, b) for a, b in zip(before, frame.model.parameters(), strict=True))


def test_units_by_the_names_of_the_sandbox_and_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "Units.txt"
    path.write_text(
        "# what is measured\nWorking_memory_usage\nHessianBlockInteractionMeasurement rank=2,\n\nHessian_measurement\n"
    )
    lines = read_units(path)
    units = make_units(lines)
    assert [type(u).__name__ for u in units.values()] == ["WorkingMemory", "Coupling", "ExactHessian"]
    assert units["HessianBlockInteractionMeasurement"]._how["rank"] == 2  # type: ignore[attr-defined]
    for wrong, says in (
        ("nonsense", "unknown measurement unit"),
        ("norms size=3", "size"),
        ("norms x", "name=value"),
    ):
        with pytest.raises(RequestError, match=says):
            make_units([wrong])
    with pytest.raises(RequestError, match="cannot be read"):
        read_units(tmp_path / "no.txt")


def test_memory_by_hand() -> None:
    frame = Frame.from_config(config(config=(4,), image_size=4, options={"optimizer": "adam"}))
    sizes = [3 * 16 * 4 + 4, 4 * 10 + 10]
    ENGINES["jacobi"]().run(frame)
    found = make_units(["working-memory"])["working-memory"].measure(frame)
    steps = 2 * 4  # Adam counts its steps in a number per tensor
    assert found["client_memory_bytes"] == [4 * (sum(sizes) + 3 * size) + steps for size in sizes]


def test_descent_is_bounded_to_second_order() -> None:
    """With small steps the interplay of blocks stays within the bound that the coupling map predicts."""
    frame = Frame.from_config(config(options={"step_size": 1e-3, "k": 3}))
    frame.previous = [[p.detach().clone() for p in s.parameters] for s in frame.blocks]
    frame.last = ENGINES["jacobi"]().run(frame)
    found = make_units(["descent"])["descent"].measure(frame)
    assert found["actual_change_loss"] < 0
    assert abs(found["interplay_loss"]) <= found["interplay_bound_loss"] + 1e-6
    assert found["predicted_change_loss"] == pytest.approx(sum(found["block_change_loss"]))


def test_a_failing_unit_is_logged_and_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own.py"
    own.write_text("class Broken:\n    def measure(self, frame):\n        return {'x': 1 / 0}\n")
    name = f"{own}:Broken"
    found = run_blockwise(config(units=(name,)), tmp_path)
    assert found.status == "finished" and "ZeroDivisionError" in caplog.text and found.folder is not None
    assert "ZeroDivisionError" in read_lines(found.folder / "measurements.jsonl")[0]["values"]["error"]


def test_large_arrays_lie_beside_the_lines(tmp_path: Path) -> None:
    found = run_blockwise(
        config(units=("hessian",), config=(3,), image_size=4, options={"rounds": 1}), tmp_path
    )
    assert found.folder is not None
    values = read_lines(found.folder / "measurements.jsonl")[0]["values"]
    matrix = np.load(found.folder / values["hessian"]["file"])
    assert matrix.shape == (187, 187) and np.allclose(matrix, matrix.T)
    assert values["trace"] == pytest.approx(np.trace(matrix), rel=1e-4)


# --- stoppers, curricula, schedules -----------------------------------------------------------------


def _told(text: str, values: list[float], name: str = "loss") -> int | None:
    stopper = make_stopper(text)
    return next((n for n, v in enumerate(values) if stopper.reason_to_stop({name: v})), None)


def test_stoppers_by_hand() -> None:
    assert _told("never", [0.0] * 9) is None
    assert _told("loss:0.5", [0.9, 0.6, 0.5]) == 2
    assert _told("accuracy:0.9", [0.1, 0.95, 0.2], "accuracy") == 1
    assert _told("patience:2", [3, 2, 2.5, 2, 1]) == 3
    assert _told("patience-accuracy:2", [0.1, 0.2, 0.2, 0.2], "accuracy") == 3
    assert _told("loss:0.5|patience:2", [3, 4, 5, 0.1]) == 2
    assert _told("loss:2&patience:2", [1, 3, 3, 3]) == 2
    for wrong in ("accuracy", "patience:0", "patience:x", "magic:1", "never:1"):
        with pytest.raises(RequestError):
            make_stopper(wrong)
    with pytest.raises(RequestError, match=r"accuracy.*only loss"):
        make_stopper("accuracy:1").reason_to_stop({"loss": 1.0})
    assert set(STOPPERS) >= {"never", "loss", "accuracy", "patience"}


def test_a_run_ends_by_its_stopper(tmp_path: Path) -> None:
    found = run_blockwise(config(stopper="accuracy:0.3", options={"rounds": 200}), tmp_path)
    assert "accuracy" in found.reason and found.reports[-1]["round"] < 200
    ended = run_blockwise(config(stopper="accuracy:0.3", options={"rounds": 200}), tmp_path, resume=True)
    assert ended.reason == found.reason and len(ended.reports) == len(found.reports)


def test_schedules_by_hand(tmp_path: Path) -> None:
    at = {text: [round(make_schedule(text).factor(r, 4), 3) for r in range(4)] for text in (
        "constant", "cosine", "linear:0.2", "step:0.5@1,3", "warmup:2"
    )}  # fmt: skip
    assert at == {
        "constant": [1, 1, 1, 1],
        "cosine": [1, 0.854, 0.5, 0.146],
        "linear:0.2": [1, 0.8, 0.6, 0.4],
        "step:0.5@1,3": [1, 0.5, 0.5, 0.25],
        "warmup:2": [0.5, 1, 1, 1],
    }
    assert set(SCHEDULES) == {text.partition(":")[0] for text in at}
    with pytest.raises(RequestError, match="linear"):
        make_schedule("linear")
    found = run_blockwise(config(k_schedule="linear:0.5", step_schedule="step:0.1@2"), None)
    assert found.frame is not None
    assert [s.steps for s in found.frame.blocks] == [round(2 * (1 - 0.5 * 3 / 4))] * 3
    assert found.frame.blocks[0].optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


def test_curricula_choose_and_weigh() -> None:
    frame = Frame.from_config(config())
    every = len(frame.train)
    growing = make_curriculum("growing:0.25")
    counts = [int(growing.weights(r, frame).sum()) for r in range(4)]
    assert counts == [32, 80, 128, 128] and every == 128
    chosen = make_curriculum("classes:3,5").weights(0, frame)
    stream = Stream(frame.train, 8, 0, 0)
    stream.weigh(chosen, 0)
    assert {int(label) for _ in range(6) for label in next(stream)[1]} == {3, 5}
    hard = make_curriculum("hard").weights(0, frame)
    assert len(hard) == every and (hard > 0).all()
    for wrong in ("growing:0", "classes:x", "nonsense"):
        with pytest.raises(RequestError):
            make_curriculum(wrong)
    with pytest.raises(RequestError, match="no training example"):
        make_curriculum("classes:77").weights(0, frame)
    assert set(CURRICULA) == {"all", "growing", "classes", "hard"}


def test_a_stream_draws_by_weight_without_repetition() -> None:
    examples = Examples(torch.arange(40.0)[:, None], torch.arange(40))
    weights = torch.ones(40)
    weights[:4], weights[20:] = 50.0, 0.0
    first = torch.zeros(40)
    for round in range(200):
        stream = Stream(examples, 4, 0, 1)
        stream.weigh(weights, round)
        drawn = torch.cat([next(stream)[1] for _ in range(5)])
        assert sorted(drawn.tolist()) == list(range(20)), "a pass goes through all that has weight, once"
        first[drawn[:4]] += 1
    assert first[:4].sum() > 0.8 * first.sum()


# --- the simulated clock, the probe -----------------------------------------------------------------


def test_the_clock_by_hand() -> None:
    clock = SimulatedClock(Network(delay_s=0.5, step_s=0.1, bandwidth_bytes_per_s=100))
    assert clock.round(0, [2, 3], 400) == pytest.approx(0.3 + 0.5 + 2)
    assert clock.round(1, [2, 3], 400, one_after_the_other=True) == pytest.approx(0.5 + 2 * 0.5 + 4)
    assert clock.now_s == pytest.approx(2.8 + 5.5)
    slow = Network(step_s=1.0, straggler_share=0.5, straggler_factor=10)
    times = [SimulatedClock(slow).round(n, [1, 1], 0) for n in range(3)]
    assert times == [10.0, 10.0, 10.0]
    one = [SimulatedClock(replace(slow, straggler_share=0.25)).round(n, [1, 1, 1, 5], 0) for n in range(20)]
    assert set(one) == {10.0, 50.0} or set(one) == {10.0, 5.0, 50.0}
    for wrong in ({"delay_s": -1}, {"bandwidth_bytes_per_s": 0}, {"straggler_share": 2}, {"step_s": -1}):
        with pytest.raises(RequestError):
            Network(**wrong)


@pytest.mark.parametrize("limit", [1, 2, 3, 17, 64, 100, 127, 128])
def test_the_probe_bisects(limit: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    assert largest(fits, 128) == limit and len(tried) <= 16
    with pytest.raises(OutOfMemory):
        largest(lambda size: False, 128)


def test_the_probe_runs_real_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """With little memory left, batches are smaller than with much; and the found one's step runs."""
    from blockzoo.blockwise import probe

    frame = Frame.from_config(config(model="cnn", config=(32, 32), image_size=32))
    monkeypatch.setattr(probe, "free_memory", lambda: 200 << 20)
    few = largest_batch_size(frame, 1 << 14)
    monkeypatch.setattr(probe, "free_memory", lambda: 400 << 20)
    more = largest_batch_size(frame, 1 << 14)
    assert 1 <= few < more < 1 << 14


# --- configurations and the command -----------------------------------------------------------------


def test_configurations_come_back_and_differ() -> None:
    asked = config(units=("norms",), options={"k": (1, 2, 3), "optimizer": ("sgd", "adam", "AdamW")})
    assert RunConfig.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    assert asked.fingerprint() != config().fingerprint()
    assert replace(asked, data_dir="/elsewhere", device="cuda").fingerprint() == asked.fingerprint()
    frame = Frame.from_config(asked)
    assert [type(s.optimizer).__name__ for s in frame.blocks] == ["SGD", "Adam", "AdamW"]
    with pytest.raises(RequestError, match="limit train 0"):
        config(limit_train=0)
    with pytest.raises(RequestError, match="momentum, adadelta"):
        Frame.from_config(config(options={"optimizer": "magic"}))


@pytest.mark.parametrize(
    "model",
    [
        "ResNetBasicBlock/mid",
        "feedforward",
        "cnn",
        "nn_ensemble",
        "cnn_ensemble",
        "model:resnet18",
        "macro:7",
    ],
)
def test_networks_by_name(model: str) -> None:
    frame = Frame.from_config(config(model=model, config=(), image_size=16, limit_train=16))
    assert len(frame.partition) >= 3


def test_regressions() -> None:
    found = run_blockwise(config(dataset="ones", options={"rounds": 30}), None)
    assert found.reports[-1]["validation_loss"] < 0.1 * found.reports[0]["validation_loss"]
    assert "validation_accuracy" not in found.reports[-1]
    with pytest.raises(RequestError, match="needs images"):
        Frame.from_config(config(dataset="ones", model="cnn"))


def test_the_command_of_the_sandbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = (
        "blockwise --training_mode blockwise_sequential --model cnn_ensemble --rounds 2 --dataset digits "
        "--step-size 1e-3 --batch-size 32 --K 2 --gamma 1 --prox-lambda 0 --share_of_active_workers 1.0 "
        "--communication_delay 0 --report-sampling-rate 1 --measurement_sampling_rate 399 --stopper accuracy:0.9 "
        "--seed 42 --image-size 8 --limit-train 64 --units Working_memory_usage"
    ).split()
    assert main([*command, "--config", "[[4,4],[6,6]]", "--output", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "blockwise").iterdir()
    assert folder.name.startswith("cnn_ensemble-digits-jacobi-")
    assert read_lines(folder / "measurements.jsonl")[0]["unit"] == "Working_memory_usage"
    capsys.readouterr()
    wrong: list[tuple[list[str], str]] = [
        (["--K", "0"], "K 0"),
        (["--gamma", "0"], "gamma"),
        (["--K", "x"], "--K x"),
        (["--config", "3"], "give a list"),
        (["--config", "[[3]]"], "one list"),
        (["--units", "nonsense"], "unknown measurement unit"),
        (["--training-mode", "jakobi"], "jacobi"),
        (["--partition", "first=blocks.0.*"], "in no block: blocks.1"),
        (["--partition", "layers"], "choose blocks, module"),
    ]
    for more, says in wrong:
        assert main(["blockwise", "--dataset", "digits", "--output", str(tmp_path), *more]) == 2, more
        assert says in capsys.readouterr().err.replace("\n", " ")


def test_the_command_curvature_measures_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_blockwise(config(config=(4,), image_size=4), tmp_path)
    assert found.folder is not None and found.frame is not None
    command = ["blockwise", "curvature", "--run", str(found.folder), "--batches", "1", "--batch-size", "32"]
    assert main([*command, "--max-products", "400", "--tol", "1e-5", "--output", str(tmp_path / "out")]) == 0
    folder = tmp_path / "out" / "curvature"
    rows = {
        (r["first"], r["second"]): float(r["sigma"]) for r in csv.DictReader((folder / "coupling.csv").open())
    }
    exact = exact_hessian(
        found.frame.model, found.frame.criterion, found.frame.probe(1, 32), found.frame.partition
    ).double()
    split = found.frame.partition.sizes(found.frame.model)[0]
    labels = found.frame.partition.labels
    for pair, block in (
        ((labels[0], labels[0]), exact[:split, :split]),
        ((labels[0], labels[1]), exact[:split, split:]),
        ((labels[1], labels[1]), exact[split:, split:]),
    ):
        assert rows[pair] == pytest.approx(float(torch.linalg.matrix_norm(block, 2)), rel=1e-4)
    blocks = {r["block"]: r for r in csv.DictReader((folder / "blocks.csv").open())}
    assert float(blocks[labels[1]]["trace"]) == pytest.approx(float(exact[split:, split:].trace()), rel=1e-3)
    assert (folder / "coupling.html").exists() and (folder / "coupling.pdf").exists()
    measured = run_blockwise(
        config(config=(4,), image_size=4, units=("coupling rank=2",), measurement_sampling_rate=1),
        tmp_path,
        tensorboard=True,
    )
    assert measured.folder is not None and list((measured.folder / "tensorboard").iterdir())
    draw = ["blockwise", "curvature", "--along", "--output", str(tmp_path / "out"), "--run"]
    assert main([*draw, str(measured.folder)]) == 0
    assert (folder / "along.png").exists() and (folder / "along.gif").read_bytes().startswith(b"GIF")
    assert main([*draw, str(found.folder)]) == 2 and "measured the unit coupling" in capsys.readouterr().err
    assert main(["blockwise", "curvature", "--run", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert "no folder of a block-wise run" in capsys.readouterr().err.replace("\n", " ")


EXAMPLES = Path(__file__).parents[2] / "examples" / "blockwise"


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("own_unit.py", ["--units", "dead-neurons"]),
        ("own_stopper.py", ["--stopper", "plateau:0.5"]),
        ("own_engine.py", ["--training-mode", "pairs"]),
    ],
)
def test_examples_are_short_and_run(file: str, options: list[str], tmp_path: Path) -> None:
    path = EXAMPLES / file
    assert len(path.read_text().splitlines()) <= 40
    command = ["blockwise", "--plugin", str(path), *options, "--dataset", "digits", "--image-size", "8"]
    more = [
        "--rounds",
        "6",
        "--K",
        "2",
        "--step-size",
        "0.1",
        "--report-sampling-rate",
        "1",
        "--output",
        str(tmp_path),
    ]
    assert main([*command, *more]) == 0
    (folder,) = (tmp_path / "blockwise").iterdir()
    reports = read_lines(folder / "progress.jsonl")
    if "stopper" in file:
        assert len(reports) < 6
    if "unit" in file:
        measured = read_lines(folder / "measurements.jsonl")[0]["values"]
        assert 0 <= measured["dead_share"][0] <= 1
    assert reports[-1]["train_loss"] < 2.6


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


def test_a_tuned_run_takes_its_values_from_its_own_coupling() -> None:
    frame = Frame.from_config(config(tuned=1.0, image_size=4))
    plain = Frame.from_config(config(image_size=4))
    want = choose(coupling_map(plain.model, plain.criterion, plain.probe(2), plain.partition))
    assert frame.options.prox_lambda == want.prox_lambda and [s.steps for s in frame.blocks] == list(want.k)
    weaker = Frame.from_config(config(tuned=0.1, image_size=4))
    assert weaker.options.prox_lambda[0] == pytest.approx(0.1 * want.prox_lambda[0])  # type: ignore[index]
    with pytest.raises(RequestError, match="tuned"):
        config(tuned=-1)
    with pytest.raises(RequestError, match="budget"):
        config(budget="wishes:3")


def _result(found: RunResult) -> float:
    return float(found.reports[-1]["validation_loss"])


def test_equal_seeds_are_equal_runs_and_others_are_not() -> None:
    first, second = run_blockwise(config(), None), run_blockwise(config(), None)
    other = run_blockwise(config(options={"seed": 1}), None)
    assert _result(first) == _result(second) != _result(other)
