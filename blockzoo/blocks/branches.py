"""What stands around the layers of a block: a shortcut, a scale, another layout of the map, another form of the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Float


def with_zeros(
    kernel: Float[torch.Tensor, "C_out C_in K L"], dilation: int
) -> Float[torch.Tensor, "C_out C_in K_wide L_wide"]:
    """A dilated kernel as one without dilation: zeros between its values."""
    if dilation == 1:
        return kernel
    flat = kernel.flatten(0, 1)[:, None]
    spread = F.conv_transpose2d(flat, kernel.new_ones(1, 1, 1, 1), stride=dilation)
    return spread.reshape(*kernel.shape[:2], *spread.shape[2:])


def added(branches: Iterable[nn.Module], x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
    """What branches make of one map, added in their order."""
    first, *others = branches
    total: torch.Tensor = first(x)
    for branch in others:
        total = total + branch(x)
    return total


def as_one_kernel(
    kernels: Sequence[Float[torch.Tensor, "C 1 K L"]], biases: Iterable[Float[torch.Tensor, " C"]]
) -> nn.Conv2d:
    """One depthwise convolution in place of several that keep the size and are added: their kernels, around one middle.

    Args:
        kernels: each with odd sides; a dilated one as `with_zeros` has it.
        biases: of them, as many as there are.
    """
    rows, columns = (max(kernel.shape[side] for kernel in kernels) for side in (2, 3))
    total: Any = 0
    for kernel in kernels:
        above, beside = (rows - kernel.shape[2]) // 2, (columns - kernel.shape[3]) // 2
        total = total + F.pad(kernel, (beside, beside, above, above))
    bias: Any = sum(biases)
    channels, padding = len(total), (rows // 2, columns // 2)
    convolution = nn.Conv2d(
        channels, channels, (rows, columns), padding=padding, groups=channels, device=total.device
    )
    convolution.weight, convolution.bias = nn.Parameter(total), nn.Parameter(bias)
    return convolution


class Residual(nn.Sequential):
    """x + layers(x).

    Args:
        layers: one after the other, at constant shape.
    """

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        output: torch.Tensor = x + super().forward(x)
        return output


class ScaledResidual(nn.Module):
    """x + scale * layers(x), with a scale of its own for each channel.

    Args:
        channels: of the map.
        scale: that all of them start from.
        layers: one after the other, at constant shape.
    """

    def __init__(self, channels: int, scale: float, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), scale))

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        output: torch.Tensor = x + self.scale * self.layers(x)
        return output


class ChannelsLast(nn.Sequential):
    """Layers of (B, H, W, C) on a map of (B, C, H, W)."""

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        output: torch.Tensor = super().forward(x.permute(0, 2, 3, 1))
        return output.permute(0, 3, 1, 2).contiguous()


class SizeKept(nn.Sequential):
    """Layers that resize maps of odd sides and leave them so; resized back."""

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        output: torch.Tensor = super().forward(x)
        if output.shape[-2:] != x.shape[-2:]:
            output = F.interpolate(output, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return output


class First(nn.Sequential):
    """The first of several results."""

    def forward(self, x: Float[torch.Tensor, "B C H W"]) -> Float[torch.Tensor, "B C H W"]:
        output: torch.Tensor = super().forward(x)[0]
        return output
