"""Cells of several branches that end in a concatenation: Inception, Xception, and those that a search has found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm.layers.conv_bn_act import ConvNormAct
from timm.models.nasnet import NormalCell
from timm.models.pnasnet import Cell
from timm.models.xception import Block as Xception
from torch import nn

from blockzoo.blocks.transition import AtConstantShape, check_divides, check_least
from blockzoo.core.contracts import BLOCKS

if TYPE_CHECKING:
    from jaxtyping import Float


class _Branches(nn.Module):
    """What several branches make of one input, side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B D H W"]:
        return torch.cat([branch(x) for branch in self.branches], 1)


def _row(*widths: int, kernels: tuple[int, ...], pool: bool = False) -> nn.Sequential:
    """Convolutions in a row, each with batch norm and ReLU, behind a 3x3 average pool or not."""
    front: list[nn.Module] = [nn.AvgPool2d(3, 1, 1, count_include_pad=False)] if pool else []
    pairs = zip(widths, widths[1:], kernels, strict=False)
    return nn.Sequential(*front, *(ConvNormAct(i, o, kernel, padding=kernel // 2) for i, o, kernel in pairs))


@BLOCKS.register
class InceptionV3Block(AtConstantShape):
    """Branches 1x1; 1x1 and 5x5; 1x1 and two 3x3; pool and 1x1 (Inception-v3, module of the 35x35 maps).

    The paper's 64, 64, 96 and 64 of 288 channels are two, two, three and two ninths of the width, to the nearest channel.

    Source: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, arXiv:1512.00567.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_least(5, out_channels, "InceptionV3Block", "four branches of two and three ninths")
        wide = out_channels
        part, reduced = max(round(wide * 2 / 9), 1), max(round(wide / 6), 1)
        rest = wide - 3 * part
        block = _Branches(
            _row(wide, part, kernels=(1,)),
            _row(wide, reduced, part, kernels=(1, 5)),
            _row(wide, part, rest, rest, kernels=(1, 3, 3)),
            _row(wide, part, kernels=(1,), pool=True),
        )
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class InceptionV4Block(AtConstantShape):
    """Branches 1x1; 1x1 and 3x3; 1x1 and two 3x3; pool and 1x1, a fourth of the width each (Inception-v4, module A).

    Source: Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning, AAAI 2017,
    arXiv:1602.07261.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "InceptionV4Block", "four branches of one width")
        wide, fourth, sixth = out_channels, out_channels // 4, max(round(out_channels / 6), 1)
        block = _Branches(
            _row(wide, fourth, kernels=(1,)),
            _row(wide, sixth, fourth, kernels=(1, 3)),
            _row(wide, sixth, fourth, fourth, kernels=(1, 3, 3)),
            _row(wide, fourth, kernels=(1,), pool=True),
        )
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class XceptionBlock(Xception):
    """Three times ReLU, 3x3 depthwise and 1x1, batch norm, and a shortcut (Xception, middle flow).

    The stride is a 3x3 max pool at the end, as in the paper's entry flow.

    Source: Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017, arXiv:1610.02357.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, reps=3, strides=stride)


class _Cell(nn.Module):
    """A cell of two inputs, both of them the block's; a 1x1 brings its `count` parts to the width where that is no multiple."""

    def __init__(self, make: type[nn.Module], count: int, channels: int) -> None:
        super().__init__()
        filters = -(-channels // count)
        self.cell = make(channels, filters, channels, filters)
        fits = filters * count == channels
        self.project = nn.Identity() if fits else nn.Conv2d(filters * count, channels, 1, bias=False)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        output: torch.Tensor = self.project(self.cell(x, x))
        return output


@BLOCKS.register
class NASNetCell(AtConstantShape):
    """Five pairs of separable convolutions, pools and identities, concatenated with the input (NASNet-A, normal cell).

    It reads the block before and the one before that; here both are its input. Its parts are a sixth of the width, rounded up.

    Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, arXiv:1707.07012.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, _Cell(NormalCell, 6, out_channels))


@BLOCKS.register
class PNASNetCell(AtConstantShape):
    """Five pairs of separable convolutions of 3, 5 and 7, max pools and an identity, concatenated (PNASNet-5).

    It reads the block before and the one before that; here both are its input. Its parts are a fifth of the width, rounded up.

    Source: Liu et al., Progressive Neural Architecture Search, ECCV 2018, arXiv:1712.00559.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, _Cell(Cell, 5, out_channels))
