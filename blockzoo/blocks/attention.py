"""Attention that is added behind any block: `ResNetBasicBlock+eca`. It weighs what the block gives, and changes no shape."""

from __future__ import annotations

from functools import cache

from torch import nn

from blockzoo.blocks.adapters import Maker
from blockzoo.core.contracts import ATTENTIONS


@ATTENTIONS.register("se")
def squeeze_excite(channels: int) -> nn.Module:
    """Squeeze-and-excitation: channels weighted by a small network of their means.

    As timm's SEModule, which reduces to a sixteenth.

    Source: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, arXiv:1709.01507.
    """
    from timm.layers.squeeze_excite import SEModule

    layer: nn.Module = SEModule(channels)
    return layer


@ATTENTIONS.register("eca")
def efficient_channel(channels: int) -> nn.Module:
    """Efficient channel attention: channels weighted by a convolution over the means of their neighbours.

    As timm's EcaModule, whose kernel grows with the logarithm of the width.

    Source: Wang et al., ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks, CVPR 2020,
    arXiv:1910.03151.
    """
    from timm.layers.eca import EcaModule

    layer: nn.Module = EcaModule(channels)
    return layer


@ATTENTIONS.register("cbam")
def convolutional_attention(channels: int) -> nn.Module:
    """CBAM: channels weighted by their means and maxima, then places by a 7x7 convolution.

    As timm's CbamModule.

    Source: Woo et al., CBAM: Convolutional Block Attention Module, ECCV 2018, arXiv:1807.06521.
    """
    from timm.layers.cbam import CbamModule

    layer: nn.Module = CbamModule(channels)
    return layer


@ATTENTIONS.register("coord")
def coordinate(channels: int) -> nn.Module:
    """Coordinate attention: weights of rows and of columns, from means along the other side.

    As timm's CoordAttn.

    Source: Hou et al., Coordinate Attention for Efficient Mobile Network Design, CVPR 2021, arXiv:2103.02907.
    """
    from timm.layers.coord_attn import CoordAttn

    layer: nn.Module = CoordAttn(channels)
    return layer


@ATTENTIONS.register("gc")
def global_context(channels: int) -> nn.Module:
    """Global context: channels weighted by a small network of a mean whose weights are learned.

    As timm's GlobalContext, which scales where the paper's default adds.

    Source: Cao et al., GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond, ICCV Workshops 2019,
    arXiv:1904.11492.
    """
    from timm.layers.global_context import GlobalContext

    layer: nn.Module = GlobalContext(channels)
    return layer


class Attended:
    """A block with attention behind it.

    Args:
        maker: of the block.
        name: of the attention.
    """

    def __init__(self, maker: Maker, name: str) -> None:
        self.maker, self.name = maker, name
        self.__name__ = f"{getattr(maker, '__name__', maker)}+{name}"
        self.__module__ = getattr(maker, "__module__", "")
        self.__doc__ = maker.__doc__

    def __call__(self, in_channels: int, out_channels: int, stride: int, position: str) -> nn.Module:
        block = self.maker(in_channels, out_channels, stride, position)
        return nn.Sequential(block, ATTENTIONS[self.name](out_channels))


@cache
def attended(maker: Maker, name: str) -> Maker:
    """The block with this attention behind it, the same object each time."""
    return Attended(maker, name)
