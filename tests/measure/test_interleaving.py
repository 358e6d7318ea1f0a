from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from blockzoo.benchmark import benchmark_block, benchmark_model, quick_benchmark
from blockzoo.core.errors import UsageError
from blockzoo.measure.interleaving import Clock, Schedule, interleave


class Ticks:
    """A clock that counts calls instead of milliseconds."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def time_ms(self, call) -> float:  # type: ignore[no-untyped-def]
        self.order.append(call())
        return float(len(self.order))


def test_rounds_are_interleaved_and_shuffled() -> None:
    clock = Ticks()
    names = ["a", "b", "c"]
    schedule = Schedule(warmup_rounds=2, rounds=30)
    samples = interleave({n: (lambda n=n: n) for n in names}, clock, schedule)  # type: ignore[arg-type,misc]
    rounds = [clock.order[i : i + 3] for i in range(0, len(clock.order), 3)]
    assert len(rounds) == 32 and all(sorted(r) == names for r in rounds)
    assert len(Counter(map(tuple, rounds))) == 6, "every order occurs"
    assert all(len(s) == 30 for s in samples.values())
    assert sorted(t for s in samples.values() for t in s) == list(range(7, 97)), (
        "warm-up samples are thrown away"
    )


def test_stops_when_the_time_is_spent() -> None:
    samples = interleave({"a": lambda: None}, Ticks(), Schedule(rounds=None, seconds=0))  # type: ignore[arg-type]
    assert len(samples["a"]) == 1, "one cold call, so that there is a number"


def test_clock_measures_the_call() -> None:
    import time

    assert 20 <= Clock(torch.device("cpu")).time_ms(lambda: time.sleep(0.02)) < 500


@pytest.mark.slow
def test_options_have_their_effect() -> None:
    timed = benchmark_block(
        ["ResNetBasicBlock", "MobileOneBlock/late"],
        "early",
        base_channels=8,
        num_blocks=1,
        batch_sizes=(1, 3),
        warmup_runs=1,
        benchmark_runs=7,
        threads=1,
        dtypes=("bf16",),
        memory_format="channels_last",
        device="cpu",
    )
    assert [(t.subject, t.part, t.batch_size) for t in timed.timings] == [
        (subject, part, batch)
        for batch in (1, 3)
        for subject in ("ResNetBasicBlock/early", "MobileOneBlock/late")
        for part in ("network", "stage")
    ]
    assert all(len(t.samples_ms) == 7 and min(t.samples_ms) > 0 for t in timed.timings)
    facts = timed.environment
    assert (facts["dtype"], facts["layout"], facts["threads"]) == ("bfloat16", "channels_last", 1)
    assert torch.get_num_threads() >= 1
    row = timed.timings[0].columns()
    assert (
        row["latency_low_ms"]
        <= row["latency_ms"]
        <= row["latency_high_ms"]
        <= max(timed.timings[0].samples_ms)
    )
    assert math.isclose(row["throughput"], 1000 / row["latency_ms"])
    assert set(timed.records()[0].samples) == {
        "network_batch1_ms",
        "stage_batch1_ms",
        "network_batch3_ms",
        "stage_batch3_ms",
    }
    shaped = benchmark_block(
        "ResNetBasicBlock", base_channels=8, num_blocks=1, input_shape=(2, 3, 16, 16), benchmark_runs=1
    )
    assert {t.batch_size for t in shaped.timings} == {2}


def test_earlier_names() -> None:
    assert quick_benchmark("ResNetBasicBlock", base_channels=8, benchmark_runs=2)["n"] == 2
    net = torch.nn.Conv2d(3, 4, 3)
    assert benchmark_model(net, (1, 3, 8, 8), benchmark_runs=3)["n"] == 3


def test_no_gpu_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    timed = benchmark_block(
        "ResNetBasicBlock", base_channels=8, benchmark_runs=1, batch_sizes=(1,), device="cuda"
    )
    assert timed.environment["device"] == "cpu" and "goes on with the CPU" in caplog.text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dtypes": ("fp8",)}, "fp32, bf16"),
        ({"memory_format": "x"}, "channels_last"),
        ({"batch_sizes": ()}, "batch sizes"),
        ({"threads": 0}, "threads=0"),
        ({"benchmark_runs": 0}, "benchmark_runs=0"),
        ({"warmup_runs": -1}, "warmup_runs=-1"),
        ({"device": "tpu"}, "cpu, cuda, auto"),
        ({"runtimes": ("eagr",)}, "Did you mean eager"),
        ({"subjects": []}, "at least one block"),
    ],
)
def test_bad_options(options: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        benchmark_block(
            options.pop("subjects", "ResNetBasicBlock"),
            **{"batch_sizes": (1,), "base_channels": 8, **options},
        )
