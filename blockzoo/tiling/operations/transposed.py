"""Transposed convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.tiling.contracts import (
    OPERATIONS,
    PICTURE,
    Call,
    Example,
    Kernel,
    Locality,
    MakeLayer,
    TileableOperation,
)
from blockzoo.tiling.geometry import Spread, Tile, pair, transposed_padding
from blockzoo.tiling.graph.identity import is_known
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.layers.convolutions import with_weights

if TYPE_CHECKING:
    from blockzoo.tiling.onnx.nodes import NodeCall, NodeTile


def _layer(options: dict[str, Any]) -> nn.Module:
    weight, bias, groups = options["weight"], options.get("bias"), options.get("groups", 1)
    names = ("stride", "padding", "output_padding", "dilation")
    chosen: dict[str, Any] = {name: pair(options[name], name) for name in names if name in options}
    sides, kernel = (weight.shape[0], weight.shape[1] * groups), (weight.shape[2], weight.shape[3])
    layer = nn.ConvTranspose2d(*sides, kernel, groups=groups, bias=bias is not None, device="meta", **chosen)
    return with_weights(layer, weight, bias)


@OPERATIONS.register("transposed-convolution")
class TransposedConvolution(TileableOperation):
    """A transposed convolution: each pixel adds to several outputs."""

    layers: Mapping[str, MakeLayer] = {"conv_transpose2d": _layer}
    functions = layers
    nodes = ("ConvTranspose",)

    def locality(self, call: Call) -> Locality | None:
        layer = call.layer
        if type(layer) is not nn.ConvTranspose2d or not is_known(layer):
            return None
        if call.axes[0] != PICTURE:
            return call.whole("a transposed convolution on channels that come last")
        options = (layer.kernel_size, layer.stride, layer.dilation, layer.padding)
        rows, columns = (Spread(*(int(option[axis]) for option in options)) for axis in (0, 1))
        return Locality.window(rows, columns, counted=True)

    def kernel(self, operation: Operation, size: tuple[int, int]) -> Kernel:
        """What the pixels of a part add to, the rest cut off."""
        layer: nn.ConvTranspose2d = operation.payload.layer

        def kernel(x: torch.Tensor, row: Tile, column: Tile) -> torch.Tensor:
            zeros, padding, more, _ = zip(*_paddings(operation, (row, column)), strict=True)
            x = F.pad(x, (0, zeros[1], 0, zeros[0])) if any(zeros) else x
            y = F.conv_transpose2d(
                x, layer.weight, layer.bias, layer.stride, padding, more, layer.groups, layer.dilation
            )
            top, left = (tile.before - cut for tile, cut in zip((row, column), padding, strict=True))
            return y[..., top : top + row.last - row.first, left : left + column.last - column.first]

        return kernel

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        weight = call.constant(1)
        automatic = call.automatic_padding != "NOTSET"
        if weight is None or automatic or call.attribute("output_shape") is not None:
            return call.whole("a transposed convolution whose weights or padding are computed")
        options = (
            tuple(weight.dims[2:]),
            tuple(call.attribute("strides", (1, 1))),
            tuple(call.attribute("dilations", (1, 1))),
            tuple(call.attribute("pads", (0, 0, 0, 0)))[:2],
        )
        rows, columns = (Spread(*(int(option[axis]) for option in options)) for axis in (0, 1))
        return Locality.window(rows, columns)

    def macs_of_node(self, call: NodeCall) -> int:
        weight = call.constant(1)
        return 0 if weight is None else prod(call.values[call.node.input[0]].shape) * prod(weight.dims[1:])

    def write_tile(self, tile: NodeTile) -> None:
        """Outputs that no pixel of the tile adds to come of zeros behind it. `pads` are outputs that are cut off; output padding
        makes those that are missing.
        """
        zeros = [(0, behind) for behind, *_ in _paddings(tile.operation, tile.tiles)]
        if zeros != [(0, 0), (0, 0)]:
            tile.pad(zeros)
        strides = [cast(Spread, reads).stride for reads in tile.operation.windows]
        after = [
            t.after + behind * stride
            for t, (_, behind), stride in zip(tile.tiles, zeros, strides, strict=True)
        ]
        tile.set(
            pads=[*(t.before for t in tile.tiles), *(max(0, pad) for pad in after)],
            output_padding=[max(0, -pad) for pad in after],
        )
        tile.nodes.nodes.append(tile.node)

    def examples(self) -> Mapping[str, Example]:
        return {
            "twice": nn.ConvTranspose2d(4, 4, 2, 2),
            "overlapping": nn.ConvTranspose2d(4, 4, 4, 2, 1),
            "with gaps": nn.ConvTranspose2d(4, 4, 2, 3, output_padding=1),
            "dilated, in groups": nn.ConvTranspose2d(4, 4, 3, 1, 2, groups=2, dilation=2),
        }


def _paddings(operation: Operation, tiles: tuple[Tile, Tile]) -> list[tuple[int, int, int, int]]:
    """See `geometry.transposed_padding`: along rows and along columns."""
    return [
        transposed_padding(tile, cast(Spread, reads))
        for tile, reads in zip(tiles, operation.windows, strict=True)
    ]
