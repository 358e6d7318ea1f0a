from __future__ import annotations

import pytest
import torch
from torch import nn

from blockzoo import ScaffoldNet
from blockzoo.core.contracts import BLOCKS, POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.resolve import build_network
from blockzoo.models.scaffold import FixedTransition


@pytest.mark.parametrize("position", POSITIONS)
def test_shapes_and_parts(position: str) -> None:
    net = ScaffoldNet("InvertedResidual", position, num_blocks=2, base_channels=8, out_dim=7)
    x = torch.randn(2, 3, 32, 32)
    assert net(x).shape == (2, 7)
    assert net.stage1(net.stem(x)).shape == (2, 8, 32, 32)
    assert net.stage3(net.stage2(net.stage1(net.stem(x)))).shape == (2, 32, 8, 8)
    info = net.get_stage_info()
    assert [stage["active"] for stage in info] == [p == position for p in POSITIONS]
    assert [stage["holds"] for stage in info if stage["active"]] == ["InvertedResidual"]
    assert {stage["holds"] for stage in info if not stage["active"]} == {"ResNetBasicBlock"}


def test_blocks_partition_the_network_and_compose_to_it() -> None:
    net = ScaffoldNet("MobileOneBlock", "mid", num_blocks=2, base_channels=8).eval()
    parts = [p for block in net.blocks for p in block.parameters()]
    assert sorted(map(id, parts)) == sorted(map(id, net.parameters()))
    x = y = torch.randn(1, 3, 32, 32)
    for block in net.blocks:
        y = block(y)
    assert torch.equal(net(x), y)


def test_one_seed_gives_one_network() -> None:
    first, second = (
        ScaffoldNet("EdgeResidual", seed=3, base_channels=8),
        ScaffoldNet("EdgeResidual", seed=3, base_channels=8),
    )
    other = ScaffoldNet("EdgeResidual", seed=4, base_channels=8)
    pairs = list(zip(first.state_dict().values(), second.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.stem[0].weight, other.stem[0].weight)
    torch.manual_seed(0)
    a = ScaffoldNet("EdgeResidual", base_channels=8).stem[0].weight
    torch.manual_seed(0)
    assert torch.equal(a, ScaffoldNet("EdgeResidual", base_channels=8).stem[0].weight)


@pytest.mark.parametrize("position", POSITIONS)
def test_stem_fillers_and_head_start_alike_whatever_the_block(position: str) -> None:
    nets = [
        ScaffoldNet(block, position, num_blocks=2, base_channels=8, seed=1)
        for block in ("ResNetBottleneck", "RepMixer", "EdgeResidual")
    ]
    active = f"stage{POSITIONS.index(position) + 1}"
    shared = [{k: v for k, v in net.state_dict().items() if not k.startswith(active)} for net in nets]
    for other in shared[1:]:
        assert shared[0].keys() == other.keys()
        assert all(torch.equal(shared[0][k], other[k]) for k in other)


def test_identity_filler_isolates_the_block() -> None:
    net = ScaffoldNet("ResNetBasicBlock", "mid", num_blocks=3, base_channels=8, filler="identity")
    assert all(isinstance(block, nn.Identity) for block in net.stage1)
    assert isinstance(net.stage3[0], FixedTransition) and isinstance(net.stage3[1], nn.Identity)
    assert [stage["params"] > 0 for stage in net.get_stage_info()] == [False, True, False]
    assert net(torch.randn(1, 3, 17, 17)).shape == (1, 10)


@pytest.mark.parametrize("block", ["ResNetBasicBlock", "RepMixer", "InvertedResidual", "MobileOneBlock"])
@pytest.mark.parametrize("position", POSITIONS)
def test_a_shared_transition_changes_the_shape_in_place_of_every_block(block: str, position: str) -> None:
    net = ScaffoldNet(block, position, num_blocks=2, base_channels=8, seed=1, transition="shared").eval()
    alone = ScaffoldNet(
        block, "early", num_blocks=2, base_channels=8 * 2 ** POSITIONS.index(position)
    ).stage1[1]
    for stage in (net.stage2, net.stage3):
        *front, first = stage[0]
        assert [type(layer) for layer in front] == [nn.Sequential, nn.ReLU, nn.Sequential, nn.ReLU]
        assert type(first) is type(stage[1])
    assert not isinstance(net.stage1[0], nn.Sequential) or type(net.stage1[0]) is type(net.stage1[1])
    (first, second) = net.active_stage
    assert {k: v.shape for k, v in second.state_dict().items()} == {
        k: v.shape for k, v in alone.state_dict().items()
    }
    other = ScaffoldNet("EdgeResidual", position, num_blocks=2, base_channels=8, seed=1, transition="shared")
    if position != "early":
        ours, theirs = (n.active_stage[0][0].state_dict() for n in (net, other))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert net(torch.randn(2, 3, 17, 17)).shape == (2, 10)


def test_a_shared_transition_is_another_request_and_is_known_again() -> None:
    own, shared = (NetworkSpec("RepMixer/mid", transition=t) for t in ("own", "shared"))
    assert (
        own.identity() == NetworkSpec("RepMixer/mid").identity() and own.fingerprint() != shared.fingerprint()
    )
    stages = [NetworkSpec("stages:RepMixer,RepMixer,RepMixer", transition=t) for t in ("own", "shared")]
    assert stages[0].fingerprint() != stages[1].fingerprint()
    assert ScaffoldNet("RepMixer", transition="shared").spec.transition == "shared"
    with pytest.raises(UsageError, match="transition"):
        NetworkSpec("RepMixer/mid", transition="none")


def test_width_and_depth_of_the_active_stage() -> None:
    net = ScaffoldNet(
        "ResNetBasicBlock", "mid", num_blocks=2, base_channels=8, active_blocks=4, active_width=1.5
    )
    assert len(net.stage2) == 4 and len(net.stage1) == 2
    assert net.stage2(net.stage1(net.stem(torch.randn(1, 3, 32, 32)))).shape[1] == 24
    assert net(torch.randn(1, 3, 32, 32)).shape == (1, 10)


def test_a_class_instead_of_a_name() -> None:
    class Mine(nn.Module):
        def __init__(self, in_channels: int, out_channels: int, stride: int, position: str) -> None:
            super().__init__()
            self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x)

    net = ScaffoldNet(Mine, "early", num_blocks=1, base_channels=8)
    assert net.get_stage_info()[0]["holds"] == "Mine"
    published = ScaffoldNet(BLOCKS["EdgeResidual@published"], "mid", num_blocks=1, base_channels=8)
    assert {s["holds"] for s in published.get_stage_info()} == {
        "EdgeResidual@published",
        "ResNetBasicBlock@published",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"block": "ResNetBasicBlock", "position": "middle"}, "early, mid, late"),
        ({"block": "ResNetBasicBlock", "num_blocks": 0}, "num_blocks=0"),
        ({"block": "ResNetBasicBlock", "base_channels": 0}, "base_channels=0"),
        ({"block": "ResNetBasicBlock", "out_dim": -1}, "out_dim=-1"),
        ({"block": "ResNetBasicBlock", "filler": "ResNetBlock"}, "Did you mean"),
        ({"block": "timm:resnet18"}, "whole network"),
        ({"block": "ReparamLargeKernelConv@published", "active_width": 1.3}, "ReparamLargeKernelConv"),
    ],
)
def test_bad_arguments_name_the_choices(arguments: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ScaffoldNet(**arguments)


def test_networks_of_libraries() -> None:
    for subject in ("torchvision:resnet18", "timm:mobilenetv3_small_050"):
        net = build_network(NetworkSpec(subject, out_dim=5), seed=0).eval()
        assert net(torch.randn(1, 3, 64, 64)).shape == (1, 5)
    for subject in ("torchvision:resnet19", "timm:resnet1888", "model:nothing"):
        with pytest.raises(UsageError, match=subject.partition(":")[2]):
            build_network(NetworkSpec(subject))


class OfThisFile(nn.Module):
    """A block that no registry knows."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, position: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def test_the_spec_of_a_class_at_hand_is_that_of_the_class_or_refused() -> None:
    """It was that of a ResNetBasicBlock."""

    class Local(OfThisFile):
        pass

    spec = ScaffoldNet(OfThisFile, "early", num_blocks=1, base_channels=4).spec
    assert spec.parsed.label.endswith("test_scaffold:OfThisFile") and spec.parsed.position == "early"
    assert (
        spec.fingerprint()
        != ScaffoldNet("ResNetBasicBlock", "early", num_blocks=1, base_channels=4).spec.fingerprint()
    )
    with pytest.raises(UsageError, match="Local is defined inside something"):
        _ = ScaffoldNet(Local, "early", num_blocks=1, base_channels=4).spec
