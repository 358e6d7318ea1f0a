"""Measuring the parts of a network and adding up, against measuring the whole network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from blockzoo import ScaffoldNet
from blockzoo.core.contracts import BLOCKS, POSITIONS
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.measure.costs import Costs, check_added_parts, measure_chain, total
from blockzoo.measure.memory import peak_memory
from blockzoo.models.deploy import fold_batch_norm
from blockzoo.models.merging import merge_branches
from blockzoo.profile import get_model_profile, profile_block, quick_profile
from tests.sampled import sampled

NAMES = BLOCKS.names(variants=True)
FEW = [name for name in NAMES if f"{name.partition('@')[0]}@published" in NAMES][::6]


@pytest.mark.parametrize("position", sampled(POSITIONS, 1))
@pytest.mark.parametrize("name", sampled(NAMES, FEW))
def test_parts_add_up_to_the_whole(name: str, position: str) -> None:
    for filler in (None, "identity"):
        parts = profile_block(name, position, base_channels=8, num_blocks=2, filler=filler)
        net = ScaffoldNet(name, position, num_blocks=2, base_channels=8, filler=filler)
        assert parts.network == get_model_profile(net).network


@pytest.mark.parametrize("name", sampled(["GhostBottleneckV3", "MobileOneBlock", "RepMixer@published"], 1))
def test_meta_device_sees_what_the_cpu_does(name: str) -> None:
    net, x = ScaffoldNet(name, "mid", num_blocks=2, base_channels=8).eval(), torch.randn(1, 3, 32, 32)
    real = peak_memory(fold_batch_norm(merge_branches(net), x), x)
    assert profile_block(name, "mid", base_channels=8, num_blocks=2).network.peak_activation_bytes == real


def test_the_stage_is_part_of_the_network() -> None:
    profile = profile_block("EdgeResidual/late", num_blocks=1, base_channels=8)
    assert profile.stage is not None
    assert 0 < profile.stage.params_total < profile.network.params_total
    assert 0 < profile.stage.macs < profile.network.macs
    alone = profile_block("EdgeResidual/late", num_blocks=1, base_channels=8, filler="identity")
    assert alone.stage is not None and alone.stage.params_total == profile.stage.params_total


def test_batch_and_size_have_their_effect() -> None:
    one = profile_block("ResNetBasicBlock/mid", base_channels=8).network
    four = profile_block("ResNetBasicBlock/mid", base_channels=8, input_shape=(4, 3, 32, 32)).network
    assert (four.macs, four.peak_activation_bytes) == (4 * one.macs, 4 * (one.peak_activation_bytes or 0))
    large = profile_block("ResNetBasicBlock/mid", base_channels=8, input_shape=(1, 3, 64, 64)).network
    assert large.params_total == one.params_total and large.macs > 3.9 * one.macs


def test_any_network() -> None:
    profile = profile_block("timm:resnet18", input_shape=(1, 3, 224, 224), out_dim=1000)
    assert profile.stage is None
    assert profile.network.params_total == 11_689_512
    assert profile.network.macs == 1_814_073_344
    assert quick_profile("ResNetBasicBlock", "late", base_channels=8)["subject"] == "ResNetBasicBlock/late"


@pytest.mark.parametrize("shape", [(1, 3, 32), (0, 3, 32, 32), (1, 3, -1, 32), (1, 3, 32.0, 32)])
def test_wrong_shapes(shape: tuple) -> None:
    with pytest.raises(UsageError, match="B C H W"):
        profile_block("ResNetBasicBlock", input_shape=shape)


def test_a_shape_the_network_cannot_take() -> None:
    with pytest.raises(UsageError, match="cannot take an input of shape"):
        profile_block("GhostBottleneckV3", "late", input_shape=(1, 3, 4, 4), base_channels=8)


def one_by_one(builders: list[Callable[[], nn.Module]]) -> Costs:
    return total(measure_chain([(None, build) for build in builders], (1, 8, 6, 6), memory=False))


@pytest.mark.mutation("added-parts")
def test_blocks_that_do_not_add_up_are_refused() -> None:
    """Blocks that share a weight, and blocks of which every second one is another."""
    alone: list[Callable[[], nn.Module]] = [lambda: nn.Conv2d(8, 8, 3)] * 2
    assert check_added_parts("x", one_by_one(alone), alone, (1, 8, 6, 6)) == 0
    layer = nn.Conv2d(8, 8, 3, device="meta")
    shared: list[Callable[[], nn.Module]] = [lambda: layer] * 2
    with pytest.raises(
        CheckFailed, match="x: its blocks have 1,168 params_total one by one and 584 together"
    ):
        check_added_parts("x", one_by_one(shared), shared, (1, 8, 6, 6))
    sizes = iter([1, 1, 3, 3])
    turns: list[Callable[[], nn.Module]] = [lambda: nn.Conv2d(8, 8, next(sizes), padding="same")] * 2
    with pytest.raises(CheckFailed, match="differ from one time they are built to the next"):
        check_added_parts("x", one_by_one(turns), turns, (1, 8, 6, 6))


class Own(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int, position: str) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(in_channels, out_channels, 1, stride), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


def test_an_own_block_is_compared_with_the_whole_network(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = profile_block(Own, "early", num_blocks=2, base_channels=8).network
    assert profile == get_model_profile(ScaffoldNet(Own, "early", num_blocks=2, base_channels=8)).network
    seen: list[str] = []
    monkeypatch.setattr("blockzoo.measure.costs.check_added_parts", lambda name, *_: seen.append(name))
    profile_block(Own, "early", num_blocks=2, base_channels=8)
    profile_block("ResNetBasicBlock", "early", num_blocks=2, base_channels=8)
    assert seen == ["Own/early"]


class Prepares(nn.Module):
    """Merges two matrices at its first call in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(3, 50)), nn.Parameter(torch.randn(50, 7))
        self.merged: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.merged is None:
            self.merged = self.first @ self.second
        return x.mean((2, 3)) @ self.merged


class TakesTurns(nn.Module):
    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x @ x[..., : 1 + self.calls % 3]


def test_what_a_first_call_prepares_is_no_cost_of_every_image() -> None:
    profile = get_model_profile(Prepares(), (2, 3, 4, 4), strict=True)
    assert profile.network.macs == 2 * 3 * 7
    assert profile.notes == (f"macs are those of a later call; the first one had {2 * 3 * 7 + 3 * 50 * 7:,}",)
    assert profile.network.params_total == 3 * 50 + 50 * 7


def test_costs_that_differ_from_call_to_call_are_named_and_refused_when_strict() -> None:
    profile = get_model_profile(TakesTurns(), (1, 1, 4, 4))
    assert profile.network.uncounted_operations == ("what differs from call to call",)
    assert "from call to call: 32 then 48 then 16" in profile.notes[0]
    with pytest.raises(UsageError, match="from call to call"):
        get_model_profile(TakesTurns(), (1, 1, 4, 4), strict=True)
