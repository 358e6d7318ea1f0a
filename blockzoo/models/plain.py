"""Convolutional networks that keep the size of their maps, each layer of widths a block: plain ones and residual ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Float


class PlainConvNet(nn.Module):
    """Pairs of 3x3 convolutions with ReLU, each pair a block, then pooling and a linear layer as the last. No norms, no strides.

    Args:
        in_channels: of the images.
        widths: channels of the pairs.
        outputs: of the last layer.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        pairs = [
            nn.Sequential(_conv(a, b), nn.ReLU(), _conv(b, b), nn.ReLU())
            for a, b in pairwise([in_channels, *widths])
        ]
        self.blocks = nn.ModuleList([*pairs, _head(widths[-1], outputs)])

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B classes"]:
        for block in self.blocks:
            x = block(x)
        return x


class ResidualPair(nn.Module):
    """x + f(x), where f is a batch norm and two 3x3 convolutions with ReLU; a 1x1 convolution where channels change."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        first, second = _conv(in_channels, out_channels), _conv(out_channels, out_channels)
        self.branch = nn.Sequential(nn.BatchNorm2d(in_channels), first, nn.ReLU(), second, nn.ReLU())
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C_out H_out W_out"]:
        branch: torch.Tensor = self.branch(x)
        skip: torch.Tensor = self.skip(x)
        return branch + skip


class ResidualConvNet(nn.Module):
    """A stem, residual blocks, then pooling and a linear layer; each a block.

    Args:
        in_channels: of the images.
        widths: channels of the stem and of the residual blocks behind it.
        outputs: of the last layer.
        stem: side length of the stem's convolution, which pads by 1: with 1 the map grows by a pixel on each side.
        repeat_first: the stem's width is that of a residual block too.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        outputs: int,
        stem: int = 1,
        repeat_first: bool = False,
    ) -> None:
        super().__init__()
        chain = [widths[0], *widths] if repeat_first else list(widths)
        residual = [ResidualPair(a, b) for a, b in pairwise(chain)]
        first = nn.Sequential(nn.Conv2d(in_channels, widths[0], stem, padding=1), nn.ReLU())
        self.blocks = nn.ModuleList([first, *residual, _head(widths[-1], outputs)])

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B classes"]:
        for block in self.blocks:
            x = block(x)
        return x


def _conv(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def _head(channels: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))
