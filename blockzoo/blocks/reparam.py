"""Blocks trained with several branches and deployed as one convolution each."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from timm.models import byobnet, fastvit, repvit
from torch import nn

from blockzoo.blocks.branches import Residual, added, as_one_kernel, with_zeros
from blockzoo.blocks.transition import AtConstantShape, check_divides, conv_norm, transition
from blockzoo.core.contracts import BLOCKS

if TYPE_CHECKING:
    from jaxtyping import Float


@BLOCKS.register
class MobileOneBlock(nn.Sequential):
    """Depthwise 3x3, then pointwise 1x1, each with four over-parameterised branches (MobileOne).

    Source: Vasu et al., MobileOne: An Improved One Millisecond Mobile Backbone, CVPR 2023, arXiv:2206.04040.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        branched = partial(fastvit.MobileOneBlock, num_conv_branches=4, act_layer=nn.ReLU)
        super().__init__(
            branched(in_channels, in_channels, kernel_size=3, stride=stride, group_size=1),
            branched(in_channels, out_channels, kernel_size=1),
        )


@BLOCKS.register("MobileOneBlock@published")
class PublishedMobileOneBlock(fastvit.MobileOneBlock):
    """MobileOneBlock as earlier tables had it: one dense 3x3 with a scale branch, which is not MobileOne."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=stride)


class _LargeKernelResidual(nn.Module):
    """x + (BN, 1x1, ReLU, large depthwise kernel, ReLU, 1x1)(x), at constant shape."""

    def __init__(self, channels: int, kernel: int, small_kernel: int) -> None:
        super().__init__()
        self.pre_norm = nn.BatchNorm2d(channels)
        self.pointwise_in = conv_norm(channels, channels)
        self.large_kernel = fastvit.ReparamLargeKernelConv(
            channels, channels, kernel, stride=1, group_size=1, small_kernel=small_kernel
        )
        self.pointwise_out = conv_norm(channels, channels)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.pointwise_in(self.pre_norm(x)))
        branch: torch.Tensor = self.pointwise_out(self.relu(self.large_kernel(y)))
        return x + branch


@BLOCKS.register
class ReparamLargeKernelConv(nn.Sequential):
    """Pointwise, large depthwise kernel (7x7 with a parallel 3x3), pointwise, and a shortcut (RepLKNet).

    Where shapes differ, the paper's transition comes first: 1x1 to the new width, then 3x3 depthwise with the
    stride. The kernel is the paper's 7-7-7-7 model's: its 31x31 exceeds the maps of small images.

    Source: Ding et al., Scaling Up Your Kernels to 31x31, CVPR 2022, arXiv:2203.06717.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = transition(in_channels, out_channels, stride)
        super().__init__(*block, _LargeKernelResidual(out_channels, kernel=7, small_kernel=3))


@BLOCKS.register("ReparamLargeKernelConv@published")
class PublishedReparamLargeKernelConv(fastvit.ReparamLargeKernelConv):
    """ReparamLargeKernelConv as earlier tables had it: the depthwise 7x7 alone, nothing mixes channels."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(
            in_channels,
            out_channels,
            7,
            stride=stride,
            group_size=1,
            small_kernel=3,
            act_layer=nn.GELU,  # type: ignore[arg-type]  # timm's hint asks for a layer; its code takes a class
        )


class _RepMixer(nn.Sequential):
    """A FastViT block at constant shape; a patch embedding comes first where shapes differ."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, layer_scale: float) -> None:
        layers: list[nn.Module] = []
        if stride != 1 or in_channels != out_channels:
            if out_channels % in_channels:  # its depthwise convolution needs a whole multiple
                layers.append(fastvit.MobileOneBlock(in_channels, out_channels, kernel_size=1))
                in_channels = out_channels
            layers.append(fastvit.PatchEmbed(7, stride, in_channels, out_channels))
        block = fastvit.RepMixerBlock(out_channels, mlp_ratio=4.0, layer_scale_init_value=layer_scale)
        super().__init__(*layers, block)


@BLOCKS.register
class RepMixer(_RepMixer):
    """Reparameterised 3x3 token mixing and a convolutional feed-forward layer of ratio 4 (FastViT).

    Its layer scale starts at 1e-5, as in the paper: over a short schedule the block stays close to the
    identity. `RepMixer@normalised` starts it at 1.

    Source: Vasu et al., FastViT: A Fast Hybrid Vision Transformer, ICCV 2023, arXiv:2303.14189.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, layer_scale=1e-5)


@BLOCKS.register("RepMixer@normalised")
class NormalisedRepMixer(_RepMixer):
    """RepMixer with its layer scale starting at 1, so that a short schedule sees what the block does."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride, layer_scale=1.0)


@BLOCKS.register("RepMixer@published")
class PublishedRepMixer(fastvit.FastVitStage):
    """RepMixer as earlier tables had it: a whole FastViT stage, so a 7x7 patch embedding in each repeat."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(
            in_channels,
            out_channels,
            depth=1,
            token_mixer_type="repmixer",
            mlp_ratio=4.0,
            down_stride=stride,
            drop_path_rate=[0.0],
        )


@BLOCKS.register
class RepVGGBlock(byobnet.RepVggBlock):
    """3x3, 1x1 and, where the shape stays, a batch norm alone, added, then ReLU; one 3x3 when deployed (RepVGG).

    Source: Ding et al., RepVGG: Making VGG-style ConvNets Great Again, CVPR 2021, arXiv:2101.03697.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, stride=stride)


@BLOCKS.register
class RepViTBlock(AtConstantShape):
    """3x3 and 1x1 depthwise and the input added (one 3x3 when deployed), squeeze-and-excitation, 1x1 by 2 with GELU (RepViT).

    Source: Wang et al., RepViT: Revisiting Mobile CNN From ViT Perspective, CVPR 2024, arXiv:2307.09283.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        block = repvit.RepViTBlock(out_channels, mlp_ratio=2, kernel_size=3, use_se=True, act_layer=nn.GELU)
        super().__init__(in_channels, out_channels, stride, block)


Kernel = tuple[int, int, int]
"""Rows, columns and dilation."""


class AddedKernels(nn.Module):
    """Depthwise convolutions side by side on one map, added; of one kernel when deployed.

    Args:
        channels: of input and output.
        branches: the kernels of each. A branch of two is a row and a column in turn, without biases.
    """

    def __init__(self, channels: int, *branches: tuple[Kernel, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(_depthwise(channels, kernel, bias=len(kernels) == 1) for kernel in kernels))
            for kernels in branches
        )
        self.merged: nn.Conv2d | None = None

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        return added([self.merged] if self.merged is not None else self.branches, x)

    @torch.no_grad()
    def reparameterize(self) -> None:
        """One kernel in place of all: of a row and a column their product."""
        if self.merged is None:
            layers: list[list[Any]] = [list(branch) for branch in self.branches]  # type: ignore[call-overload]
            kernels: list[Any] = [
                prod(with_zeros(one.weight, one.dilation[0]) for one in branch) for branch in layers
            ]
            biases = [one.bias for branch in layers for one in branch if one.bias is not None]
            self.merged = as_one_kernel(kernels, biases)
            del self.branches


def _depthwise(channels: int, kernel: Kernel, *, bias: bool) -> nn.Conv2d:
    """That keeps the size."""
    rows, columns, dilation = kernel
    padding = dilation * (rows - 1) // 2, dilation * (columns - 1) // 2
    return nn.Conv2d(
        channels, channels, (rows, columns), padding=padding, dilation=dilation, groups=channels, bias=bias
    )


class ChunkedKernels(nn.Module):
    """A fourth of the channels untouched, a fourth 3x3, a fourth 7x7, a fourth 1x11 and 11x1, all depthwise (RepNeXt)."""

    SMALL = (((3, 3, 1),), ((1, 3, 1),), ((3, 1, 1),), ((2, 2, 2),))
    MEDIUM = (((7, 7, 1),), ((5, 3, 1),), ((3, 5, 1),), ((1, 7, 1), (7, 1, 1)), ((1, 5, 1), (5, 1, 1)))

    def __init__(self, channels: int) -> None:
        super().__init__()
        chunk = channels // 4
        self.small, self.medium = AddedKernels(chunk, *self.SMALL), AddedKernels(chunk, *self.MEDIUM)
        self.large = nn.Sequential(
            *(_depthwise(chunk, kernel, bias=True) for kernel in ((1, 11, 1), (11, 1, 1)))
        )

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        untouched, small, medium, large = x.chunk(4, dim=1)
        return torch.cat([untouched, self.small(small), self.medium(medium), self.large(large)], dim=1)


@BLOCKS.register
class RepNeXtBlock(AtConstantShape):
    """Depthwise 3x3, 7x7 and 11x11, each on a fourth of the channels, one fourth untouched; 1x1 by 2, GELU, 1x1 (RepNeXt).

    A batch norm behind the kernels, and a shortcut around all. The 3x3 has the branches 3x3, 1x3, 3x1 and a dilated 2x2, the 7x7
    7x7, 5x3, 3x5, 1x7 with 7x1 and 1x5 with 5x1, one kernel each when deployed; the 11x11 is a row and a column.

    Source: Zhao et al., RepNeXt: A Fast Multi-Scale CNN using Structural Reparameterization, 2024, arXiv:2406.16004.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        check_divides(
            4, out_channels, "RepNeXtBlock", "kernels of four sizes, each of a fourth of its channels"
        )
        wide = 2 * out_channels
        mixer = (ChunkedKernels(out_channels), nn.BatchNorm2d(out_channels))
        channels = (conv_norm(out_channels, wide), nn.GELU(), conv_norm(wide, out_channels))
        super().__init__(in_channels, out_channels, stride, Residual(*mixer, *channels))
