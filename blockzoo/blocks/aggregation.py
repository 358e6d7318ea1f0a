"""Blocks that keep what their layers make, and aggregate it: dense, dual-path, one-shot and cross-stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm.layers.norm import LayerNorm2d
from timm.models import cspnet, cspnext, densenet, dla, dpn, hgnet, rdnet, selecsls, vovnet
from torch import nn

from blockzoo.blocks.transition import AtConstantShape, check_divides
from blockzoo.core.contracts import BLOCKS

if TYPE_CHECKING:
    from jaxtyping import Float


class _Dense(nn.Module):
    """The input beside what a layer makes of it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B wider H W"]:
        return torch.cat([x, self.layer(x)], 1)


@BLOCKS.register
class DenseNetBlock(nn.Sequential):
    """Two dense layers (1x1 to four times the growth, 3x3), each beside its input, and a transition (DenseNet-BC).

    A dense layer widens, so a block of constant width is one with its transition: batch norm, ReLU, 1x1 to the width, and the
    average pool of the stride. The growth is a fourth of the width, as 32 to 128 in DenseNet-121's first block.

    Source: Huang et al., Densely Connected Convolutional Networks, CVPR 2017, arXiv:1608.06993.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        growth = max(out_channels // 4, 1)
        layers: list[nn.Module] = [
            _Dense(densenet.DenseLayer(in_channels + n * growth, growth, bn_size=4)) for n in range(2)
        ]
        layers += [
            nn.BatchNorm2d(in_channels + 2 * growth),
            nn.ReLU(),
            nn.Conv2d(in_channels + 2 * growth, out_channels, 1, bias=False),
        ]
        if stride != 1:
            layers.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
        super().__init__(*layers)


@BLOCKS.register
class RDNetBlock(AtConstantShape):
    """A ConvNeXt-like mixer (7x7 depthwise, LayerNorm, 1x1 by 4, GELU, 1x1) beside its input, then a 1x1 back (RDNet).

    Its growth is half the width; in the paper a 1x1 with LayerNorm in front brings the width back every few of them.

    Source: Kim et al., DenseNets Reloaded: Paradigm Shift Beyond ResNets and ViTs, ECCV 2024, arXiv:2403.19588.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        growth = max(out_channels // 2, 1)
        mixer = rdnet.Block(out_channels, 4 * out_channels, growth, LayerNorm2d, nn.GELU)
        wide = out_channels + growth
        back = (LayerNorm2d(wide), nn.Conv2d(wide, out_channels, 1))
        super().__init__(in_channels, out_channels, stride, _Dense(mixer), *back)


@BLOCKS.register
class DLATree(dla.DlaTree):
    """Two basic blocks and a 1x1 that aggregates what both make (DLA-34, a tree of one level).

    Source: Yu et al., Deep Layer Aggregation, CVPR 2018, arXiv:1707.06484.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(1, dla.DlaBasic, in_channels, out_channels, stride)
        if stride != 1:
            self.downsample = nn.MaxPool2d(stride, stride, ceil_mode=True)


@BLOCKS.register
class DualPathBlock(dpn.DualPathBlock):
    """A bottleneck in groups of 4 channels, part of which is added and part concatenated (DPN).

    The dense path grows by an eighth of the width, and the projection that begins each stage of the paper stands in each block,
    so that the width stays.

    Source: Chen et al., Dual Path Networks, NeurIPS 2017, arXiv:1707.01629.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(8, out_channels, "DualPathBlock", "a dense path of an eighth of its width")
        grown, inner = out_channels // 8, out_channels // 2
        super().__init__(
            in_channels,
            num_1x1_a=inner,
            num_3x3_b=inner,
            num_1x1_c=out_channels - 3 * grown,
            inc=grown,
            groups=inner // 4,
            block_type="proj" if stride == 1 else "down",
        )


@BLOCKS.register
class OneShotAggregation(AtConstantShape):
    """Five 3x3 convolutions in a row, all aggregated at once by a 1x1, squeeze-and-excitation and a shortcut (VoVNetV2).

    The convolutions have half the width (128 of 256 in VoVNetV2-39's first stage).

    Source: Lee and Park, CenterMask: Real-Time Anchor-Free Instance Segmentation, CVPR 2020, arXiv:1911.06667.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = vovnet.OsaBlock(
            out_channels,
            max(out_channels // 2, 1),
            out_channels,
            layer_per_block=5,
            residual=True,
            attn="ese",
        )
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class HighPerformanceGPUBlock(AtConstantShape):
    """Six 3x3 convolutions in a row, aggregated by a 1x1, squeeze-and-excitation and a shortcut (PP-HGNet-small).

    Source: Cui et al., Beyond Self-Supervision: A Simple Yet Effective Network Distillation Alternative to Improve Backbones,
    2021, arXiv:2103.05959 (the library whose PP-HGNet this is; the network itself has no paper).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = hgnet.HighPerfGpuBlock(
            out_channels, max(out_channels // 2, 1), out_channels, layer_num=6, residual=True
        )
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class CrossStagePartialBlock(cspnet.CrossStage):
    """Half of the channels pass a DarkNet block (1x1, 3x3, shortcut), half go round it (CSPDarkNet-53).

    Source: Wang et al., CSPNet: A New Backbone that can Enhance Learning Capability of CNN, CVPR Workshops 2020,
    arXiv:1911.11929.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(2, out_channels, "CrossStagePartialBlock", "two halves")
        super().__init__(
            in_channels,
            out_channels,
            stride,
            1,
            depth=1,
            block_ratio=0.5,
            down_growth=True,
            block_fn=cspnet.DarkBlock,
            act_layer=nn.LeakyReLU,
            norm_layer=nn.BatchNorm2d,
        )


@BLOCKS.register
class CSPNeXtBlock(AtConstantShape):
    """Half of the channels pass 3x3 and 5x5 depthwise, half go round them, attention over channels, SiLU (RTMDet's CSPNeXt).

    Source: Lyu et al., RTMDet: An Empirical Study of Designing Real-Time Object Detectors, 2022, arXiv:2212.07784.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(2, out_channels, "CSPNeXtBlock", "two halves")
        block = cspnext.CspNextLayer(out_channels, out_channels, channel_attention=True)
        super().__init__(in_channels, out_channels, stride, block)


@BLOCKS.register
class SelecSLSBlock(selecsls.SelecSlsBlock):
    """Three 3x3 and two 1x1 in a row, of which three are concatenated and mixed by a 1x1 (SelecSLS, first of a level).

    Source: Mehta et al., XNect: Real-time Multi-person 3D Motion Capture with a Single RGB Camera, SIGGRAPH 2020,
    arXiv:1907.00837.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(2, out_channels, "SelecSLSBlock", "convolutions of half its width")
        super().__init__(in_channels, 0, out_channels, out_channels, is_first=True, stride=stride)

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B D h w"]:  # type: ignore[override]
        """The result alone: no later block of a level reads the others."""
        output: torch.Tensor = super().forward([x])[0]
        return output
