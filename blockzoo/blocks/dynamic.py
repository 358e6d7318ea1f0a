"""Blocks whose weights, or whose mixing of channels, follow from the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.blocks.branches import Residual
from blockzoo.blocks.residual import projection
from blockzoo.blocks.transition import AtConstantShape, check_divides, conv_norm
from blockzoo.core.contracts import BLOCKS

if TYPE_CHECKING:
    from jaxtyping import Float

KERNELS = 4
"""Of an omni-dimensional dynamic convolution."""


class DynamicConvolution(nn.Module):
    """A 3x3 whose four kernels are weighed for each image: by place in the kernel, input channel, output channel and kernel.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        stride: of the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(KERNELS, out_channels, in_channels, 3, 3))
        for kernel in self.weight:
            nn.init.kaiming_normal_(kernel.data, mode="fan_out", nonlinearity="relu")
        inner = max(in_channels // 16, 16)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
        )
        self.place, self.kernel = nn.Conv2d(inner, 9, 1), nn.Conv2d(inner, KERNELS, 1)
        self.read, self.made = nn.Conv2d(inner, in_channels, 1), nn.Conv2d(inner, out_channels, 1)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B D h w"]:
        images, channels, height, width = x.shape
        context = self.squeeze(x)
        place = self.place(context).sigmoid().view(images, 1, 1, 1, 3, 3)
        kernel = self.kernel(context).softmax(1).view(images, KERNELS, 1, 1, 1, 1)
        weights = (kernel * place * self.weight).sum(1).flatten(0, 1)
        weighed = (x * self.read(context).sigmoid()).reshape(1, images * channels, height, width)
        output = F.conv2d(weighed, weights, stride=self.stride, padding=1, groups=images)
        shaped = output.view(images, -1, *output.shape[-2:])
        weighed_too: torch.Tensor = shaped * self.made(context).sigmoid()
        return weighed_too


@BLOCKS.register
class ODConvBasicBlock(nn.Module):
    """ResNetBasicBlock whose convolutions are mixtures of four, weighed for each image along all four dimensions of a kernel
    (ODConv, ODConv4x-ResNet).

    Source: Li et al., Omni-Dimensional Dynamic Convolution, ICLR 2022, arXiv:2209.07947.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__()
        self.shortcut = projection(in_channels, out_channels, stride) or nn.Identity()
        self.layers = nn.Sequential(
            DynamicConvolution(in_channels, out_channels, stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            DynamicConvolution(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B D h w"]:
        return F.relu(self.shortcut(x) + self.layers(x))


class ShiftMax(nn.Module):
    """The larger of two mixtures of a channel and the one half of all channels away, weighed for each image (DY-Shift-Max).

    y_i = max_k (a_ik(x) x_i + b_ik(x) x_(i + C/2)), where a_i1 starts at 1 and the others at 0.

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 4, 4)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            nn.ReLU(),
            nn.Conv2d(inner, 4 * channels, 1),
            nn.Hardsigmoid(),
        )
        self.register_buffer("start", torch.tensor([1.0, 0.0, 0.0, 0.0]).view(4, 1, 1, 1), persistent=False)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        images, channels = x.shape[:2]
        weights = self.squeeze(x).view(images, 4, channels, 1, 1) * 2 - 1 + self.start
        shifted = x.roll(channels // 2, 1)
        first, second = (weights[:, k] * x + weights[:, k + 2] * shifted for k in (0, 1))
        return torch.maximum(first, second)


@BLOCKS.register
class DYMicroBlock(AtConstantShape):
    """3x1 and 1x3 depthwise that double the width, 1x1 in groups down to the width, 1x1 in groups, the larger of two dynamic
    mixtures behind each, a shortcut (MicroNet, micro-block C).

    Groups of four channels. Nothing tells which variant earlier plots of a block of this name showed.

    Source: Li et al., MicroNet: Improving Image Recognition with Extremely Low FLOPs, ICCV 2021, arXiv:2108.05894.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "DYMicroBlock", "groups of 4 channels")
        wide, groups = 2 * out_channels, out_channels // 4
        block = Residual(
            nn.Conv2d(out_channels, wide, (3, 1), padding=(1, 0), groups=out_channels, bias=False),
            nn.BatchNorm2d(wide),
            nn.Conv2d(wide, wide, (1, 3), padding=(0, 1), groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            ShiftMax(wide),
            conv_norm(wide, out_channels, groups=groups),
            ShiftMax(out_channels),
            nn.ChannelShuffle(groups),
            conv_norm(out_channels, out_channels, groups=groups),
            ShiftMax(out_channels),
        )
        super().__init__(in_channels, out_channels, stride, block)
