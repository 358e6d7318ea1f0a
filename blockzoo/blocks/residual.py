"""Residual blocks of ResNet."""

from __future__ import annotations

from timm.models.resnet import BasicBlock, Bottleneck, downsample_avg, downsample_conv
from torch import nn

from blockzoo.core.contracts import BLOCKS


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """The 1x1 projection shortcut, only where the shapes differ (option B of the paper)."""
    if stride == 1 and in_channels == out_channels:
        return None
    return downsample_conv(in_channels, out_channels, kernel_size=1, stride=stride)


@BLOCKS.register
class ResNetBasicBlock(BasicBlock):
    """Two 3x3 convolutions and a shortcut (ResNet-18/34).

    The shortcut is a 1x1 projection where shapes differ, else the identity.

    Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        shortcut = _projection(in_channels, out_channels, stride)
        super().__init__(in_channels, out_channels, stride=stride, downsample=shortcut)


@BLOCKS.register("ResNetBasicBlock@published")
class PublishedResNetBasicBlock(BasicBlock):
    """ResNetBasicBlock as earlier tables had it: an average-pooled projection in every block."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        shortcut = downsample_avg(in_channels, out_channels, kernel_size=1, stride=stride)
        super().__init__(in_channels, out_channels, stride=stride, downsample=shortcut)


@BLOCKS.register
class ResNetBottleneck(Bottleneck):
    """1x1 to a quarter of the width, 3x3, 1x1 back, and a shortcut (ResNet-50).

    The stride is in the 3x3 convolution, as all current implementations have it ("v1.5").

    Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        shortcut = _projection(in_channels, out_channels, stride)
        super().__init__(in_channels, out_channels // 4, stride=stride, downsample=shortcut)


@BLOCKS.register("ResNetBottleneck@published")
class PublishedResNetBottleneck(Bottleneck):
    """ResNetBottleneck as earlier tables had it: an average-pooled projection in every block."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        shortcut = downsample_avg(in_channels, out_channels, kernel_size=1, stride=stride)
        super().__init__(in_channels, out_channels // 4, stride=stride, downsample=shortcut)
