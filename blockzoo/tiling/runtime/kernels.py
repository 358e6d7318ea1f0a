"""Layers on a part of a map: padding only where the tile's place asks for it, and on a CPU weights laid out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.tiling.geometry import (
    Enlargement,
    Spread,
    Taps,
    Tile,
    Window,
    equal_padding,
    shown_again,
    transposed_padding,
)
from blockzoo.tiling.graph.interpolation import Sampler, options_of
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.layers.conv import padded
from blockzoo.tiling.layers.pool import counts_of

Kernel = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
"""From a map and the padding along rows and columns, equal on both sides, to a map."""


def convolution_kernel(layer: nn.Conv2d) -> Kernel:
    """A convolution; on a CPU in fp32 its weights are laid out for oneDNN once.

    A rectifier behind it is a pass of its own: oneDNN's would be part of this one, and turns NaN into 0.
    """
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    stride, dilation, groups = list(layer.stride), list(layer.dilation), layer.groups

    def plain(x: torch.Tensor, padding: tuple[int, int]) -> torch.Tensor:
        return F.conv2d(x, weight, bias, layer.stride, padding, layer.dilation, groups)

    if not (
        weight.device.type == "cpu" and weight.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    ):
        return plain
    own = torch.ops.mkldnn
    laid_out = own._reorder_convolution_weight(
        weight, [k // 2 for k in layer.kernel_size], stride, dilation, groups, None
    )

    def kernel(x: torch.Tensor, padding: tuple[int, int]) -> torch.Tensor:
        if x.dtype != weight.dtype or torch.is_autocast_enabled("cpu"):
            return plain(x, padding)  # casts, or says what is wrong
        found: torch.Tensor = own._convolution_pointwise(
            x, laid_out, bias, list(padding), stride, dilation, groups, "none", [], ""
        )
        return found

    return kernel


def pool_kernel(layer: nn.MaxPool2d | nn.AvgPool2d) -> Kernel:
    """Max-pooling, or the sum of each window."""
    if isinstance(layer, nn.MaxPool2d):
        return lambda x, padding: F.max_pool2d(x, layer.kernel_size, layer.stride, padding, layer.dilation)
    return lambda x, padding: F.avg_pool2d(x, layer.kernel_size, layer.stride, padding, divisor_override=1)


def on_part(
    kernel: Kernel | Sampler | None,
    operation: Operation,
    x: torch.Tensor,
    row: Tile,
    column: Tile,
    size: tuple[int, int],
) -> torch.Tensor:
    """One part of an operation's output from what it reads of its input.

    Args:
        x: (N, C, rows, columns) as the tiles say.
        size: rows and columns of the whole map that is read.
    """
    layer = operation.payload.layer
    if isinstance(layer, nn.ConvTranspose2d):
        return _transposed(operation, layer, x, (row, column))
    if isinstance(operation.windows[0], Enlargement):
        return _enlarged(operation, x, row, column)
    if isinstance(operation.windows[0], Taps):
        whole = (row.last - row.first, column.last - column.first) == operation.shape[-2:]
        if whole and tuple(x.shape[-2:]) == size and len(operation.sources) == 1:
            output: torch.Tensor = operation.payload.run(lambda _: x)
            return output
        assert isinstance(kernel, Sampler)
        return kernel(x, row, column)
    assert kernel is not None and not isinstance(kernel, Sampler)
    windows: tuple[Window, Window] = operation.windows  # type: ignore[assignment]
    vertical, horizontal = (
        equal_padding(t, window) for t, window in zip((row, column), windows, strict=True)
    )
    if vertical is None or horizontal is None or operation.padding not in ("zeros", "constant"):
        value = -float("inf") if isinstance(layer, nn.MaxPool2d) else 0.0
        sides = (column.before, column.after, row.before, row.after)
        widened = padded(x, tuple(max(0, side) for side in sides), operation.padding, value)
        left, right, top, bottom = (max(0, -side) for side in sides)
        height, width = widened.shape[-2:]
        y = kernel(widened[..., top : height - bottom, left : width - right], (0, 0))
    else:
        (above, first, _), (beside, second, _) = vertical, horizontal
        y = kernel(x, (above, beside))
        y = y[..., first : first + row.last - row.first, second : second + column.last - column.first]
    if isinstance(layer, nn.AvgPool2d):
        return y.div_(counts_of(layer, row, column, windows, size, y))
    return y


def _enlarged(operation: Operation, x: torch.Tensor, row: Tile, column: Tile) -> torch.Tensor:
    payload = operation.payload
    options = options_of(payload.what, payload.layer, payload.args, payload.kwargs) or {}
    mode = options.get("mode", "nearest")
    enlargements = [reads for reads in operation.windows if isinstance(reads, Enlargement)]
    again = [shown_again(tile, reads) for tile, reads in zip((row, column), enlargements, strict=True)]
    if again != [(0, 0), (0, 0)]:
        x = F.pad(x, (*again[1], *again[0]), mode="replicate")
    y = F.interpolate(x, scale_factor=[float(reads.scale) for reads in enlargements], mode=mode)
    top, left = (
        tile.before + more * reads.scale
        for tile, (more, _), reads in zip((row, column), again, enlargements, strict=True)
    )
    return y[..., top : top + row.last - row.first, left : left + column.last - column.first]


def _transposed(
    operation: Operation, layer: nn.ConvTranspose2d, x: torch.Tensor, tiles: tuple[Tile, Tile]
) -> torch.Tensor:
    """A transposed convolution of a part: what its pixels add to, the rest cut off."""
    found = [
        transposed_padding(tile, reads)
        for tile, reads in zip(tiles, operation.windows, strict=True)
        if isinstance(reads, Spread)
    ]
    zeros, padding, more, _ = zip(*found, strict=True)
    x = F.pad(x, (0, zeros[1], 0, zeros[0])) if any(zeros) else x
    y = F.conv_transpose2d(
        x, layer.weight, layer.bias, layer.stride, padding, more, layer.groups, layer.dilation
    )
    top, left = (tile.before - cut for tile, cut in zip(tiles, padding, strict=True))
    row, column = tiles
    return y[..., top : top + row.last - row.first, left : left + column.last - column.first]


def _put(
    x: torch.Tensor, piece: torch.Tensor, dim: int, start: int | None, end: int | None, step: int = 1
) -> Any:
    x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)] = piece
    return x


def _put_one(x: torch.Tensor, piece: torch.Tensor, dim: int, index: int) -> Any:
    x.select(dim, index).copy_(piece)
    return x


OVERWRITING: dict[str, Callable[..., Any]] = {
    "relu": torch.relu_,
    "relu6": lambda x, *_: F.hardtanh_(x, 0.0, 6.0),
    "silu": lambda x: F.silu(x, inplace=True),
    "hardswish": lambda x: F.hardswish(x, inplace=True),
    "hardsigmoid": lambda x: F.hardsigmoid(x, inplace=True),
    "mish": lambda x: F.mish(x, inplace=True),
    "sigmoid": torch.sigmoid_,
    "tanh": torch.tanh_,
    "add": lambda x, y: x.add_(y),
    "mul": lambda x, y: x.mul_(y),
    "slice_scatter": _put,
    "select_scatter": _put_one,
}
"""Operations by name, the first operand written over."""
