"""Runtimes beside eager PyTorch: compared before they are timed, refused where they cannot, timed in turns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from blockzoo.benchmark import benchmark_block, benchmark_specs
from blockzoo.cli import main
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.settings import Benchmarking
from blockzoo.core.spec import NetworkSpec
from blockzoo.measure.contenders import Contender, Failure, Setting
from blockzoo.measure.contracts import RUNTIMES
from blockzoo.measure.deadline import Deadline
from blockzoo.measure.interleaving import Clock, Schedule
from blockzoo.measure.other_runtimes import check_runtime
from blockzoo.measure.timing_options import Way
from blockzoo.measure.timings import Timing, timings_of

SMALL: dict[str, Any] = {
    "base_channels": 4, "num_blocks": 1, "stage": False, "device": "cpu", "benchmark_runs": 2, "warmup_runs": 0,
    "batch_sizes": (1,),
}  # fmt: skip


@pytest.fixture
def added() -> Iterator[Callable[[str, Any], None]]:
    names: list[str] = []

    def add(name: str, runtime: Any) -> None:
        RUNTIMES[name] = runtime
        names.append(name)

    yield add
    for name in names:
        del RUNTIMES[name]


def timed(
    runtimes: list[str], networks: list[nn.Module], failures: list[Failure] | None = None, batch: int = 1
) -> list[Timing]:
    place = torch.device("cpu")
    settings = [Setting(place, runtime=name, batch_size=batch) for name in runtimes]
    contenders = [Contender(str(n), "network", net.eval(), (1, 3, 6, 6)) for n, net in enumerate(networks)]
    return timings_of(settings, contenders, Clock(place), Schedule(0, 6), Deadline(None), failures)


@pytest.mark.mutation("other-runtime")
@pytest.mark.parametrize("batch", [1, 16])
def test_a_runtime_that_computes_otherwise_has_no_time(added: Any, batch: int) -> None:
    """Scaled by a little: the error names network, runtime and difference, others are timed."""
    added("scaled", lambda model, example: lambda x: model(x) * 1.01)
    failures: list[Failure] = []
    timings = timed(["eager", "scaled"], [nn.Conv2d(3, 4, 3)], failures, batch)
    assert [timing.way for timing in timings] == [Way("eager", "fp32")]
    (failure,) = failures
    assert isinstance(failure.error, CheckFailed) and failure.way == Way("scaled", "fp32")
    assert "0, network, by scaled, fp32: check 'other-runtime' failed" in failure.reason
    assert failure.columns()["error"] and "latency_ms" not in failure.columns()


@pytest.mark.mutation("other-runtime")
def test_outputs_that_are_missing_or_saturate_are_seen() -> None:
    net = nn.Conv2d(3, 4, 3)
    x = torch.randn(1, 3, 6, 6)
    assert check_runtime(net, net, x, "x") == 0
    with pytest.raises(CheckFailed, match="probe 1"):  # right but for large inputs
        check_runtime(net, lambda x: net(x).clamp(-10, 10), x, "x")
    with pytest.raises(CheckFailed, match="other-runtime"):
        check_runtime(lambda x: (net(x), x), lambda x: (net(x),), x, "x")
    low = copy.deepcopy(net).to(torch.bfloat16)
    assert 0 < check_runtime(low, lambda x: net(x.float()).bfloat16(), x.bfloat16(), "x") < 5e-2


def test_networks_take_turns_in_all_ways_with_a_reference_each(added: Any) -> None:
    order: list[str] = []

    def noted(name: str) -> Any:
        def make(model: nn.Module, example: torch.Tensor) -> Any:
            def call(x: torch.Tensor) -> torch.Tensor:
                order.append(name)
                return model(x)

            return call

        return make

    added("first", noted("first"))
    added("second", noted("second"))
    timings = timed(["first", "second"], [nn.Conv2d(3, 4, 3), nn.Conv2d(3, 2, 3)])
    assert [(t.subject, t.way.runtime) for t in timings] == [
        ("0", "first"), ("1", "first"), ("0", "second"), ("1", "second"),
    ]  # fmt: skip
    assert timings[0].noise == timings[1].noise != timings[2].noise
    rounds = order[-36:]  # six of three entrants in each of two ways
    assert all(sorted(rounds[i : i + 6]) == ["first"] * 3 + ["second"] * 3 for i in range(0, 36, 6))
    assert all(t.from_eager == 0 for t in timings)


def test_of_a_network_without_a_way_another_is_the_reference(added: Any) -> None:
    def picky(model: nn.Module, example: torch.Tensor) -> Any:
        if isinstance(model, nn.ReLU):
            raise UsageError("no ReLU")
        return model

    added("picky", picky)
    failures: list[Failure] = []
    timings = timed(["picky"], [nn.ReLU(), nn.GELU()], failures)
    assert [t.subject for t in timings] == ["1"] and timings[0].noise[1] is not None
    assert [f.reason for f in failures] == ["network at batch 1 by picky, fp32: no ReLU"]


def test_records_have_the_way_that_they_were_taken_in(added: Any) -> None:
    added("plain", lambda model, example: model)
    how = Benchmarking(runtimes=("eager", "plain"), dtypes=("fp32", "bf16"), batch_sizes=(1,), stage=False,
                       device="cpu", benchmark_runs=1, warmup_runs=0)  # fmt: skip
    benchmark = benchmark_specs(
        [NetworkSpec("ResNetBasicBlock/mid", num_blocks=1, base_channels=4)], (1, 3, 8, 8), how
    )
    records = benchmark.records()
    ways = [(r.environment["runtime"], r.environment["dtype"]) for r in records]
    assert ways == [(r, d) for d in ("float32", "bfloat16") for r in ("eager", "plain")]
    assert len({r.environment["environment_id"] for r in records}) == 4
    assert len({r.fingerprint for r in records}) == 1 and all(r.status == "ok" for r in records)
    assert [r.values.get("network_batch1_from_eager") for r in records] == [None, 0, None, 0]


def test_the_command_shows_ways_agreement_and_errors(added: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(model: nn.Module, example: torch.Tensor) -> Any:
        raise UsageError("not today")

    added("plain", lambda model, example: model)
    added("fails", fails)
    blocks = ["ResNetBasicBlock", "MobileOneBlock", "EdgeResidual", "GhostBottleneckV3"]
    words = (
        "--base-channels 4 --num-blocks 1 --no-stage --device cpu --batch-sizes 1 --benchmark-runs 6".split()
    )
    assert main(["benchmark", *blocks, *words, "--runtimes", "eager", "plain", "fails"]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "Kendall's tau of eager, fp32 and plain, fp32" in text and "over 4 networks" in text
    assert "Runtimes checked: 0.0e+00 from eager" in text and text.count("not today") == 1
    assert "by eager, fp32; " in text and "error" in text
    assert main(["benchmark", blocks[0], *words, "--runtimes", "eager", "fails", "--format", "csv"]) == 1
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].endswith(",error") and rows[2].endswith("not today") and ",,,," in rows[2]


def test_runtimes_and_dtypes_that_are_none() -> None:
    for given, says in (
        ({"runtimes": ()}, "at least one"),
        ({"dtypes": ("fp32", "fp8")}, "fp8"),
        ({"runtimes": ("eager", "onxruntime")}, "Did you mean onnxruntime"),
    ):
        with pytest.raises(UsageError, match=says):
            benchmark_block("ResNetBasicBlock", **{**SMALL, **given})
