"""Where costs go, by operation: of the zoo, of networks at hand, on paper and on a clock."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from blockzoo import operations as verb
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.roofline import Machine, by_kind
from blockzoo.measure import limits
from blockzoo.measure.contenders import Contender, Setting
from blockzoo.measure.interleaving import Clock, Schedule
from blockzoo.measure.operation_times import break_down
from blockzoo.operations import benchmark_operations, profile_operations
from blockzoo.profile import profile_block
from blockzoo.report.why import why
from tests.sampled import sampled

SMALL = {"base_channels": 16, "num_blocks": 1}
FEW = [
    "InvertedResidual",  # depthwise
    "ResNeXtBottleneck",  # grouped
    "DenseNetBlock",  # concatenation
    "GhostBottleneckV3",
    "MobileOneBlock",  # merged branches
    "ConvNeXtBlock",  # layer norms, matrix products
    "EdgeNeXtTransposeBlock",  # attention
]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BUFFERS", {"cpu": (2**14, 2**22)})
    monkeypatch.setattr(limits, "SIDES", {"cpu": (64, 128)})


@pytest.mark.parametrize("name", sampled(BLOCKS, FEW))
def test_totals_are_those_of_profile(name: str) -> None:
    plain = profile_block(name, "mid", **SMALL)
    made = profile_operations(name, "mid", **SMALL)
    assert made.profile == plain and plain.stage is not None and made.stage is not None
    assert sum(o.macs for o in made.operations) == plain.network.macs
    assert sum(o.macs for o in made.stage) == plain.stage.macs
    assert {o.layer.split(".")[0] for o in made.stage} == {"stage2"}
    assert not any(o.unknown for o in made.operations)


def test_the_names_in_few_are_of_the_zoo() -> None:
    assert set(FEW) <= set(BLOCKS)


def test_a_batch_of_four_moves_its_maps_four_times() -> None:
    one, four = (
        profile_operations("ResNetBasicBlock/mid", input_shape=(batch, 3, 32, 32), **SMALL)
        for batch in (1, 4)
    )
    written = [sum(o.bytes_written for o in p.operations) for p in (one, four)]
    assert written[1] == 4 * written[0]
    read = [sum(o.bytes_read for o in p.operations) for p in (one, four)]
    assert read[0] < read[1] < 4 * read[0]  # the weights are read once


def test_the_trained_form_has_its_norms() -> None:
    deployed, trained = (
        profile_operations("MobileOneBlock/mid", form=form, **SMALL) for form in ("deployed", "trained")
    )
    kinds = [{g.kind for g in by_kind(p.of())} for p in (deployed, trained)]
    assert "norms" not in kinds[0] and "norms" in kinds[1]
    assert sum(o.macs for o in trained.of()) > sum(o.macs for o in deployed.of())


def test_a_network_at_hand_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 16, 2)
    )
    made = profile_operations(net, input_shape=(1, 3, 4, 4))
    assert made.stage is None and made.part() == "network"
    assert [(o.layer, o.kind, o.macs, o.bytes_read // 4, o.bytes_written // 4) for o in made.of()] == [
        ("0", "dense convolutions", 3456, 48 + 216, 128),
        ("1", "activations", 0, 128, 128),
        ("2", "views", 0, 0, 0),
        ("3", "views", 0, 0, 0),
        ("3", "matrix products", 256, 128 + 256 + 2, 2),
    ]


def test_a_norm_is_folded_where_it_is_deployed() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    assert [o.kind for o in profile_operations(net).of()] == ["dense convolutions", "activations"]


class ReadsValues(nn.Module):
    """Cannot run without values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if float(x.detach().sum()) < 1e9 else x


def test_a_network_that_asks_for_values_is_followed_on_random_ones() -> None:
    made = profile_operations(ReadsValues(), input_shape=(1, 3, 4, 4))
    assert sum(o.macs for o in made.of()) == 9 * 16
    assert any("random values" in note for note in made.profile.notes)


class Refuses(nn.Module):
    """Takes no input at all."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("no such input")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: profile_operations(Refuses()), "Refuses cannot take an input of shape .*no such input"),
        (lambda: profile_operations("NoSuchBlock"), "NoSuchBlock"),
        (
            lambda: profile_operations("ResNetBasicBlock", form="fast"),
            "'fast': choose one of deployed, trained",
        ),
        (
            lambda: profile_operations("ReXNetBlock", form="trained", **SMALL),
            "more than 1 value.*larger batch",
        ),
        (lambda: profile_operations(nn.Conv2d(3, 3, 1)).of("stage"), "Conv2d has no stage under test"),
        (lambda: benchmark_operations([]), "name at least one"),
        (lambda: benchmark_operations("ResNetBasicBlock", runtimes=("compile",)), "compile.*eager"),
        (lambda: benchmark_operations("ResNetBasicBlock", dtypes=("fp32", "bf16")), "in one of them"),
        (lambda: benchmark_operations("ResNetBasicBlock", energy=True), "whole networks"),
        (lambda: benchmark_operations("ResNetBasicBlock", dtypes=("fp8",)), "choose one of fp32"),
        (lambda: benchmark_operations("model:feedforward", part="stage"), "has no stage under test"),
        (lambda: benchmark_operations(["ResNetBasicBlock", "timm:resnet18"]), "timm:resnet18 has no stage"),
    ],
)
def test_bad_requests_are_told(call: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        call()  # type: ignore[operator]


@pytest.mark.slow
def test_a_clock_beside_the_paper() -> None:
    made = benchmark_operations(
        ["InvertedResidual/mid", "ResNetBasicBlock/mid"], batch_sizes=(1, 2), benchmark_runs=3, **SMALL
    )
    assert [(b.subject, b.batch_size) for b in made.breakdowns] == [
        (name, size) for size in (1, 2) for name in ("InvertedResidual/mid", "ResNetBasicBlock/mid")
    ]
    for one in made.breakdowns:
        paper = profile_operations(one.subject, input_shape=(one.batch_size, 3, 32, 32), **SMALL)
        assert one.part == "stage" and one.all.operations == paper.stage
        assert len(one.whole_ms) == 3 and one.parts > 0 and one.checked is not None and one.checked < 1e-4
    assert made.environment["timed_on"].endswith("threads") and not made.left_out
    assert isinstance(made.machine, Machine)


def test_the_whole_network_where_it_is_asked_for() -> None:
    for asked in ({"part": "network"}, {"stage": False}):
        made = benchmark_operations(
            "InvertedResidual/mid", batch_sizes=(1,), benchmark_runs=1, **asked, **SMALL
        )
        (one,) = made.breakdowns
        assert one.part == "network"
        assert one.all.macs == profile_block("InvertedResidual/mid", **SMALL).network.macs


@pytest.mark.mutation("operation-costs")
def test_a_count_on_a_clock_that_is_not_that_of_profile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "_counted", lambda *asked: 1)
    with pytest.raises(CheckFailed, match="and 1 together"):
        benchmark_operations("ResNetBasicBlock/mid", batch_sizes=(1,), benchmark_runs=1, **SMALL)


class Sums(nn.Module):
    """One FLOP for each twelve bytes, and none that counts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            x = x + x
        return x


def test_a_block_that_is_memory_bound_is_called_so() -> None:
    cpu = torch.device("cpu")
    machine = limits.measure_machine(cpu, seconds=5.0, rounds=5)
    contender = Contender("sums", "network", Sums().eval(), (1, 16, 512, 512))
    (made,) = break_down(Setting(cpu), [contender], Clock(cpu), Schedule(1, 5, 20.0))
    bound = machine.bound(made.timed)
    assert bound.roof == "memory" and bound.limit == "memory", bound
    assert "memory-bound, at" in why("Sums", made.timed, machine)
