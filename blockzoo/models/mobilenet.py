"""MobileNetV1 as a chain of blocks. Source: Howard et al., MobileNets, 2017."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from blockzoo.core.contracts import NETWORKS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec

if TYPE_CHECKING:
    from jaxtyping import Float


# width at multiplier 1, and stride, of each depthwise separable layer
LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
SMALLEST_WIDTH = 8


class MobileNetV1(nn.Module):
    """A 3x3 convolution, 13 depthwise separable layers, pooling, a linear layer; each a block.

    Args:
        num_classes: of the data.
        multiplier: of all widths; they are rounded down to multiples of 8, at least 8.
        in_channels: of the images.
        small_images: the first convolution has stride 1, as suits 32 x 32 images.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        multiplier: float = 1.0,
        in_channels: int = 3,
        small_images: bool = False,
    ) -> None:
        super().__init__()
        if not multiplier > 0:
            raise UsageError(f"width multiplier {multiplier}: give a positive number")
        width = _width(32, multiplier)
        layers: list[nn.Module] = [_convolution(in_channels, width, 3, 1 if small_images else 2)]
        for full, stride in LAYERS:
            after = _width(full, multiplier)
            depthwise = _convolution(width, width, 3, stride, groups=width)
            layers.append(nn.Sequential(depthwise, _convolution(width, after, 1, 1)))
            width = after
        layers.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)))
        self.blocks = nn.ModuleList(layers)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B classes"]:
        for block in self.blocks:
            x = block(x)
        return x


def _width(full: int, multiplier: float) -> int:
    return max(SMALLEST_WIDTH, int(full * multiplier) // 8 * 8)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


@NETWORKS.register
def mobilenet_v1(spec: NetworkSpec) -> nn.Module:
    """MobileNetV1 at width 1."""
    return MobileNetV1(spec.num_classes, in_channels=spec.in_channels)
