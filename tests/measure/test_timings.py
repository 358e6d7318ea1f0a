"""Times under a made clock: what is bounded, what is made again, what is said to be doubtful."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from blockzoo.benchmark import benchmark_block
from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from blockzoo.core.times import doubts
from blockzoo.measure.contenders import Contender, Setting, deployed_contender
from blockzoo.measure.deadline import Deadline
from blockzoo.measure.interleaving import Schedule, interleave
from blockzoo.measure.timings import timings_of
from blockzoo.models.agreement import deviation, random_statistics


class MadeTime:
    """Time that passes only in calls: each takes what `cost` says of its result."""

    def __init__(self, cost: Callable[[Any], float]) -> None:
        self.now, self.calls, self.cost = 0.0, 0, cost

    def time_ms(self, call: Callable[[], Any]) -> float:
        self.calls += 1
        seconds = self.cost(call())
        self.now += seconds
        return 1e3 * seconds


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], float]], MadeTime]:
    def make(cost: Callable[[Any], float]) -> MadeTime:
        clock = MadeTime(cost)
        monkeypatch.setattr("blockzoo.measure.deadline.time", SimpleNamespace(perf_counter=lambda: clock.now))
        monkeypatch.setattr("blockzoo.measure.interleaving.Clock", lambda device: clock)
        return clock

    return make


@pytest.mark.parametrize("seconds", [0.5, 3.0, 4.0, 10.0, 100.0])
@pytest.mark.parametrize("rounds", [None, 50])
def test_the_time_bounds_warm_up_and_rounds(made: Any, seconds: float, rounds: int | None) -> None:
    clock = made(float)
    samples = interleave({"a": lambda: 1, "b": lambda: 2}, clock, Schedule(rounds=rounds, seconds=seconds))
    assert len(samples["a"]) == len(samples["b"]) >= 1, "whole rounds, and at least one"
    assert clock.now <= max(seconds, 3.0), "more than one round beyond the time"
    assert len(samples["a"]) >= 0.5 * seconds / 3 - 1, "the time is used"


def test_what_speaks_against_a_time() -> None:
    chance = random.Random(0)
    steady = [1 + 0.01 * chance.random() for _ in range(60)]
    assert doubts(steady, (1.0, (0.99, 1.01))) == []
    assert doubts([1.0] * 3) == ["only 3 samples"] and doubts([1.0]) == ["only 1 sample"]
    two_speeds = [chance.choice((0.14, 9.3)) for _ in range(60)]
    assert any("wild" in reason for reason in doubts(two_speeds))
    assert any("interval" in reason for reason in doubts([1, 1, 1, 2, 2, 2, 3, 3, 3]))
    assert doubts(steady, (1.3, (1.2, 1.4))) == ["A/A 1.30"]
    assert doubts(steady, (1.0, (0.8, 1.2))) == ["A/A 0.80 to 1.20"]
    assert doubts(steady, (0.5, None)) == [], "a reference without an interval says nothing"


class Mood:
    """Costs of calls: wild in the first `wild` of them, steady afterwards; `bias` slows every second object."""

    def __init__(self, wild: int) -> None:
        self.wild, self.count, self.chance = wild, 0, random.Random(0)

    def __call__(self, result: Any) -> float:
        self.count += 1
        return self.chance.choice((0.001, 0.05)) if self.count <= self.wild else 0.01


def network() -> tuple[list[Setting], list[Contender]]:
    return [Setting(torch.device("cpu"))], [Contender("a", "network", torch.nn.Identity(), (1, 3, 4, 4))]


def test_a_wild_run_is_made_again_and_the_steady_one_counts(made: Any) -> None:
    clock = made(Mood(wild=60))
    (timing,) = timings_of(*network(), clock, Schedule(warmup_rounds=0, rounds=30), Deadline(100))
    assert timing.doubt == "" and set(timing.samples_ms) == {10.0} and clock.calls == 120


def test_a_run_that_stays_wild_says_so_and_ends(made: Any) -> None:
    clock = made(Mood(wild=10**9))
    (timing,) = timings_of(*network(), clock, Schedule(), Deadline(20))
    assert "wild samples" in timing.doubt and timing.columns()["doubt"] == timing.doubt
    assert clock.now <= 20
    made(Mood(wild=10**9))
    (bounded,) = timings_of(*network(), clock, Schedule(rounds=30), Deadline(None))
    assert bounded.doubt, "without a bound it ends too"


def test_equal_work_that_takes_unequal_time_is_doubtful(made: Any) -> None:
    clock = made(lambda result: 0.0)
    order: list[int] = []

    def time_ms(call: Callable[[], Any]) -> float:  # the reference is the second object that is called
        order.append(id(call)) if id(call) not in order else None
        clock.now += 0.01
        return 10.0 if order.index(id(call)) == 0 else 12.0

    clock.time_ms = time_ms
    (timing,) = timings_of(*network(), clock, Schedule(rounds=20), Deadline(5))
    assert timing.doubt.startswith("A/A")


def benchmark(**options: Any) -> Any:
    return benchmark_block("ResNetBasicBlock", base_channels=4, num_blocks=1, device="cpu", **options)


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_left_out_by_name(made: Any, caplog: pytest.LogCaptureFixture) -> None:
    clock = made(lambda result: 0.01 * len(result))
    timed = benchmark(batch_sizes=(1, 256), seconds=4.0)
    assert {t.batch_size for t in timed.timings} == {1} and clock.now <= 4.0 + 0.16
    assert "batch 256 is not timed" in timed.left_out[0] and "batch 256" in caplog.text
    clock = made(lambda result: 0.01 * len(result))
    with pytest.raises(UsageError, match="give more --seconds"):
        benchmark(batch_sizes=(256,), seconds=4.0)
    clock = made(lambda result: 0.01 * len(result))
    timed = benchmark(batch_sizes=(1, 256), seconds=75.0)
    assert {t.batch_size for t in timed.timings} == {1, 256} and not timed.left_out and clock.now <= 75
    assert any(t.doubt for t in timed.timings) is False
    record = timed.records()[0]
    assert record.values["network_batch256_doubt"] == ""


def test_a_stage_that_is_slower_than_its_network_is_doubtful(made: Any) -> None:
    made(lambda result: 0.001 if result.ndim == 2 else 0.002)  # a network gives (B, classes), a stage a map
    timed = benchmark(batch_sizes=(1,), seconds=5.0)
    assert {t.part: t.doubt for t in timed.timings} == {
        "network": "",
        "stage": "slower than the network it is part of",
    }


def test_the_command_prints_doubts_and_intervals(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--base-channels", "4", "--num-blocks", "1", "--device", "cpu", "--batch-sizes", "1"]
    made(Mood(wild=10**9))
    assert main(["benchmark", "ResNetBasicBlock", *small, "--seconds", "5"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "? " in text and "wild samples" in text and " .. " in text
    assert main(["benchmark", "ResNetBasicBlock", *small, "--seconds", "-1"]) == 2
    assert "seconds=-1.0: Input should be greater than 0" in capsys.readouterr().err


def test_what_the_checks_of_a_deployed_form_found_is_in_its_times_and_records() -> None:
    """Of a block with norms and branches a number; of a network in which nothing is folded or merged none."""
    options: Any = {"input_shape": (1, 3, 8, 8), "benchmark_runs": 1, "warmup_runs": 0, "device": "cpu"}
    timed = benchmark_block(["MobileOneBlock/mid"], num_blocks=1, base_channels=4, out_dim=3, **options)
    assert [(t.part, 0 < t.checked < 1e-3) for t in timed.timings if t.checked is not None] == [
        ("network", True),
        ("stage", True),
    ]
    record = timed.records()[0]
    assert (
        record.values["network_checked"] == timed.timings[0].columns()["checked"] == timed.timings[0].checked
    )
    plain = deployed_contender(
        "linear", "network", nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (1, 3, 2, 2)
    )
    assert plain.checked is None


def test_a_network_is_deployed_for_the_numbers_of_images_that_it_is_timed_with() -> None:
    class Busy(nn.Module):
        """Reads its convolution again when many images come."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return self.norm(y) + y if len(x) == 16 else self.norm(y)

    plain = random_statistics(Busy()).eval()
    timed = deployed_contender("busy", "network", plain, (1, 3, 4, 4), (1, 16)).module
    x = torch.randn(16, 3, 4, 4)
    with torch.no_grad():
        assert deviation(plain(x), timed(x)) == 0
