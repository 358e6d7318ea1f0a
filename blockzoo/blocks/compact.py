"""Blocks that are small by their design: few channels inside, halves that pass, nothing but 1x1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from blockzoo.blocks.transition import check_divides, conv_norm
from blockzoo.core.contracts import BLOCKS

if TYPE_CHECKING:
    from jaxtyping import Float


@BLOCKS.register
class ShuffleNetV2Block(nn.Module):
    """Half of the channels pass, half go through 1x1, 3x3 depthwise and 1x1; then channels are shuffled (ShuffleNet V2).

    Where the shape changes both halves read the whole input, one through 3x3 depthwise and 1x1, as in the paper.

    Source: Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, ECCV 2018, arXiv:1807.11164.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__()
        check_divides(2, out_channels, "ShuffleNetV2Block", "two halves")
        half = out_channels // 2
        keeps = stride == 1 and in_channels == out_channels
        read = half if keeps else in_channels
        self.passed: nn.Module | None = None
        if not keeps:
            self.passed = nn.Sequential(
                conv_norm(read, read, 3, stride, groups=read), conv_norm(read, half), nn.ReLU()
            )
        self.mixed = nn.Sequential(
            conv_norm(read, half),
            nn.ReLU(),
            conv_norm(half, half, 3, stride, groups=half),
            conv_norm(half, half),
            nn.ReLU(),
        )

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B D h w"]:
        if self.passed is None:
            first, second = x.chunk(2, 1)
            halves = (first, self.mixed(second))
        else:
            halves = (self.passed(x), self.mixed(x))
        return torch.stack(halves, 2).flatten(1, 2)


@BLOCKS.register
class FireModule(nn.Sequential):
    """1x1 to an eighth of the width, then 1x1 and 3x3 to a half each, side by side, ReLU, no norms (SqueezeNet).

    A stride is a 3x3 max pool in front.

    Source: Iandola et al., SqueezeNet: AlexNet-level Accuracy with 50x Fewer Parameters and <0.5MB Model Size, 2016,
    arXiv:1602.07360.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(2, out_channels, "FireModule", "two halves")
        squeezed, half = max(out_channels // 8, 1), out_channels // 2
        front: list[nn.Module] = [] if stride == 1 else [nn.MaxPool2d(3, stride, 1)]
        super().__init__(*front, nn.Conv2d(in_channels, squeezed, 1), nn.ReLU(), _Expand(squeezed, half))


class _Expand(nn.Module):
    """1x1 and 3x3 of one input, side by side, and ReLU."""

    def __init__(self, in_channels: int, half: int) -> None:
        super().__init__()
        self.point, self.square = nn.Conv2d(in_channels, half, 1), nn.Conv2d(in_channels, half, 3, padding=1)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B D H W"]:
        return torch.cat([self.point(x), self.square(x)], 1).relu()


@BLOCKS.register
class SandglassBlock(nn.Module):
    """3x3 depthwise, 1x1 to a sixth, 1x1 back, 3x3 depthwise: the shortcut joins wide ends (MobileNeXt).

    ReLU6 behind the first and third convolution, none behind the others. Shortcut where the shape stays.

    Source: Zhou et al., Rethinking Bottleneck Structure for Efficient Mobile Network Design, ECCV 2020, arXiv:2007.02269.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__()
        inner = max(round(in_channels / 6), 1)
        self.keeps = stride == 1 and in_channels == out_channels
        self.layers = nn.Sequential(
            conv_norm(in_channels, in_channels, 3, groups=in_channels),
            nn.ReLU6(),
            conv_norm(in_channels, inner),
            conv_norm(inner, out_channels),
            nn.ReLU6(),
            conv_norm(out_channels, out_channels, 3, stride, groups=out_channels),
        )

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B D h w"]:
        features: torch.Tensor = self.layers(x)
        return x + features if self.keeps else features


@BLOCKS.register
class VanillaNetBlock(nn.Sequential):
    """1x1 and batch norm, a max pool of the stride, then a series of shifted ReLUs: ReLU, 7x7 depthwise, batch norm (VanillaNet).

    As it is deployed: the paper trains two 1x1 with a slope between them that goes to 1 over the epochs, and then fuses them.

    Source: Chen et al., VanillaNet: the Power of Minimalism in Deep Learning, NeurIPS 2023, arXiv:2305.12972.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        pool: list[nn.Module] = [] if stride == 1 else [nn.MaxPool2d(stride, stride, ceil_mode=True)]
        series = conv_norm(out_channels, out_channels, 7, groups=out_channels)
        super().__init__(conv_norm(in_channels, out_channels), *pool, nn.ReLU(), series)
