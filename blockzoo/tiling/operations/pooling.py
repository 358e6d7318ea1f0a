"""Pools: the largest of a window, or its mean; and the mean of a whole map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import fx, nn
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
from blockzoo.tiling.geometry import Tile, Window
from blockzoo.tiling.graph.identity import is_known
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.graph.payload import Payload
from blockzoo.tiling.layers.pool import BlockAvgPool2d, BlockMaxPool2d, counts_of, windows_of
from blockzoo.tiling.operations.windows import Padding, own_cuts, window_of_node, windowed, write_window

if TYPE_CHECKING:
    from blockzoo.tiling.onnx.nodes import NodeCall, NodeTile


def _max_pool(options: dict[str, Any]) -> nn.Module:
    return nn.MaxPool2d(**{**options, "stride": options.get("stride") or options["kernel_size"]})


def _average_pool(options: dict[str, Any]) -> nn.Module:
    return nn.AvgPool2d(**{**options, "stride": options.get("stride") or options["kernel_size"]})


class _Pooling(TileableOperation):
    """What both have in common."""

    def locality(self, call: Call) -> Locality | None:
        layer = call.layer
        if not isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)) or not is_known(layer):
            return None
        indices = isinstance(layer, nn.MaxPool2d)
        if call.axes[0] != PICTURE or (isinstance(layer, nn.MaxPool2d) and layer.return_indices):
            return call.whole("a pool of another layout, or with indices")
        counts = isinstance(layer, nn.AvgPool2d) and not layer.divisor_override
        windows = windows_of(layer, torch.empty(call.shapes[0], device="meta"))
        own = None
        if isinstance(layer, (BlockMaxPool2d, BlockAvgPool2d)):
            own = own_cuts(call, windows, layer.block_size, layer.blocking)
        return Locality.window(*windows, own=own, indices=indices, counts=counts, counted=True)

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        if call.attribute("channels_last", 0):
            return call.whole("a pool of channels that come last")
        if call.attribute("ceil_mode", 0) and call.kind != "MaxPool":
            return call.whole("an average pool that rounds up: its divisor differs at the border")
        return window_of_node(call, tuple(call.attribute("kernel_shape")))

    def write_tile(self, tile: NodeTile) -> None:
        tile.leave_out("ceil_mode")
        write_window(tile)


@OPERATIONS.register("max-pool")
class MaxPooling(_Pooling):
    """The largest pixel of each window."""

    layers: Mapping[str, MakeLayer] = {"max_pool2d": _max_pool}
    functions = layers
    whole = (BlockMaxPool2d,)
    nodes = ("MaxPool",)

    def kernel(self, operation: Operation, size: tuple[int, int]) -> Kernel:
        layer: nn.MaxPool2d = operation.payload.layer

        def largest(x: torch.Tensor, padding: Padding) -> torch.Tensor:
            return F.max_pool2d(x, layer.kernel_size, layer.stride, padding, layer.dilation)

        return windowed(operation, largest, -float("inf"))

    def examples(self) -> Mapping[str, Example]:
        return {
            "padded": nn.MaxPool2d(3, 2, 1),
            "dilated": nn.MaxPool2d(2, 1, dilation=2),
            "rounded up": nn.MaxPool2d(3, 2, ceil_mode=True),
        }


@OPERATIONS.register("average-pool")
class AveragePooling(_Pooling):
    """The mean of each window, of the pixels that count."""

    layers: Mapping[str, MakeLayer] = {"avg_pool2d": _average_pool}
    functions = layers
    whole = (BlockAvgPool2d,)
    nodes = ("AveragePool", "QLinearAveragePool")

    def kernel(self, operation: Operation, size: tuple[int, int]) -> Kernel:
        layer: nn.AvgPool2d = operation.payload.layer
        windows = cast(tuple[Window, Window], operation.windows)

        def summed(x: torch.Tensor, padding: Padding) -> torch.Tensor:
            return F.avg_pool2d(x, layer.kernel_size, layer.stride, padding, divisor_override=1)

        total = windowed(operation, summed)

        def kernel(x: torch.Tensor, row: Tile, column: Tile) -> torch.Tensor:
            y = total(x, row, column)
            return y.div_(counts_of(layer, row, column, windows, size, y))

        return kernel

    def examples(self) -> Mapping[str, Example]:
        return {
            "padding counts": nn.AvgPool2d(3, 2, 1),
            "pixels count": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        }


@OPERATIONS.register("mean")
class Mean(TileableOperation):
    """The mean of a whole map, whose tiles are added up."""

    functions = ("adaptive_avg_pool2d", "mean")
    nodes = ("GlobalAveragePool", "QLinearGlobalAveragePool")

    def payload(self, name: str, node: fx.Node) -> Payload | None:
        """To more pixels than one it is an interpolation."""
        size: Any = node.args[1] if name == "adaptive_avg_pool2d" else (1,)
        if {*size} == {1}:
            return None
        return Payload(
            "interpolate", None, F.interpolate, node.args[:1], {"size": tuple(size), "mode": "area"}
        )

    def locality(self, call: Call) -> Locality | None:
        if call.axes[0] != PICTURE:
            return None
        if call.what == "mean":
            dims = call.option("dim", 1)
            dims = (dims,) if isinstance(dims, int) else dims
            if dims is None or sorted(d % 4 for d in dims) != [2, 3] or call.option("dtype", 3) is not None:
                return None
        elif call.shape[2:] != (1, 1):
            return call.whole("an average to more than one pixel")
        return Locality("pool")

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        return None if call.attribute("channels_last", 0) else Locality("pool")

    def examples(self) -> Mapping[str, Example]:
        return {
            "kept": nn.AdaptiveAvgPool2d(1),
            "in place of a map": lambda x: x.mean((2, 3)),
            "read with the map": lambda x: x * x.mean((2, 3), keepdim=True),
        }
