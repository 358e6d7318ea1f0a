"""Convolutions with attention, or with a state space, over the whole map or over its channels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from timm.layers.lambda_layer import LambdaLayer
from timm.models import (
    byobnet,
    edgenext,
    efficientformer,
    efficientformer_v2,
    iformer,
    mobilevit,
    swiftformer,
)
from timm.models.cpubone import CPUBoneBlock as CPUBone
from timm.models.efficientvim import EfficientViMBlock as EfficientViM
from timm.models.efficientvit_mit import EfficientVitBlock as EfficientViTMIT
from timm.models.efficientvit_msra import CascadedGroupAttention
from timm.models.efficientvit_msra import EfficientVitBlock as EfficientViTMSRA
from timm.models.lowformer import LowFormerBlock as LowFormer
from timm.models.nextvit import NextConvBlock
from timm.models.shvit import BasicBlock as SHViT
from torch import nn

from blockzoo.blocks.branches import First, SizeKept
from blockzoo.blocks.transition import AtConstantShape, check_divides
from blockzoo.core.contracts import BLOCKS

if TYPE_CHECKING:
    from jaxtyping import Float


def _head_size(channels: int, most: int) -> int:
    """The largest width of a head that divides the channels, up to the paper's."""
    return next(size for size in range(min(most, channels), 0, -1) if channels % size == 0)


@BLOCKS.register
class MobileViTBlock(AtConstantShape):
    """3x3, a transformer of two layers over every second pixel, 1x1, and a 3x3 that fuses it with the input (MobileViT-S).

    Tokens are 1.5 times as wide as the block; a map whose sides are odd is resized and back, as in timm.

    Source: Mehta and Rastegari, MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer, ICLR 2022,
    arXiv:2110.02178.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(8, out_channels, "MobileViTBlock", "four heads on tokens of 1.5 times its width")
        block = mobilevit.MobileVitBlock(
            out_channels,
            transformer_dim=out_channels * 3 // 2,
            patch_size=2,
            layers=byobnet.LayerFn(act=nn.SiLU),
        )
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class MobileViTV2Block(AtConstantShape):
    """3x3 depthwise, two layers of linear self-attention over every second pixel at half the width, 1x1 (MobileViTv2).

    A map whose sides are odd is resized, as in timm, and back.

    Source: Mehta and Rastegari, Separable Self-attention for Mobile Vision Transformers, TMLR 2023, arXiv:2206.02680.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = mobilevit.MobileVitV2Block(
            out_channels, bottle_ratio=0.5, patch_size=2, layers=byobnet.LayerFn(act=nn.SiLU)
        )
        super().__init__(in_channels, out_channels, stride, SizeKept(block))


@BLOCKS.register
class EdgeNeXtConvBlock(AtConstantShape):
    """3x3 depthwise, LayerNorm, 1x1 by 4, GELU, 1x1, layer scale from 1e-6 (the convolutional encoder of EdgeNeXt).

    Source: Maaz et al., EdgeNeXt: Efficiently Amalgamated CNN-Transformer Architecture for Mobile Vision Applications, ECCV
    Workshops 2022, arXiv:2206.10589.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, edgenext.ConvBlock(out_channels, kernel_size=3))


@BLOCKS.register
class EdgeNeXtTransposeBlock(AtConstantShape):
    """3x3 depthwise on half of the channels, attention between channels in four heads, linear by 4 (EdgeNeXt's SDTA, XX-Small).

    Its layer scales start at 1e-6, as in the paper.

    Source: Maaz et al., EdgeNeXt: Efficiently Amalgamated CNN-Transformer Architecture for Mobile Vision Applications, ECCV
    Workshops 2022, arXiv:2206.10589.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "EdgeNeXtTransposeBlock", "four heads")
        block = edgenext.SplitTransposeBlock(out_channels, num_scales=2, num_heads=4)
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class EfficientFormerBlock(AtConstantShape):
    """A 3x3 average pool less its input, then 1x1 by 4, GELU, 1x1 with batch norms, layer scale from 1e-5 (EfficientFormer).

    Source: Li et al., EfficientFormer: Vision Transformers at MobileNet Speed, NeurIPS 2022, arXiv:2206.01191.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, efficientformer.MetaBlock2d(out_channels))


@BLOCKS.register
class EfficientFormerV2Block(AtConstantShape):
    """1x1 by 4, 3x3 depthwise, 1x1, batch norms, GELU, layer scale from 1e-5 (EfficientFormerV2's feed-forward layer).

    Without attention, which is laid out for one size of map: so the first two stages of the paper are built.

    Source: Li et al., Rethinking Vision Transformers for MobileNet Size and Speed, ICCV 2023, arXiv:2212.08059.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = efficientformer_v2.EfficientFormerV2Block(out_channels, use_attn=False)
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class EfficientViTMITBlock(AtConstantShape):
    """Linear attention with ReLU in heads of 16 and on 5x5 neighbourhoods too, then 1x1 by 4, 3x3 depthwise, 1x1 (EfficientViT).

    Source: Cai et al., EfficientViT: Lightweight Multi-Scale Attention for High-Resolution Dense Prediction, ICCV 2023,
    arXiv:2205.14756.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = EfficientViTMIT(out_channels, head_dim=_head_size(out_channels, 16))
        super().__init__(in_channels, out_channels, stride, block)


class _WithoutMemory(CascadedGroupAttention):
    """Looks its biases up at each call: timm's keeps a table of them from the first one in evaluation."""

    attention_bias_idxs: torch.Tensor

    def get_attention_biases(self, device: torch.device) -> Float[torch.Tensor, "heads N N"]:
        biases: torch.Tensor = self.attention_biases[:, self.attention_bias_idxs]
        return biases


@BLOCKS.register
class EfficientViTMSRABlock(AtConstantShape):
    """Attention in windows of 7x7, each of four heads given the result of the one before it, between two feed-forward layers
    with 3x3 depthwise (EfficientViT-M0).

    Source: Liu et al., EfficientViT: Memory Efficient Vision Transformer with Cascaded Group Attention, CVPR 2023,
    arXiv:2305.07027.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "EfficientViTMSRABlock", "four heads")
        key, heads = 16, 4
        ratio = out_channels / (key * heads)
        block = EfficientViTMSRA(out_channels, key, heads, attn_ratio=ratio)  # type: ignore[arg-type]  # timm's networks give a share
        block.mixer.m.attn.__class__ = _WithoutMemory
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class NextConvolutionBlock(NextConvBlock):
    """3x3 in heads of 32 channels and 1x1, then 1x1 by 3, ReLU, 1x1, a shortcut round each (Next-ViT's convolution block).

    A stride is an average pool in front.

    Source: Li et al., Next-ViT: Next Generation Vision Transformer for Efficient Deployment in Realistic Industrial Scenarios,
    2022, arXiv:2207.05501.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, head_dim=_head_size(out_channels, 32))


@BLOCKS.register
class SwiftFormerBlock(AtConstantShape):
    """3x3 depthwise and two 1x1, additive attention with one query for the map, 1x1 by 4, layer scales from 1e-5 (SwiftFormer).

    Source: Shaker et al., SwiftFormer: Efficient Additive Attention for Transformer-based Real-time Mobile Vision Applications,
    ICCV 2023, arXiv:2303.15446.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, swiftformer.Block(out_channels))


@BLOCKS.register
class SHViTBlock(AtConstantShape):
    """3x3 depthwise, one head of attention (keys of 16) on a fourth of the channels, 1x1 by 2, a shortcut round each (SHViT).

    Source: Yun and Ro, SHViT: Single-Head Vision Transformer with Memory Efficient Macro Design, CVPR 2024, arXiv:2401.16456.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "SHViTBlock", "attention on a fourth of its width")
        block = SHViT(out_channels, qk_dim=16, pdim=out_channels // 4, type="s")
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class IFormerBlock(AtConstantShape):
    """3x3 depthwise, one head of attention at half the width that modulates a gate, 1x1 by 2, a shortcut round each (iFormer).

    Source: Zheng, iFormer: Integrating ConvNet and Transformer for Mobile Application, ICLR 2025, arXiv:2501.15369.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(2, out_channels, "IFormerBlock", "attention at half its width")
        super().__init__(
            in_channels,
            out_channels,
            stride,
            iformer.RepCPE(out_channels, 3),
            iformer.SHMABlock(out_channels, layer_scale_init_value=0.0),
            iformer.FFN(out_channels, ratio=2, layer_scale_init_value=0.0),
        )


@BLOCKS.register
class LowFormerBlock(AtConstantShape):
    """Attention at half the resolution between a strided 5x5 and a transposed depthwise convolution, then two feed-forward
    layers, the second with 3x3 depthwise (LowFormer).

    Source: Nottebaum et al., LowFormer: Hardware Efficient Design for Convolutional Transformer Backbones, WACV 2025,
    arXiv:2409.03460.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, LowFormer(out_channels, att_stride=2))


@BLOCKS.register
class CPUBoneBlock(AtConstantShape):
    """LowFormerBlock with feed-forward by 2 and fewer norms, as a CPU runs it best (CPUBone); without dropout.

    Source: Nottebaum et al., CPUBone: Efficient Vision Backbone Design for Devices with Low Parallelization Capabilities, 2026,
    arXiv:2603.26425.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = CPUBone(out_channels, att_stride=2, mlp_ratio=2, proj_drop=0.0)
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class EfficientViMBlock(AtConstantShape):
    """3x3 depthwise, a state space of 49 hidden states in which channels are mixed, 3x3 depthwise, 1x1 by 4 (EfficientViM-M1).

    Source: Lee et al., EfficientViM: Efficient Vision Mamba with Hidden State Mixer based State Space Duality, CVPR 2025,
    arXiv:2411.15241.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, First(EfficientViM(out_channels, state_dim=49)))


@BLOCKS.register
class LambdaBlock(AtConstantShape):
    """A bottleneck with a lambda layer in place of its 3x3: four queries, positions within 9x9 (LambdaResNet).

    Source: Bello, LambdaNetworks: Modeling Long-Range Interactions Without Attention, ICLR 2021, arXiv:2102.08602.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "LambdaBlock", "four queries")
        attention: Any = partial(
            LambdaLayer, r=9
        )  # timm's hint asks for a class; any maker of the layer does
        layers = byobnet.LayerFn(self_attn=attention)
        block = byobnet.SelfAttnBlock(out_channels, out_channels, bottle_ratio=0.25, layers=layers)
        super().__init__(in_channels, out_channels, stride, block)
