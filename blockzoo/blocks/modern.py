"""Convolutional blocks built like a transformer's: a mixer of positions, a mixer of channels, a shortcut round each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm.layers.norm import GroupNorm1
from timm.models import convnext, focalnet, inception_next, metaformer, starnet, visformer
from timm.models.fasternet import MLPBlock
from timm.models.mambaout import GatedConvBlock
from torch import nn

from blockzoo.blocks.branches import ChannelsLast, Residual
from blockzoo.blocks.transition import AtConstantShape, check_divides
from blockzoo.core.contracts import BLOCKS

if TYPE_CHECKING:
    from jaxtyping import Float


@BLOCKS.register
class ConvNeXtBlock(AtConstantShape):
    """7x7 depthwise, LayerNorm, 1x1 by 4, GELU, 1x1, layer scale from 1e-6 (ConvNeXt).

    Over a short schedule the layer scale keeps the block close to the identity. `ConvNeXtBlock@normalised` starts it at 1.

    Source: Liu et al., A ConvNet for the 2020s, CVPR 2022, arXiv:2201.03545.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, convnext.ConvNeXtBlock(out_channels))


@BLOCKS.register("ConvNeXtBlock@normalised")
class NormalisedConvNeXtBlock(AtConstantShape):
    """ConvNeXtBlock with its layer scale starting at 1, so that a short schedule sees what the block does."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = convnext.ConvNeXtBlock(out_channels, ls_init_value=1.0)
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class ConvNeXtV2Block(AtConstantShape):
    """ConvNeXtBlock with global response normalisation behind GELU in place of a layer scale (ConvNeXt V2).

    Source: Woo et al., ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders, CVPR 2023, arXiv:2301.00808.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = convnext.ConvNeXtBlock(out_channels, use_grn=True, ls_init_value=None)
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class ConvMixerBlock(AtConstantShape):
    """9x9 depthwise with a shortcut, then 1x1, GELU and batch norm after each (ConvMixer).

    Source: Trockman and Kolter, Patches Are All You Need?, TMLR 2023, arXiv:2201.09792.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        wide = out_channels
        mixer = nn.Sequential(
            nn.Conv2d(wide, wide, 9, padding=4, groups=wide), nn.GELU(), nn.BatchNorm2d(wide)
        )
        super().__init__(
            in_channels,
            out_channels,
            stride,
            Residual(mixer),
            nn.Conv2d(wide, wide, 1),
            nn.GELU(),
            nn.BatchNorm2d(wide),
        )


@BLOCKS.register
class InceptionNeXtBlock(AtConstantShape):
    """3x3, 1x11 and 11x1 depthwise on an eighth of the channels each, batch norm, 1x1 by 4, GELU, 1x1 (InceptionNeXt).

    Its layer scale starts at 1e-6, as in the paper.

    Source: Yu et al., InceptionNeXt: When Inception Meets ConvNeXt, CVPR 2024, arXiv:2303.16900.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(8, out_channels, "InceptionNeXtBlock", "branches of an eighth of its width")
        super().__init__(in_channels, out_channels, stride, inception_next.MetaNeXtBlock(out_channels))


@BLOCKS.register
class MambaOutBlock(AtConstantShape):
    """A gated convolution: LayerNorm, linear by 8/3 twice, 7x7 depthwise on one half, GELU gate of the other (MambaOut).

    Source: Yu and Wang, MambaOut: Do We Really Need Mamba for Vision?, CVPR 2025, arXiv:2405.07992.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, ChannelsLast(GatedConvBlock(out_channels)))


@BLOCKS.register
class ConvFormerBlock(AtConstantShape):
    """A separable convolution (1x1 by 2, StarReLU, 7x7 depthwise, 1x1), then 1x1 by 4, StarReLU, 1x1 (ConvFormer).

    Source: Yu et al., MetaFormer Baselines for Vision, TPAMI 2024, arXiv:2210.13452.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = metaformer.MetaFormerBlock(
            out_channels,
            token_mixer=metaformer.SepConv,
            norm_layer=metaformer.LayerNorm2dNoBias,
        )
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class PoolFormerBlock(AtConstantShape):
    """A 3x3 average pool less its input, then 1x1 by 4, GELU, 1x1, layer scale from 1e-5 (PoolFormer).

    Source: Yu et al., MetaFormer Is Actually What You Need for Vision, CVPR 2022, arXiv:2111.11418.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = metaformer.MetaFormerBlock(
            out_channels,
            token_mixer=metaformer.Pooling,
            mlp_act=nn.GELU,
            mlp_bias=True,
            norm_layer=GroupNorm1,
            layer_scale_init_value=1e-5,
        )
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class FocalNetBlock(AtConstantShape):
    """Modulation by contexts of 3x3, 5x5, 7x7 and of the whole map, gated, then 1x1 by 4, GELU, 1x1 (FocalNet-T, LRF).

    Source: Yang et al., Focal Modulation Networks, NeurIPS 2022, arXiv:2203.11926.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = focalnet.FocalNetBlock(out_channels, focal_level=3, focal_window=3, layerscale_value=None)
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class StarNetBlock(AtConstantShape):
    """7x7 depthwise, two 1x1 by 4 multiplied with each other (one through ReLU6), 1x1, 7x7 depthwise, a shortcut (StarNet).

    Source: Ma et al., Rewrite the Stars, CVPR 2024, arXiv:2403.19967.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, starnet.Block(out_channels, mlp_ratio=4))


@BLOCKS.register
class FasterNetBlock(AtConstantShape):
    """3x3 convolution of a fourth of the channels, the others untouched, then 1x1 by 2, ReLU, 1x1 (FasterNet).

    Source: Chen et al., Run, Don't Walk: Chasing Higher FLOPS for Faster Neural Networks, CVPR 2023, arXiv:2303.03667.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "FasterNetBlock", "a convolution of a fourth of its width")
        block = MLPBlock(out_channels, n_div=4, mlp_ratio=2.0, drop_path=0.0, layer_scale_init_value=0.0)
        super().__init__(in_channels, out_channels, stride, block)


class StyleGate(nn.Module):
    """Channels weighted by a hard sigmoid of a linear map, with a batch norm, of the means and deviations of all.

    The deviation is of all pixels, with 1e-5 added to the variance, so that a constant channel has a gradient.

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix, self.norm = nn.Linear(2 * channels, channels, bias=False), nn.BatchNorm1d(channels)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        variance, mean = torch.var_mean(x, (2, 3), correction=0)
        style = torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)
        output: torch.Tensor = x * self.gate(self.norm(self.mix(style)))[:, :, None, None]
        return output


class PlaceGate(nn.Module):
    """Places weighted by a hard sigmoid of a 1x1 convolution to one channel.

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix, self.gate = nn.Conv2d(channels, 1, 1, bias=False), nn.Hardsigmoid()

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        output: torch.Tensor = x * self.gate(self.mix(x))
        return output


class InParts(nn.Module):
    """The first channels through one module, the others through another.

    Args:
        first: of them.
        one: of the first.
        other: of the others.
    """

    def __init__(self, first: int, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.first, self.one, self.other = first, one, other

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        return torch.cat([self.one(x[:, : self.first]), self.other(x[:, self.first :])], dim=1)


@BLOCKS.register
class PartialNetBlock(AtConstantShape):
    """3x3 of a fourth of the channels, the others weighted by their means and deviations, 1x1 by 2, ReLU, 1x1 (PartialNet).

    That is PAT_ch. Behind it half of the channels are weighted place by place and the others have one more 1x1 (PAT_sp), and a
    shortcut is around all: the paper's first three stages, with a split that is not learned; its last one has self-attention.

    Source: Huang et al., Partial Channel Network: Compute Fewer, Perform Better, AAAI 2026, arXiv:2502.01303.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "PartialNetBlock", "a convolution of a fourth of its width")
        fourth, half, wide = out_channels // 4, out_channels // 2, 2 * out_channels
        weighted = nn.Sequential(StyleGate(3 * fourth), nn.BatchNorm2d(3 * fourth))
        placed = nn.Sequential(PlaceGate(half), nn.BatchNorm2d(half))
        mixed = nn.Sequential(nn.BatchNorm2d(half), nn.Conv2d(half, half, 1, bias=False))
        block = Residual(
            InParts(fourth, nn.Conv2d(fourth, fourth, 3, padding=1, bias=False), weighted),
            nn.Conv2d(out_channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, out_channels, 1, bias=False),
            InParts(half, placed, mixed),
        )
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class VisformerBlock(AtConstantShape):
    """Batch norm, 1x1 by 2, GELU, 3x3 in eight groups, GELU, 1x1, a shortcut (Visformer, first stage).

    Source: Chen et al., Visformer: The Vision-friendly Transformer, ICCV 2021, arXiv:2104.12533.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "VisformerBlock", "eight groups of twice its width")
        block = visformer.Block(
            out_channels,
            num_heads=1,
            norm_layer=nn.BatchNorm2d,
            attn_disabled=True,
            spatial_conv=True,
        )
        super().__init__(in_channels, out_channels, stride, block)
