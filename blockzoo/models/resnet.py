"""ResNet-18 and ResNet-34 as a chain of blocks, with torchvision's parameter names: weights pass in both directions.

Source: He et al., Deep residual learning, CVPR 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from blockzoo.core.contracts import NETWORKS
from blockzoo.core.spec import NetworkSpec

if TYPE_CHECKING:
    from jaxtyping import Float


class BlockResNet(ResNet):
    """torchvision's ResNet that also shows its layers as `.blocks`: stem, residual blocks, head, one after the other.

    Parameters and state_dict are torchvision's own: the blocks are views of the same modules.

    Args:
        depths: residual blocks per stage.
        num_classes: of the data.
        small_images: a 3x3 stem of stride 1 without pooling, as is usual for 32 x 32 images; torchvision's weights then fit
            in all but the stem.
    """

    def __init__(
        self, depths: list[int], num_classes: int = 1000, *, in_channels: int = 3, small_images: bool = False
    ) -> None:
        super().__init__(BasicBlock, depths, num_classes=num_classes)
        if small_images or in_channels != 3:
            kernel, stride, padding = (3, 1, 1) if small_images else (7, 2, 3)
            self.conv1 = nn.Conv2d(in_channels, 64, kernel, stride, padding, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        if small_images:
            self.maxpool = nn.Identity()  # type: ignore[assignment]

    @property
    def blocks(self) -> list[nn.Module]:
        """Stem, residual blocks, head."""
        stem = nn.Sequential(self.conv1, self.bn1, self.relu, self.maxpool)
        residual = [
            block for stage in (self.layer1, self.layer2, self.layer3, self.layer4) for block in stage
        ]
        return [stem, *residual, nn.Sequential(self.avgpool, nn.Flatten(1), self.fc)]

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B classes"]:
        for block in self.blocks:
            x = block(x)
        return x


@NETWORKS.register
def resnet18(spec: NetworkSpec) -> nn.Module:
    """ResNet-18 as ten blocks, weights interchangeable with torchvision."""
    return BlockResNet([2, 2, 2, 2], spec.num_classes, in_channels=spec.in_channels)


@NETWORKS.register
def resnet34(spec: NetworkSpec) -> nn.Module:
    """ResNet-34 as eighteen blocks, weights interchangeable with torchvision."""
    return BlockResNet([3, 4, 6, 3], spec.num_classes, in_channels=spec.in_channels)
