"""Operations whose outputs each read a window: how a tile of one is run, padded where its place asks for it, and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch

from blockzoo.tiling.contracts import Call, Kernel, Locality
from blockzoo.tiling.geometry import Tile, Window, equal_padding, tiles
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.layers.conv import padded

if TYPE_CHECKING:
    from blockzoo.tiling.onnx.nodes import NodeCall, NodeTile

Padding = tuple[int, int]
"""Along rows and along columns, equal on both sides."""
BORDERS = {"reflect": "reflect", "replicate": "edge"}
"""Paddings that are pixels, as ONNX names them."""


def windowed(
    operation: Operation, run: Callable[[torch.Tensor, Padding], torch.Tensor], value: float = 0.0
) -> Kernel:
    """A kernel that pads without a copy where it can: equally on both sides, the outputs that are too many cut off.

    Args:
        operation: whose windows are read.
        run: from a map and its padding to a map.
        value: what the padding holds; `run` must pad with the same.
    """
    windows = cast(tuple[Window, Window], operation.windows)

    def kernel(x: torch.Tensor, row: Tile, column: Tile) -> torch.Tensor:
        vertical, horizontal = (
            equal_padding(t, window) for t, window in zip((row, column), windows, strict=True)
        )
        if vertical is None or horizontal is None or operation.padding not in ("zeros", "constant"):
            sides = (column.before, column.after, row.before, row.after)
            widened = padded(x, tuple(max(0, side) for side in sides), operation.padding, value)
            left, right, top, bottom = (max(0, -side) for side in sides)
            height, width = widened.shape[-2:]
            return run(widened[..., top : height - bottom, left : width - right], (0, 0))
        (above, first, _), (beside, second, _) = vertical, horizontal
        y = run(x, (above, beside))
        return y[..., first : first + row.last - row.first, second : second + column.last - column.first]

    return kernel


def own_cuts(call: Call, windows: Sequence[Window], blocks: Sequence[int], blocking: Any) -> tuple[Any, Any]:
    """Where the outputs of a blocked layer are cut."""
    rows, columns = (
        [0, *(tile.last for tile in tiles(size, window, block, blocking))]
        for size, window, block in zip(call.shapes[0][2:], windows, blocks, strict=True)
    )
    return rows, columns


def window_of_node(call: NodeCall, kernel: tuple[int, ...], **others: Any) -> Locality:
    """Of a node with strides, dilations and pads; padding behind the map is as much as its outputs need."""
    stride = tuple(call.attribute("strides", (1, 1)))
    dilation = tuple(call.attribute("dilations", (1, 1)))
    pads = tuple(call.attribute("pads", (0, 0, 0, 0)))
    same = call.automatic_padding
    axes = []
    for axis in (0, 1):
        size, outputs = call.values[call.maps[0]].shape[2 + axis], call.shape[2 + axis]
        extent = dilation[axis] * (kernel[axis] - 1) + 1
        total = max((outputs - 1) * stride[axis] + extent - size, 0)
        before = {"SAME_UPPER": total // 2, "SAME_LOWER": total - total // 2}.get(same, pads[axis])
        after = max(pads[2 + axis] if same == "NOTSET" else 0, total - before)
        axes.append(Window(kernel[axis], stride[axis], dilation[axis], before, after))
    return Locality.window(*axes, **others)


def write_window(tile: NodeTile) -> None:
    """The node of a tile, with the padding that its place asks for; of more outputs than are wanted the rest is cut off."""
    windows = cast(tuple[Window, Window], tile.operation.windows)
    (above, first, high), (beside, second, wide) = (
        _padding_of(t, window) for t, window in zip(tile.tiles, windows, strict=True)
    )
    pads = [above, beside]
    if tile.operation.padding in BORDERS and any(any(pad) for pad in pads):
        tile.pad(pads, BORDERS[tile.operation.padding])
        pads = [(0, 0), (0, 0)]
    tile.set(pads=[*(before for before, _ in pads), *(after for _, after in pads)])
    tile.nodes.nodes.append(tile.node)
    # more than are wanted, of a tile that owns none of the pixels its outputs read
    tile.nodes.cut_off(tile.node, tile.pixel, [first, second], tile.sizes, [high, wide])


def _padding_of(tile: Tile, window: Window) -> tuple[tuple[int, int], int, int]:
    """Padding before and after that makes a tile's outputs, how many outputs come before these, and how many it makes."""
    more = -(-max(0, -tile.before) // window.stride)
    before, after = tile.before + more * window.stride, max(0, tile.after)
    outputs = (tile.stop - tile.start + before + after - window.extent) // window.stride + 1
    return (before, after), more, outputs
