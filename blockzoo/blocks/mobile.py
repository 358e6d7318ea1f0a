"""Blocks of mobile networks beside the plain inverted bottleneck: separable, conditional, mixed, partly residual."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm.models._efficientnet_blocks as timm_blocks
from timm.layers.squeeze_excite import SEModule
from timm.models.lcnetv2 import RepDepthwiseSeparable
from timm.models.maxxvit import MbConvBlock
from timm.models.rexnet import LinearBottleneck
from timm.models.tiny_vit import MBConv
from torch import nn

from blockzoo.blocks.transition import AtConstantShape
from blockzoo.core.contracts import BLOCKS


@BLOCKS.register
class DepthwiseSeparable(timm_blocks.DepthwiseSeparableConv):
    """3x3 depthwise and 1x1, batch norm and ReLU after each, no shortcut (MobileNetV1).

    Source: Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, 2017,
    arXiv:1704.04861.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride, noskip=True, pw_act=True)


def _excitation(ratio: float) -> type[nn.Module]:
    """Squeeze-and-excitation whose width is this share of the block's input."""
    return partial(timm_blocks.SqueezeExcite, rd_ratio=ratio)  # type: ignore[return-value]


@BLOCKS.register
class MobileNetV3Block(timm_blocks.InvertedResidual):
    """1x1 by 6, 5x5 depthwise, squeeze-and-excitation of a fourth, 1x1, Hardswish (the last stage of MobileNetV3-Large).

    Source: Howard et al., Searching for MobileNetV3, ICCV 2019, arXiv:1905.02244.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        excitation = partial(SEModule, gate_layer="hard_sigmoid", rd_ratio=0.25)
        super().__init__(
            in_channels,
            out_channels,
            dw_kernel_size=5,
            stride=stride,
            exp_ratio=6.0,
            act_layer=nn.Hardswish,
            se_layer=excitation,  # type: ignore[arg-type]  # timm's hint asks for a class; any maker of the layer does
        )


SIX_TIMES: dict[str, Any] = {"exp_ratio": 6.0, "act_layer": nn.SiLU}
"""Options of a block of EfficientNet and of what was made of it."""
EXCITED = SIX_TIMES | {"se_layer": _excitation(0.25 / 6)}


@BLOCKS.register
class MBConv6(timm_blocks.InvertedResidual):
    """1x1 by 6, 3x3 depthwise, squeeze-and-excitation of a fourth of the input, 1x1, SiLU (EfficientNet).

    Source: Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019, arXiv:1905.11946.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride, **EXCITED)


@BLOCKS.register
class CondConvBlock(timm_blocks.CondConvResidual):
    """MBConv6 whose convolutions are mixtures of four, weighed for each image by a routing function (CondConv).

    Source: Yang et al., CondConv: Conditionally Parameterized Convolutions for Efficient Inference, NeurIPS 2019,
    arXiv:1904.04971.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride, num_experts=4, **EXCITED)


@BLOCKS.register
class MixConvBlock(timm_blocks.InvertedResidual):
    """1x1 by 6, depthwise kernels of 3, 5 and 7 on a third of the channels each, squeeze-and-excitation, 1x1, SiLU (MixNet-S).

    Source: Tan and Le, MixConv: Mixed Depthwise Convolutional Kernels, BMVC 2019, arXiv:1907.09595.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(
            in_channels,
            out_channels,
            dw_kernel_size=[3, 5, 7],  # type: ignore[arg-type]  # timm's hint asks for one; its code takes several
            stride=stride,
            se_layer=_excitation(0.5 / 6),
            **SIX_TIMES,
        )


@BLOCKS.register
class MobileAttention(AtConstantShape):
    """Multi-query attention in heads of 64 channels, keys and values of half the resolution, a shortcut (MobileNetV4-Hybrid).

    A head for each 64 channels, at least one. Without layer scale, as the convolutional blocks of MobileNetV4 here.

    Source: Qin et al., MobileNetV4: Universal Models for the Mobile Ecosystem, ECCV 2024, arXiv:2404.10518.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = timm_blocks.MobileAttention(
            out_channels,
            out_channels,
            num_heads=max(out_channels // 64, 1),
            use_multi_query=True,
            kv_stride=2,
            layer_scale_init_value=None,
        )
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class ReXNetBlock(LinearBottleneck):
    """1x1 by 6 with SiLU, 3x3 depthwise, squeeze-and-excitation, ReLU6, 1x1; the input is added to the first channels (ReXNet).

    Source: Han et al., Rethinking Channel Dimensions for Efficient Model Design, CVPR 2021, arXiv:2007.00992.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, exp_ratio=6.0, se_ratio=1 / 12)


@BLOCKS.register
class LCNetV2Block(RepDepthwiseSeparable):
    """5x5 depthwise trained as 5x5, 3x3 and 1x1, squeeze-and-excitation, two 1x1 through half the width (PP-LCNetV2).

    Source: Cui et al., PP-LCNet: A Lightweight CPU Convolutional Neural Network, 2021, arXiv:2109.15099 (whose second version
    this is, as PaddleClas and timm have it).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(
            in_channels, out_channels, stride, dw_kernel_size=5, split_pw=True, use_rep=True, use_se=True
        )


@BLOCKS.register
class TinyViTMBConv(AtConstantShape):
    """1x1 by 4, 3x3 depthwise, 1x1, batch norms, GELU, and one more after the shortcut is added (TinyViT's first stage).

    Source: Wu et al., TinyViT: Fast Pretraining Distillation for Small Vision Transformers, ECCV 2022, arXiv:2207.10666.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = MBConv(out_channels, out_channels, expand_ratio=4.0, act_layer=nn.GELU, drop_path=0.0)
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class CoAtNetMBConv(AtConstantShape):
    """Batch norm first, then 1x1 by 4, 3x3 depthwise, squeeze-and-excitation, 1x1, GELU (CoAtNet).

    Its own shortcut changes the width with the stride alone, so the shared transition stands in front where the shape changes.

    Source: Dai et al., CoAtNet: Marrying Convolution and Attention for All Data Sizes, NeurIPS 2021, arXiv:2106.04803.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, MbConvBlock(out_channels, out_channels))
