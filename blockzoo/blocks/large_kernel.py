"""Depthwise convolutions of a large reach: dilated branches that become one kernel, and kernels on wavelets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm.layers.mlp import GlobalResponseNormMlp
from timm.layers.squeeze_excite import SEModule
from timm.models import convnext
from torch import nn
from torch.nn import functional as F

from blockzoo.blocks.branches import ScaledResidual, added, as_one_kernel, with_zeros
from blockzoo.blocks.transition import AtConstantShape
from blockzoo.core.contracts import BLOCKS

if TYPE_CHECKING:
    from jaxtyping import Float


class DilatedBranches(nn.Module):
    """A depthwise 13x13 and five small ones of dilations 1 to 5 on the same input, batch norms behind each, added.

    Args:
        channels: of input and output.
    """

    SIZE = 13
    BRANCHES = ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5))
    """Kernel and dilation of each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.large = _Branch(channels, self.SIZE, 1)
        self.small = nn.ModuleList(_Branch(channels, *kind) for kind in self.BRANCHES)
        self.merged: nn.Conv2d | None = None

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        return added([self.merged] if self.merged is not None else [self.large, *self.small], x)

    @torch.no_grad()
    def reparameterize(self) -> None:
        """One 13x13 in place of all."""
        if self.merged is None:
            self.merged = as_one_kernel(
                *zip(*(branch.fused() for branch in [self.large, *self.small]), strict=True)
            )
            del self.large, self.small


class _Branch(nn.Module):
    """A depthwise convolution that keeps the size, and its batch norm."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        padding = kernel // 2 * dilation
        self.convolution = nn.Conv2d(
            channels, channels, kernel, padding=padding, dilation=dilation, groups=channels, bias=False
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        output: torch.Tensor = self.norm(self.convolution(x))
        return output

    def fused(self) -> tuple[Float[torch.Tensor, "C 1 K K"], Float[torch.Tensor, " C"]]:
        """Kernel, with the zeros of its dilation, and bias, in evaluation."""
        assert self.norm.running_mean is not None and self.norm.running_var is not None
        scale = self.norm.weight * (self.norm.running_var + self.norm.eps).rsqrt()
        kernel = with_zeros(self.convolution.weight, self.convolution.dilation[0])
        return kernel * scale[:, None, None, None], self.norm.bias - self.norm.running_mean * scale


@BLOCKS.register
class UniRepLKNetBlock(AtConstantShape):
    """13x13 depthwise with five dilated branches (one kernel when deployed), squeeze-and-excitation of a fourth, 1x1 by 4, GELU,
    global response normalisation, 1x1, batch norm, scale from 1e-6 (UniRepLKNet).

    Source: Ding et al., UniRepLKNet: A Universal Perception Large-Kernel ConvNet, CVPR 2024, arXiv:2311.15599.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        wide = out_channels
        block = ScaledResidual(
            wide,
            1e-6,
            DilatedBranches(wide),
            nn.BatchNorm2d(wide),
            SEModule(wide, rd_ratio=0.25),
            GlobalResponseNormMlp(wide, 4 * wide, use_conv=True),
            nn.BatchNorm2d(wide),
        )
        super().__init__(in_channels, out_channels, stride, block)


def _haar() -> Float[torch.Tensor, "4 1 2 2"]:
    """The four orthonormal filters of a level: mean, and what differs across, down and diagonally."""
    low, high = torch.tensor([1.0, 1.0]) / 2**0.5, torch.tensor([1.0, -1.0]) / 2**0.5
    return torch.stack([torch.outer(a, b) for a in (low, high) for b in (low, high)])[:, None]


class WaveletConvolution(nn.Module):
    """5x5 depthwise on the map and on two levels of its Haar wavelets, each level added where it came from.

    Args:
        channels: of input and output.
    """

    LEVELS = 2
    filters: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("filters", _haar().repeat(channels, 1, 1, 1), persistent=False)
        self.base = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.levels = nn.ModuleList(
            nn.Conv2d(4 * channels, 4 * channels, 5, padding=2, groups=4 * channels, bias=False)
            for _ in range(self.LEVELS)
        )
        self.base_scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.scales = nn.ParameterList(torch.full((4 * channels, 1, 1), 0.1) for _ in range(self.LEVELS))

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        output: torch.Tensor = self.base_scale * self.base(x) + self._level(x, 0)
        return output

    def _level(self, x: torch.Tensor, level: int) -> torch.Tensor:
        """What the wavelets of a map, and those of its means, say of it."""
        height, width = x.shape[-2:]
        padded = F.pad(x, (0, width % 2, 0, height % 2))
        waves = F.conv2d(padded, self.filters, stride=2, groups=self.channels)
        convolved = self.scales[level] * self.levels[level](waves)
        if level + 1 < self.LEVELS:
            means = waves[:, ::4]
            deeper = F.pad(self._level(means, level + 1)[:, :, None], (0, 0, 0, 0, 0, 3))
            convolved = convolved + deeper.flatten(1, 2)
        back = F.conv_transpose2d(convolved, self.filters, stride=2, groups=self.channels)
        return back[..., :height, :width]


@BLOCKS.register
class WTConvNeXtBlock(AtConstantShape):
    """ConvNeXtBlock whose depthwise convolution is 5x5 on the map and on two levels of its Haar wavelets (WTConvNeXt).

    Two levels, as in the paper's last stage, reach 20 pixels. The layer scale starts at 1e-6.

    Source: Finder et al., Wavelet Convolutions for Large Receptive Fields, ECCV 2024, arXiv:2407.05848.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = convnext.ConvNeXtBlock(out_channels)
        block.conv_dw = WaveletConvolution(out_channels)
        super().__init__(in_channels, out_channels, stride, block)
