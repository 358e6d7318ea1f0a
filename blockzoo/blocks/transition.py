"""What stands in front of a block that cannot change its shape."""

from __future__ import annotations

from torch import nn

from blockzoo.core.errors import UsageError


def conv_norm(
    in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution without bias and a batch norm, padded so that stride 1 keeps the size."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


def transition(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
    """1x1 to the new width, then 3x3 depthwise with the stride, a ReLU after each; nothing where the shape stays.

    Source: the transitions of Ding et al., Scaling Up Your Kernels to 31x31, CVPR 2022, arXiv:2203.06717.
    """
    if stride == 1 and in_channels == out_channels:
        return []
    widened = conv_norm(in_channels, out_channels)
    strided = conv_norm(out_channels, out_channels, 3, stride, groups=out_channels)
    return [widened, nn.ReLU(), strided, nn.ReLU()]


class AtConstantShape(nn.Sequential):
    """A block that keeps its shape; where that changes, the transition comes first.

    Args:
        in_channels: of the input.
        out_channels: of the block, which keeps them.
        stride: of the transition.
        block: the modules, one after the other, from `out_channels` to `out_channels`.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *block: nn.Module) -> None:
        super().__init__(*transition(in_channels, out_channels, stride), *block)


def check_divides(number: int, channels: int, block: str, why: str) -> None:
    """A width that a block can have is a multiple of a number.

    Args:
        number: that must divide the width.
        channels: the width.
        block: its name.
        why: what asks for it, as in "groups of 8 channels".

    Raises:
        UsageError: it is none; names the nearest widths.
    """
    if channels % number:
        near = max(channels // number, 1) * number
        raise UsageError(
            f"{block} has {why}, so its width is a multiple of {number}, not {channels}: choose {near} or {near + number}"
        )


def check_least(number: int, channels: int, block: str, why: str) -> None:
    """A width that a block can have is a number or more.

    Args:
        number: the least.
        channels: the width.
        block: its name.
        why: what asks for it, as in "four branches".

    Raises:
        UsageError: it is less.
    """
    if channels < number:
        raise UsageError(
            f"{block} has {why}, so its width is {number} or more, not {channels}: choose {number}"
        )
