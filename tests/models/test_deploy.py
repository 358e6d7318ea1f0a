from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from blockzoo.models.deploy import fold_batch_norm, relative_difference
from blockzoo.models.merging import merge_branches
from tests.sampled import sampled


def settled(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return module.eval()


@pytest.mark.parametrize("name", sampled(["resnet18", "mobilenet_v3_small", "densenet121"], 2))
def test_folding_keeps_the_function(name: str) -> None:
    model = settled(torchvision.models.get_model(name))
    x = torch.randn(1, 3, 64, 64)
    assert relative_difference(model, fold_batch_norm(model, x), x) < 1e-4


def test_every_batch_norm_of_a_resnet_folds() -> None:
    model = settled(torchvision.models.resnet18())
    folded = fold_batch_norm(model, torch.randn(1, 3, 64, 64))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules()), "the original must stay as it is"


def test_a_shared_convolution_is_not_folded() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.one, self.two = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return self.one(y) + self.two(y)

    model, x = settled(Shared()), torch.randn(1, 4, 5, 5)
    assert relative_difference(model, fold_batch_norm(model, x), x) < 1e-6


def test_the_root_itself_is_merged() -> None:
    from timm.models.fastvit import MobileOneBlock

    assert merge_branches(MobileOneBlock(8, 8, 3)).reparam_conv is not None
