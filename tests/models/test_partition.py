from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from blockzoo import ScaffoldNet
from blockzoo.core.errors import UsageError
from blockzoo.models.partition import network_blocks


@pytest.mark.parametrize(
    "name", ["resnet18", "vgg11_bn", "mobilenet_v2", "densenet121", "squeezenet1_0", "shufflenet_v2_x0_5"]
)
def test_blocks_compose_and_are_complete(name: str) -> None:
    network = torchvision.models.get_model(name, num_classes=7).eval()
    blocks = network_blocks(network)
    x = y = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for block in blocks:
            y = block(y)
        assert torch.equal(y, network(x))
    covered = [id(p) for block in blocks for p in block.parameters()]
    assert sorted(covered) == sorted(id(p) for p in network.parameters())
    assert all(any(True for _ in block.parameters()) for block in blocks)


def test_a_resnet_is_cut_between_its_residual_blocks() -> None:
    blocks = network_blocks(torchvision.models.resnet18())
    assert len(blocks) == 1 + 8 + 1
    assert sum(p.numel() for p in blocks[1].parameters()) == 2 * 9 * 64 * 64 + 4 * 64


def test_own_networks_have_them() -> None:
    network = ScaffoldNet("ResNetBasicBlock", "mid", num_blocks=1, base_channels=4)
    assert list(map(id, network_blocks(network))) == list(map(id, network.blocks))


def test_says_why_not() -> None:
    class Choosy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UsageError, match="Choosy cannot be cut into blocks"):
        network_blocks(Choosy())
