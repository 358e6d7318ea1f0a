"""Convolutional blocks normalised by LayerNorm."""

from __future__ import annotations

from timm.models.vitamin import MbConvLNBlock

from blockzoo.core.contracts import BLOCKS


@BLOCKS.register
class MBConvLNBlock(MbConvLNBlock):
    """LayerNorm first, then 1x1 expansion by 4, 3x3 depthwise and 1x1 projection with GELU (ViTamin).

    Source: Chen et al., ViTamin: Designing Scalable Vision Models in the Vision-Language Era, CVPR 2024,
    arXiv:2404.02132.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride)


@BLOCKS.register("MBConvLNBlock@published")
class PublishedMBConvLNBlock(MBConvLNBlock):
    """MBConvLNBlock as earlier tables had it, which is the default."""
