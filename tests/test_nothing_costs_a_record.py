"""Nothing before or after a training may cost its record, and no network the times of the others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

import blockzoo.train as training
from blockzoo.benchmark import benchmark_block, benchmark_specs
from blockzoo.core.csv_file import read_csv
from blockzoo.core.errors import CheckFailed, StoreError, UsageError
from blockzoo.core.export import rows_of
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.settings import Benchmarking
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.execution.jobs import Job
from blockzoo.execution.progress import SilentProgress
from blockzoo.execution.queue import plan_of
from blockzoo.measure.contenders import Contender, Failure, Setting
from blockzoo.measure.deadline import Deadline
from blockzoo.measure.interleaving import Clock, Schedule
from blockzoo.measure.timings import timings_of
from blockzoo.models.agreement import Claim, compare
from blockzoo.sweep import run_sweep
from blockzoo.train import train_block
from blockzoo.trials.bodies import BODIES
from blockzoo.trials.queue import TrialQueue

SMALL: dict[str, Any] = {
    "dataset": "digits",
    "epochs": 1,
    "batch_size": 128,
    "num_blocks": 1,
    "base_channels": 4,
    "limit_train": 256,
    "device": "cpu",
}
BLOCKS = """
import os, signal
import torch
from torch import nn
from torch.nn import functional as F


class Good(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        return F.relu(self.norm(self.convolution(x)))


class Random(Good):
    def forward(self, x):
        return super().forward(x) + torch.randn(1)


class NotAlone(Good):  # cannot be timed: one image at a time
    def forward(self, x):
        if len(x) == 1 and torch.is_inference_mode_enabled():
            raise RuntimeError("one image is too few")
        return super().forward(x)


class Deadly(Good):  # ends the process in which it is timed
    def forward(self, x):
        if len(x) == 1 and torch.is_inference_mode_enabled():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)
"""


@pytest.fixture
def blocks(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(BLOCKS)
    return f"{tmp_path / 'own.py'}"


def test_costs_that_cannot_be_had_are_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("no costs today")

    monkeypatch.setattr("blockzoo.trials.preflight.profile_block", broken)
    done = train_block("ResNetBasicBlock", output=tmp_path, latency=False, **SMALL)
    assert done.row["status"] == "ok" and 0 <= done.row["test_acc"] <= 1
    assert done.row["reason"] == "costs: ValueError: no costs today" and done.row["macs"] is None


def test_costs_are_known_before_the_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong with them is said before the first epoch."""
    seen: list[str] = []

    def broken(*_: Any, **__: Any) -> Any:
        raise CheckFailed("nothing adds up")

    monkeypatch.setattr("blockzoo.trials.preflight.profile_block", broken)
    train_block(
        "ResNetBasicBlock",
        output=tmp_path,
        latency=False,
        on_epoch=lambda epoch, values: seen.append(caplog.text),
        **SMALL,
    )
    assert "nothing adds up" in seen[0]


@pytest.mark.slow
def test_times_that_cannot_be_had_are_a_reason(tmp_path: Path, blocks: str) -> None:
    row = train_block(f"{blocks}:NotAlone", output=tmp_path / "out", **SMALL).row
    assert row["status"] == "ok" and 0 <= row["test_acc"] <= 1 and row["macs"] > 0
    assert row["latency_ms"] is None and "one image is too few" in row["reason"]
    assert read_csv(tmp_path / "out" / "results.csv")[0]["reason"] == row["reason"]


@pytest.mark.parametrize("error", [RuntimeError("the clock broke"), KeyboardInterrupt()])
def test_a_record_is_durable_before_the_clock_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        assert len(Store(tmp_path / "results.sqlite").records()) == 1
        assert len(read_csv(tmp_path / "results.csv")) == 1
        raise error

    monkeypatch.setattr(training, "time_networks", broken)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            train_block("ResNetBasicBlock", output=tmp_path, **SMALL)
    else:
        row = train_block("ResNetBasicBlock", output=tmp_path, **SMALL).row
        assert row["reason"] == "times: RuntimeError: the clock broke"
    (row,) = read_csv(tmp_path / "results.csv")
    assert row["status"] == "ok" and row["latency_ms"] is None


@pytest.mark.slow
def test_a_failed_timing_does_not_hide_an_earlier_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = train_block("ResNetBasicBlock", output=tmp_path, **SMALL).row

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the clock broke")

    monkeypatch.setattr(training, "time_networks", broken)
    again = train_block("ResNetBasicBlock", output=tmp_path, **SMALL).row
    assert again["latency_ms"] == first["latency_ms"] > 0


def test_an_export_that_fails_is_known_before_or_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a" / "results.csv").mkdir(parents=True)
    epochs: list[int] = []
    with pytest.raises(StoreError, match="it is a folder"):
        train_block(
            "ResNetBasicBlock", output=tmp_path / "a", on_epoch=lambda e, v: epochs.append(e), **SMALL
        )
    assert epochs == []

    def full(*_: Any, **__: Any) -> Any:
        raise StoreError("the disk is full")

    monkeypatch.setattr("blockzoo.core.export.write_csv", full)
    done = train_block("ResNetBasicBlock", output=tmp_path / "b", latency=False, **SMALL)
    assert done.row["status"] == "ok" and len(Store(tmp_path / "b" / "results.sqlite").records()) == 1


def test_a_store_that_cannot_be_written_leaves_the_training_to_go_on_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(self: Store, record: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched, pytest.raises(StoreError, match="--resume"):
        patched.setattr(Store, "add", full)
        train_block("ResNetBasicBlock", output=tmp_path, latency=False, **SMALL)
    epochs: list[int] = []
    done = train_block(
        "ResNetBasicBlock",
        output=tmp_path,
        latency=False,
        resume=True,
        on_epoch=lambda e, v: epochs.append(e),
        **SMALL,
    )
    assert done.row["status"] == "ok" and epochs == [], "nothing is trained again"


@pytest.mark.slow
def test_one_network_that_cannot_be_timed_leaves_the_others_their_times(tmp_path: Path, blocks: str) -> None:
    names = [f"{blocks}:{name}" for name in ("NotAlone", "Deadly", "Good")]
    done = run_sweep(names, "early", 1, output=tmp_path / "out", workers=1, **SMALL)
    rows = {row["block"].rpartition(":")[2]: row for row in done.rows}
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert {name: row["latency_ms"] is not None for name, row in rows.items()} == {
        "NotAlone": False,
        "Deadly": False,
        "Good": True,
    }
    assert "one image is too few" in rows["NotAlone"]["reason"] and "SIGKILL" in rows["Deadly"]["reason"]
    with sqlite3.connect(tmp_path / "out" / "results.sqlite") as db:
        kinds = {kind for (kind,) in db.execute("SELECT kind FROM records")}
    assert kinds == {"trial", "latency"}, "what was tried alone is not a measurement"


class Scripted:
    """An executor of timings in which the process of one network ends."""

    deadly = "RepMixer/mid"
    asked: ClassVar[list[tuple[str, list[str]]]] = []

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def run(self, jobs: list[Job]) -> Iterator[Record]:
        (job,) = jobs
        names = [network["subject"] for network in job.arguments["networks"]]
        self.asked.append((job.stub.kind, names))
        if self.deadly in names:
            yield replace(job.stub, status="killed", reason="its process ended by signal 9")
        else:
            for network in job.arguments["networks"]:
                key = NetworkSpec(**network).timing_key(8)
                yield replace(job.stub, fingerprint=key, subject=network["subject"], samples={"a": [1.0]})


def test_a_network_that_ends_the_clock_is_found_and_left_out(tmp_path: Path) -> None:
    names = ["ResNetBasicBlock/mid", "RepMixer/mid", "EdgeResidual/mid"]
    trials = [TrialSpec(NetworkSpec(name)) for name in names]
    outputs = Outputs.at(tmp_path)
    store = outputs.store()
    for trial in trials:
        store.add(
            Record(
                "trial", trial.fingerprint(), trial.network.subject, trial.to_json(), values={"image_size": 8}
            )
        )
    plan = plan_of(trials, store, 1, "cpu")
    TrialQueue(
        plan, store, outputs, Scripted, "cpu", SilentProgress(), plugins=[], data_dir=None, bodies=BODIES
    ).time((3, 8, 8))
    rest = [names[0], names[2]]
    assert Scripted.asked == [
        ("latency", names),
        *[("probe", [name]) for name in names],
        ("latency", rest),
    ]
    statuses = {record.subject: record.status for record in store.records("latency")}
    assert statuses == {names[0]: "ok", names[1]: "killed", names[2]: "ok"} and store.records("probe") == []
    assert "times: its process ended by signal 9" in rows_of(store, [trials[1].fingerprint()])[0]["reason"]


def test_a_batch_that_fails_takes_only_its_own_time(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        BLOCKS.replace("one image is too few", "too many").replace("len(x) == 1", "len(x) > 32")
    )
    options: dict[str, Any] = {
        "num_blocks": 1,
        "base_channels": 4,
        "batch_sizes": (1, 64),
        "benchmark_runs": 2,
    }
    names = [f"{tmp_path}/own.py:NotAlone", "ResNetBasicBlock"]
    benchmark = benchmark_block(names, "early", device="cpu", **options)
    timed = {(t.subject, t.part, t.batch_size) for t in benchmark.timings}
    assert (f"{names[0]}/early", "network", 1) in timed and (f"{names[0]}/early", "network", 64) not in timed
    assert ("ResNetBasicBlock/early", "network", 64) in timed
    first, second = benchmark.records()
    assert first.status == "ok" and "network at batch 64: RuntimeError: too many" in first.reason
    assert second.status == "ok" and second.reason == ""


def test_where_nothing_can_be_timed_the_error_is_the_answer(blocks: str) -> None:
    with pytest.raises(UsageError, match=r"NotAlone/early cannot be timed: .*one image is too few") as told:
        benchmark_block(f"{blocks}:NotAlone", "early", num_blocks=1, base_channels=4, batch_sizes=(1,))
    assert isinstance(told.value.__cause__, RuntimeError)
    network = NetworkSpec(f"{blocks}:NotAlone/early", num_blocks=1, base_channels=4)
    (record,) = benchmark_specs(
        [network], (1, 3, 8, 8), Benchmarking(device="cpu", batch_sizes=(1,))
    ).records()
    assert record.status == "failed" and record.fingerprint == network.timing_key(8)


class Tired(nn.Module):
    """Answers three times and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls > 3:
            raise ValueError("tired")
        return x


def test_a_contender_that_fails_later_leaves_the_others() -> None:
    contenders = [
        Contender(str(n), "network", m, (1, 3, 4, 4)) for n, m in enumerate((Tired(), nn.ReLU(), nn.GELU()))
    ]
    schedule, clock = Schedule(warmup_rounds=1, rounds=5), Clock(torch.device("cpu"))
    failures: list[Failure] = []
    timings = timings_of(
        [Setting(torch.device("cpu"))], contenders, clock, schedule, Deadline(None), failures
    )
    assert [(timing.subject, len(timing.samples_ms)) for timing in timings] == [("1", 5), ("2", 5)]
    assert [failure.reason for failure in failures] == ["network at batch 1: ValueError: tired"]
    failures.clear()
    assert (
        timings_of([Setting(torch.device("cpu"))], contenders[:1], clock, schedule, Deadline(None), failures)
        == []
    )
    assert len(failures) == 1


def test_networks_that_draw_random_numbers_can_be_compared() -> None:
    """With the same numbers on both sides, so that only what was changed shows; the generator is left alone."""
    noisy = nn.Dropout(0.5)
    before = torch.get_rng_state()
    claim = Claim("x", "x", 1e-6)
    assert compare(claim, noisy, noisy, [torch.ones(64)]) == 0
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(CheckFailed):
        compare(claim, noisy, lambda x: noisy(x) * 1.1, [torch.ones(64)])
