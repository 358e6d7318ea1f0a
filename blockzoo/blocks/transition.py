"""What stands in front of a block that cannot change its shape."""

from __future__ import annotations

from torch import nn


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
