"""Residual blocks of ResNet."""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.layers.norm_act import BatchNormAct2d
from timm.layers.squeeze_excite import SEModule
from timm.layers.std_conv import ScaledStdConv2d
from timm.models import nfnet, regnet, res2net, resnest, resnetv2, sknet, tresnet
from timm.models.resnet import BasicBlock, Bottleneck, downsample_avg, downsample_conv
from torch import nn

from blockzoo.blocks.transition import check_divides, check_least
from blockzoo.core.contracts import BLOCKS


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
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
        shortcut = projection(in_channels, out_channels, stride)
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
        check_divides(4, out_channels, "ResNetBottleneck", "a fourth of its width inside")
        shortcut = projection(in_channels, out_channels, stride)
        super().__init__(in_channels, out_channels // 4, stride=stride, downsample=shortcut)


@BLOCKS.register("ResNetBottleneck@published")
class PublishedResNetBottleneck(Bottleneck):
    """ResNetBottleneck as earlier tables had it: an average-pooled projection in every block."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        shortcut = downsample_avg(in_channels, out_channels, kernel_size=1, stride=stride)
        super().__init__(in_channels, out_channels // 4, stride=stride, downsample=shortcut)


@BLOCKS.register
class ResNeXtBottleneck(Bottleneck):
    """ResNetBottleneck of half the width inside, whose 3x3 convolution has groups of 4 channels (ResNeXt-50 32x4d).

    The paper has 32 groups of 4 channels at 256; the groups keep their size here, so widths are multiples of 8.

    Source: Xie et al., Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017, arXiv:1611.05431.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(8, out_channels, "ResNeXtBottleneck", "groups of 4 channels at half its width")
        shortcut = projection(in_channels, out_channels, stride)
        super().__init__(
            in_channels,
            out_channels // 4,
            stride=stride,
            downsample=shortcut,
            cardinality=out_channels // 8,
            base_width=1024 / out_channels + 1e-6,  # type: ignore[arg-type]  # a group has planes * base_width / 64 channels
        )


@BLOCKS.register
class SEResNetBottleneck(Bottleneck):
    """ResNetBottleneck with squeeze-and-excitation of ratio 1/16, at least 8 channels, before the addition (SE-ResNet-50).

    Source: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, arXiv:1709.01507.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "SEResNetBottleneck", "a fourth of its width inside")
        shortcut = projection(in_channels, out_channels, stride)
        super().__init__(
            in_channels, out_channels // 4, stride=stride, downsample=shortcut, attn_layer=SEModule
        )


def _convolution(in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> nn.Conv2d:
    """Padded so that stride 1 keeps the size, without bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False, **options)


IN_FRONT: dict[str, Any] = {
    "conv_layer": _convolution,
    "norm_layer": BatchNormAct2d,
    "act_layer": nn.ReLU,
    "proj_layer": resnetv2.DownsampleConv,
}
"""Options of a block of ResNetV2 as the paper has it: batch norm and ReLU in front of plain convolutions."""


@BLOCKS.register
class PreActBasicBlock(resnetv2.PreActBasic):
    """Batch norm and ReLU in front of each of two 3x3 convolutions, and a shortcut that nothing follows (ResNetV2).

    Source: He et al., Identity Mappings in Deep Residual Networks, ECCV 2016, arXiv:1603.05027.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride, **IN_FRONT)


@BLOCKS.register
class PreActBottleneck(resnetv2.PreActBottleneck):
    """Batch norm and ReLU in front of 1x1 to a quarter of the width, 3x3 and 1x1 back (ResNetV2).

    Source: He et al., Identity Mappings in Deep Residual Networks, ECCV 2016, arXiv:1603.05027.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride, **IN_FRONT)


@BLOCKS.register
class Res2NetBottleneck(res2net.Bottle2neck):
    """A bottleneck whose 3x3 is four groups of channels, each given the result of the one before it (Res2Net-50 26w4s).

    Source: Gao et al., Res2Net: A New Multi-scale Backbone Architecture, TPAMI 2021, arXiv:1904.01169.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(4, out_channels, "Res2NetBottleneck", "a fourth of its width inside")
        shortcut, planes = projection(in_channels, out_channels, stride), out_channels // 4
        super().__init__(
            in_channels,
            planes,
            stride=stride,
            downsample=shortcut,
            base_width=max(26, -(-64 // planes)),  # a group of one channel at least
            norm_layer=nn.BatchNorm2d,
        )


@BLOCKS.register
class ResNeStBottleneck(resnest.ResNestBottleneck):
    """A bottleneck whose 3x3 has two splits that attention over channels weighs (ResNeSt-50, radix 2, one group).

    The stride is an average pool in front of the 3x3, and the shortcut is pooled in front of its 1x1, as in the paper.

    Source: Zhang et al., ResNeSt: Split-Attention Networks, CVPR Workshops 2022, arXiv:2004.08955.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(8, out_channels, "ResNeStBottleneck", "two splits of a fourth of its width")
        shortcut = None
        if stride != 1 or in_channels != out_channels:
            shortcut = downsample_avg(in_channels, out_channels, kernel_size=1, stride=stride)
        super().__init__(
            in_channels,
            out_channels // 4,
            stride=stride,
            downsample=shortcut,
            radix=2,
            avd=True,
        )


@BLOCKS.register
class SelectiveKernelBasicBlock(sknet.SelectiveKernelBasic):
    """A basic block whose first 3x3 is two of them, one with dilation 2, weighed by attention over channels (SKNet).

    Source: Li et al., Selective Kernel Networks, CVPR 2019, arXiv:1903.06586.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(2, in_channels, "SelectiveKernelBasicBlock", "two paths of half its input")
        shortcut = projection(in_channels, out_channels, stride)
        super().__init__(in_channels, out_channels, stride=stride, downsample=shortcut)


@BLOCKS.register
class RegNetYBottleneck(regnet.Bottleneck):
    """1x1, 3x3 in groups of 8 channels, squeeze-and-excitation of a fourth of the input, 1x1, all of one width (RegNetY).

    Source: Radosavovic et al., Designing Network Design Spaces, CVPR 2020, arXiv:2003.13678.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(8, out_channels, "RegNetYBottleneck", "groups of 8 channels")
        super().__init__(in_channels, out_channels, stride=stride, group_size=8, se_ratio=0.25)


@BLOCKS.register
class TResNetBasicBlock(tresnet.BasicBlock):
    """A basic block with leaky ReLU (slope 0.001) and squeeze-and-excitation (TResNet).

    The stride is in the 3x3 convolution and an average pool in the shortcut; the blur pool of the paper is left out.

    Source: Ridnik et al., TResNet: High Performance GPU-Dedicated Architecture, WACV 2021, arXiv:2003.13630.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        layers: list[nn.Module] = []
        if stride != 1:
            layers.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
        if stride != 1 or in_channels != out_channels:
            layers += [nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
        super().__init__(
            in_channels, out_channels, stride=stride, downsample=nn.Sequential(*layers) if layers else None
        )


@BLOCKS.register
class NormFreeBlock(nfnet.NormFreeBlock):
    """A bottleneck without norms: weights are standardised, signals scaled (NF-ResNet-50: alpha 0.2, ReLU).

    Source: Brock et al., Characterizing Signal Propagation to Close the Performance Gap in Unnormalized ResNets,
    ICLR 2021, arXiv:2101.08692.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_least(
            5,
            min(in_channels, out_channels),
            "NormFreeBlock",
            "weights that are standardised, two of each at least",
        )
        super().__init__(
            in_channels,
            out_channels,
            stride=stride,
            alpha=0.2,
            reg=False,
            act_layer=nn.ReLU,
            conv_layer=partial(ScaledStdConv2d, gamma=RELU_GAIN),
        )


RELU_GAIN = 1.7139588594436646
"""sqrt(2 / (1 - 1 / pi)): what restores the variance that a ReLU takes from unit normal signals."""
