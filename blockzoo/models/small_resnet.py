"""ResNets for images of 32 x 32 pixels, small enough to train on a processor.

Source: He et al., Deep residual learning, CVPR 2016, section 4.2, with projections in the shortcuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from blockzoo.core.contracts import NETWORKS
from blockzoo.core.spec import NetworkSpec

if TYPE_CHECKING:
    from jaxtyping import Float


class SmallResNet(nn.Module):
    """A 3x3 convolution, three stages of residual blocks on maps of 32, 16 and 8 pixels, pooling, a linear layer; each a block.

    Args:
        blocks_per_stage: 3 is ResNet-20, as its paper counts layers.
        width: of the first stage; it doubles with each.
        num_classes: of the data.
        in_channels: of the images.
    """

    def __init__(
        self, blocks_per_stage: int = 3, width: int = 16, num_classes: int = 10, in_channels: int = 3
    ) -> None:
        super().__init__()
        stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        layers: list[nn.Module] = [stem]
        inputs = width
        for stage in range(3):
            outputs = width * 2**stage
            for place in range(blocks_per_stage):
                stride = 2 if stage and not place else 1
                shortcut = None
                if stride > 1:
                    projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                    shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))
                layers.append(BasicBlock(inputs, outputs, stride, shortcut))
                inputs = outputs
        layers.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, num_classes)))
        self.blocks = nn.ModuleList(layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B classes"]:
        for block in self.blocks:
            x = block(x)
        return x


@NETWORKS.register
def resnet20(spec: NetworkSpec) -> nn.Module:
    """ResNet-20 for images of 32 x 32, width 16."""
    return SmallResNet(3, 16, spec.num_classes, spec.in_channels)


@NETWORKS.register
def resnet20_half(spec: NetworkSpec) -> nn.Module:
    """ResNet-20 for images of 32 x 32 at half its width, 8."""
    return SmallResNet(3, 8, spec.num_classes, spec.in_channels)


@NETWORKS.register
def resnet8_half(spec: NetworkSpec) -> nn.Module:
    """The same with one residual block a stage, width 8."""
    return SmallResNet(1, 8, spec.num_classes, spec.in_channels)
