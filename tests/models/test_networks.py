"""The networks of `models/`: their blocks are all of them, composed they are the network, and weights pass to torchvision."""

from __future__ import annotations

import pytest
import torch
import torchvision

from blockzoo.core.contracts import NETWORKS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.feedforward import ConvNet, Ensemble, FeedForward
from blockzoo.models.partition import network_blocks
from blockzoo.models.resnet import BlockResNet
from blockzoo.models.resolve import build_network

LARGE = {name for name in NETWORKS if name.startswith("block_")} - {"block_resnet18", "block_mobilenet"}


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - LARGE))
def test_blocks_hold_every_parameter_once(name: str) -> None:
    network = build_network(NetworkSpec(f"model:{name}", out_dim=7), seed=0)
    inside = [id(p) for block in network_blocks(network) for p in block.parameters()]
    assert sorted(inside) == sorted(id(p) for p in network.parameters())
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(
    "network",
    [FeedForward(12, [5, 6], 3), FeedForward(12, [], 3), ConvNet(3, [4, 8, 8, 8], 3, image_size=12)],
)
def test_blocks_are_a_chain(network: torch.nn.Module) -> None:
    x = torch.randn(2, 3, 2, 2) if isinstance(network, FeedForward) else torch.randn(2, 3, 12, 12)
    y = x
    for block in network_blocks(network.eval()):
        y = block(y)
    assert torch.equal(network(x), y)


@pytest.mark.parametrize(("name", "depths"), [("resnet18", [2, 2, 2, 2]), ("resnet34", [3, 4, 6, 3])])
def test_resnet_weights_pass_to_torchvision_and_back(name: str, depths: list[int]) -> None:
    torch.manual_seed(0)
    theirs, ours = torchvision.models.get_model(name, num_classes=10).eval(), BlockResNet(depths, 10).eval()
    x = torch.randn(2, 3, 64, 64)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours(x), theirs(x))
    fresh = BlockResNet(depths, 10).eval()
    theirs.load_state_dict(fresh.state_dict())
    assert torch.equal(fresh(x), theirs(x))
    assert len(ours.blocks) == sum(depths) + 2
    assert BlockResNet(depths, 10, small_images=True)(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_ensembles() -> None:
    members = [FeedForward(4, [3], 2) for _ in range(3)]
    x = torch.randn(50, 4)
    outputs = torch.stack([member(x) for member in members])
    assert torch.allclose(Ensemble(members)(x), outputs.mean(0))
    voting = Ensemble(members, "vote", seed=1).train()
    torch.manual_seed(7)
    voted = voting(x)
    owners = (voted[None] == outputs).all(2)
    assert owners.any(0).all() and (owners.any(1)).all()
    again, other = (Ensemble(members, "vote", seed=seed).train() for seed in (1, 2))
    torch.manual_seed(7)
    assert torch.equal(again(x), voted) and not torch.equal(again(x), voted)
    torch.manual_seed(7)
    assert not torch.equal(other(x), voted)
    assert torch.allclose(voting.eval()(x), outputs.mean(0))
    with pytest.raises(UsageError, match="average or vote"):
        Ensemble(members, "max")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="at least one"):
        Ensemble([])
    with pytest.raises(UsageError, match="widths"):
        FeedForward(4, [0], 2)
