"""Pooling of tiles that do not see each other: windows that overlap a cut see padding instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import Blocking, Tile, Window, pair, tiles
from blockzoo.tiling.layers.conv import over_tiles

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

Sides = tuple[tuple[int, int], tuple[int, int]]
"""Pixels above and below, left and right."""

NO_SIDES: Sides = ((0, 0), (0, 0))


class BlockMaxPool2d(nn.MaxPool2d):
    """Max-pooling within tiles. Input (N, C, H, W) or (C, H, W).

    Args:
        pool: the layer whose options are taken over.
        block_size: as for `BlockConv2d`; it counts input pixels of this layer.
        blocking: as for `BlockConv2d`.
    """

    def __init__(
        self, pool: nn.MaxPool2d, block_size: int | Sequence[int], blocking: Blocking = "fixed"
    ) -> None:
        if pool.return_indices:
            raise UsageError(
                "a max-pool that returns indices cannot be cut into tiles: indices count within the map"
            )
        super().__init__(pool.kernel_size, pool.stride, pool.padding, pool.dilation, False, pool.ceil_mode)
        self.block_size, self.blocking = pair(block_size, "block size"), blocking
        self.train(pool.training)

    def forward(
        self, input: Shaped[torch.Tensor, "*N C H W"], extra: Sides = NO_SIDES
    ) -> Shaped[torch.Tensor, "*N C H_out W_out"]:
        rows, columns = axes_of(self, input, self.block_size, self.blocking, extra)

        def pooled(part: torch.Tensor) -> torch.Tensor:
            return F.max_pool2d(part, self.kernel_size, self.stride, 0, self.dilation)

        return _run(input, rows, columns, pooled, -float("inf"))


class BlockAvgPool2d(nn.AvgPool2d):
    """Average pooling within tiles. Input (N, C, H, W) or (C, H, W).

    With `count_include_pad` the zeros at cuts count as those at the border do; without it, only pixels of the tile count.

    Args:
        pool: the layer whose options are taken over.
        block_size: as for `BlockConv2d`; it counts input pixels of this layer.
        blocking: as for `BlockConv2d`.
    """

    def __init__(
        self, pool: nn.AvgPool2d, block_size: int | Sequence[int], blocking: Blocking = "fixed"
    ) -> None:
        super().__init__(
            pool.kernel_size,
            pool.stride,
            pool.padding,
            pool.ceil_mode,
            pool.count_include_pad,
            pool.divisor_override,
        )
        self.block_size, self.blocking = pair(block_size, "block size"), blocking
        self.train(pool.training)

    def forward(
        self, input: Float[torch.Tensor, "*N C H W"], extra: Sides = NO_SIDES
    ) -> Float[torch.Tensor, "*N C H_out W_out"]:
        rows, columns = axes_of(self, input, self.block_size, self.blocking, extra)

        def summed(part: torch.Tensor) -> torch.Tensor:
            return F.avg_pool2d(part, self.kernel_size, self.stride, divisor_override=1)

        total = _run(input, rows, columns, summed)
        divisor = self.divisor_override or self._area_of_pixels(extra)
        if divisor:
            return total / divisor
        heights, widths = (
            _counts(parts, size, window, self.count_include_pad)
            for parts, size, window in zip(
                (rows, columns), input.shape[-2:], windows_of(self, input), strict=True
            )
        )
        counts = torch.tensor(heights, device=input.device)[:, None] * torch.tensor(
            widths, device=input.device
        )
        return total / counts.to(total)

    def _area_of_pixels(self, extra: Sides) -> int:
        """Of a map that was padded before, every pixel counts: the window's area; 0 where nothing was padded."""
        if extra == NO_SIDES:
            return 0
        if self.ceil_mode or max(pair(self.padding, "padding")):
            raise UsageError(
                "an average pool that pads a map padded before: its counts at cuts are not known"
            )
        rows, columns = pair(self.kernel_size, "kernel size")
        return rows * columns


def windows_of(
    pool: nn.MaxPool2d | nn.AvgPool2d, input: Shaped[torch.Tensor, "*N C H W"], extra: Sides = NO_SIDES
) -> tuple[Window, Window]:
    """What a pool reads along rows and columns; `ceil_mode` is padding after the last pixel.

    Args:
        pool: its options.
        input: its map.
        extra: padding that the map has got before, which the pool takes for pixels.
    """
    windows = []
    for axis, (length, (first, last)) in enumerate(zip(input.shape[-2:], extra, strict=True)):
        size = length + first + last
        kernel, stride, padding, dilation = (
            pair(value, "pool option")[axis]
            for value in (pool.kernel_size, pool.stride, pool.padding, getattr(pool, "dilation", 1))
        )
        after = padding
        if pool.ceil_mode:
            extent = Window(kernel, stride, dilation).extent
            outputs = -(-(size + 2 * padding - extent) // stride) + 1
            if (outputs - 1) * stride >= size + padding:  # the last window must begin inside
                outputs -= 1
            after = max(padding, (outputs - 1) * stride + extent - size - padding)
        windows.append(Window(kernel, stride, dilation, padding + first, after + last))
    return windows[0], windows[1]


def axes_of(
    pool: nn.MaxPool2d | nn.AvgPool2d,
    input: Shaped[torch.Tensor, "*N C H W"],
    block: tuple[int, int],
    blocking: Blocking,
    extra: Sides = NO_SIDES,
) -> tuple[list[Tile], list[Tile]]:
    """The tiles of both axes."""
    rows, columns = (
        tiles(size, window, own, blocking)
        for size, window, own in zip(input.shape[-2:], windows_of(pool, input, extra), block, strict=True)
    )
    return rows, columns


def counts_of(
    pool: nn.AvgPool2d,
    row: Tile,
    column: Tile,
    windows: tuple[Window, Window],
    sizes: tuple[int, int],
    like: Float[torch.Tensor, "N C h w"],
) -> Float[torch.Tensor, "h w"] | int:
    """How many pixels each output of one tile is an average of, (h, w), or all of them; `sizes` are those of the whole map."""
    if pool.divisor_override:
        return int(pool.divisor_override)
    heights, widths = (
        _counts([tile], size, window, pool.count_include_pad)
        for tile, window, size in zip((row, column), windows, sizes, strict=True)
    )
    if len({*heights}) == len({*widths}) == 1:
        return heights[0] * widths[0]
    rows, columns = (torch.tensor(c, dtype=like.dtype, device=like.device) for c in (heights, widths))
    return rows[:, None] * columns


def _counts(parts: Sequence[Tile], size: int, window: Window, include_padding: bool) -> list[int]:
    """Pixels along one axis that each output is an average of, as nn.AvgPool2d counts them."""
    counts = []
    for tile in parts:
        for output in range(tile.first, tile.last):
            start = output * window.stride - window.before
            stop = start + window.kernel
            if include_padding:  # padding asked for counts, what ceil_mode adds beyond it does not
                stop = min(stop, size + window.before)
            else:
                start, stop = max(start, tile.start), min(stop, tile.stop)
            counts.append(max(1, stop - start))
    return counts


def _run(
    input: torch.Tensor,
    rows: list[Tile],
    columns: list[Tile],
    layer: Callable[[torch.Tensor], torch.Tensor],
    value: float = 0.0,
) -> torch.Tensor:
    batched = input if input.ndim == 4 else input[None]
    output = over_tiles(batched, rows, columns, layer, "zeros", value)
    return output if input.ndim == 4 else output[0]
