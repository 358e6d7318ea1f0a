"""Blocks whose convolutions of a wide reach weigh features by a product: visual attention, gated orders, recursive gates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm.layers.norm import LayerNorm2d
from torch import nn
from torch.nn import functional as F

from blockzoo.blocks.branches import ScaledResidual
from blockzoo.blocks.transition import AtConstantShape, check_divides
from blockzoo.core.contracts import BLOCKS

if TYPE_CHECKING:
    from jaxtyping import Float


def _depthwise(channels: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
    """A convolution of each channel alone that keeps the size."""
    return nn.Conv2d(
        channels, channels, kernel, padding=kernel // 2 * dilation, dilation=dilation, groups=channels
    )


class _LargeKernelAttention(nn.Module):
    """1x1, GELU, the features weighed by 5x5, 7x7 of dilation 3 and 1x1 of themselves, 1x1, a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.GELU())
        self.reach = nn.Sequential(
            _depthwise(channels, 5), _depthwise(channels, 7, dilation=3), nn.Conv2d(channels, channels, 1)
        )
        self.back = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        y = self.front(x)
        output: torch.Tensor = x + self.back(y * self.reach(y))
        return output


def _feed_forward(channels: int, ratio: int) -> nn.Sequential:
    """1x1 by the ratio, 3x3 depthwise, GELU, 1x1."""
    wide = ratio * channels
    return nn.Sequential(
        nn.Conv2d(channels, wide, 1), _depthwise(wide, 3), nn.GELU(), nn.Conv2d(wide, channels, 1)
    )


@BLOCKS.register
class VANBlock(AtConstantShape):
    """Large-kernel attention (5x5, 7x7 of dilation 3, 1x1), then 1x1 by 4, 3x3 depthwise, 1x1, scales from 0.01 (VAN).

    The ratio is that of the paper's third and fourth stage.

    Source: Guo et al., Visual Attention Network, Computational Visual Media 2023, arXiv:2202.09741.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        wide = out_channels
        super().__init__(
            in_channels,
            out_channels,
            stride,
            ScaledResidual(wide, 1e-2, nn.BatchNorm2d(wide), _LargeKernelAttention(wide)),
            ScaledResidual(wide, 1e-2, nn.BatchNorm2d(wide), _feed_forward(wide, 4)),
        )


class _MultiOrder(nn.Module):
    """5x5 depthwise, then three eighths of the channels 5x5 of dilation 2 and a half 7x7 of dilation 3, and 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.parts = [channels - channels * 3 // 8 - channels // 2, channels * 3 // 8, channels // 2]
        self.first = _depthwise(channels, 5)
        self.middle, self.wide = _depthwise(self.parts[1], 5, 2), _depthwise(self.parts[2], 7, 3)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        y = self.first(x)
        identity, middle, wide = y.split(self.parts, 1)
        output: torch.Tensor = self.mix(torch.cat([identity, self.middle(middle), self.wide(wide)], 1))
        return output


class _GatedAggregation(nn.Module):
    """1x1 less the mean of the map, GELU, then features of several orders, gated, 1x1, a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.front, self.back = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        self.gate, self.value = nn.Conv2d(channels, channels, 1), _MultiOrder(channels)
        self.decompose = nn.Parameter(torch.full((channels, 1, 1), 1e-5))

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        y = self.front(x)
        y = F.gelu(y + self.decompose * (y - F.adaptive_avg_pool2d(y, 1)))
        output: torch.Tensor = x + self.back(F.silu(self.gate(y)) * F.silu(self.value(y)))
        return output


class _ChannelAggregation(nn.Module):
    """1x1 by 4, 3x3 depthwise, GELU, less what one channel of them all says, 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 4 * channels
        self.front = nn.Sequential(nn.Conv2d(channels, wide, 1), _depthwise(wide, 3), nn.GELU())
        self.one = nn.Conv2d(wide, 1, 1)
        self.decompose = nn.Parameter(torch.full((wide, 1, 1), 1e-5))
        self.back = nn.Conv2d(wide, channels, 1)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        y = self.front(x)
        y = y + self.decompose * (y - F.gelu(self.one(y)))
        output: torch.Tensor = self.back(y)
        return output


@BLOCKS.register
class MogaNetBlock(AtConstantShape):
    """Gated aggregation of depthwise convolutions of three orders, then a feed-forward layer by 4 that aggregates channels;
    scales from 1e-5 (MogaNet).

    Source: Li et al., MogaNet: Multi-order Gated Aggregation Network, ICLR 2024, arXiv:2211.03295.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(8, out_channels, "MogaNetBlock", "orders of eighths of its width")
        wide = out_channels
        super().__init__(
            in_channels,
            out_channels,
            stride,
            ScaledResidual(wide, 1e-5, nn.BatchNorm2d(wide), _GatedAggregation(wide)),
            ScaledResidual(wide, 1e-5, nn.BatchNorm2d(wide), _ChannelAggregation(wide)),
        )


class _RecursiveGate(nn.Module):
    """g^n conv: a fourth, a half and all of the channels, each gated by a 7x7 depthwise convolution of the input, in turn."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.parts = [channels // 4, channels // 2, channels]
        self.front = nn.Conv2d(channels, 2 * channels, 1)
        self.reach = _depthwise(sum(self.parts), 7)
        self.widen = nn.ModuleList(
            nn.Conv2d(i, o, 1) for i, o in zip(self.parts, self.parts[1:], strict=False)
        )
        self.back = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        y, others = self.front(x).split([self.parts[0], sum(self.parts)], 1)
        first, *gates = (self.reach(others) / 3).split(self.parts, 1)
        y = y * first
        for widen, gate in zip(self.widen, gates, strict=True):
            y = widen(y) * gate
        output: torch.Tensor = self.back(y)
        return output


@BLOCKS.register
class HorNetBlock(AtConstantShape):
    """A recursive gated convolution of order 3 with 7x7 depthwise, then 1x1 by 4, GELU, 1x1; scales from 1e-6 (HorNet-T 7x7).

    The order is that of the paper's second stage.

    Source: Rao et al., HorNet: Efficient High-Order Spatial Interactions with Recursive Gated Convolutions, NeurIPS 2022,
    arXiv:2207.14284.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "HorNetBlock", "gates of a fourth of its width")
        wide = out_channels
        mlp = nn.Sequential(nn.Conv2d(wide, 4 * wide, 1), nn.GELU(), nn.Conv2d(4 * wide, wide, 1))
        super().__init__(
            in_channels,
            out_channels,
            stride,
            ScaledResidual(wide, 1e-6, LayerNorm2d(wide), _RecursiveGate(wide)),
            ScaledResidual(wide, 1e-6, LayerNorm2d(wide), mlp),
        )
