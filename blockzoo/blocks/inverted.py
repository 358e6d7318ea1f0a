"""Inverted bottlenecks: expand, filter, project."""

from __future__ import annotations

from functools import partial

import timm.models._efficientnet_blocks as timm_blocks
from torch import nn

from blockzoo.core.contracts import BLOCKS


def _published_expansion(position: str) -> float:
    return 6.0 if position == "late" else 4.0


@BLOCKS.register
class InvertedResidual(timm_blocks.InvertedResidual):
    """1x1 expansion by 6, 3x3 depthwise, linear 1x1 projection, ReLU6 (MobileNetV2).

    Source: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, arXiv:1801.04381.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride, exp_ratio=6.0, act_layer=nn.ReLU6)


@BLOCKS.register("InvertedResidual@published")
class PublishedInvertedResidual(timm_blocks.InvertedResidual):
    """InvertedResidual as earlier tables had it: expansion 4 (late: 6), Hardswish (early: ReLU)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        activation = nn.ReLU if position == "early" else nn.Hardswish
        expansion = _published_expansion(position)
        super().__init__(in_channels, out_channels, stride=stride, exp_ratio=expansion, act_layer=activation)


@BLOCKS.register(aliases=("UniversalInvertedBlock",))
class UniversalInvertedBottleneck(timm_blocks.UniversalInvertedResidual):
    """Inverted bottleneck with two depthwise 3x3, before and after a 1x1 expansion by 4 (MobileNetV4, ExtraDW).

    Without layer scale, as the convolutional MobileNetV4 models are trained: a scale of 1e-5 would kill the
    signal wherever the block has no shortcut.

    Source: Qin et al., MobileNetV4: Universal Models for the Mobile Ecosystem, ECCV 2024, arXiv:2404.10518.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(
            in_channels,
            out_channels,
            dw_kernel_size_start=3,
            dw_kernel_size_mid=3,
            stride=stride,
            exp_ratio=4.0,
            layer_scale_init_value=None,
        )


@BLOCKS.register("UniversalInvertedBottleneck@published")
class PublishedUniversalInvertedBottleneck(timm_blocks.UniversalInvertedResidual):
    """UniversalInvertedBottleneck as earlier tables had it: one depthwise 3x3, expansion 4 (late: 6), layer scale 1e-5."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride, exp_ratio=_published_expansion(position))


@BLOCKS.register
class EdgeResidual(timm_blocks.EdgeResidual):
    """3x3 expansion by 4 and linear 1x1 projection, SiLU (Fused-MBConv of EfficientNetV2).

    Source: Tan and Le, EfficientNetV2: Smaller Models and Faster Training, ICML 2021, arXiv:2104.00298.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride, exp_ratio=4.0, act_layer=nn.SiLU)


@BLOCKS.register("EdgeResidual@published")
class PublishedEdgeResidual(timm_blocks.EdgeResidual):
    """EdgeResidual as earlier tables had it: expansion 4 (late: 6), squeeze-and-excitation only late."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        excitation = partial(timm_blocks.SqueezeExcite, rd_ratio=0.25) if position == "late" else None
        expansion = _published_expansion(position)
        super().__init__(
            in_channels,
            out_channels,
            stride=stride,
            exp_ratio=expansion,
            se_layer=excitation,  # type: ignore[arg-type]  # timm's hint asks for a class; any maker of the layer does
        )
