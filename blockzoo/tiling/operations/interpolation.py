"""Interpolation: maps made larger or smaller, in any mode of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import fx
from torch.nn import functional as F

from blockzoo.models.views import options
from blockzoo.tiling.contracts import OPERATIONS, PICTURE, Call, Example, Kernel, Locality, TileableOperation
from blockzoo.tiling.geometry import Enlargement, Taps, Tile, shown_again
from blockzoo.tiling.graph.network import Operation
from blockzoo.tiling.graph.payload import Payload
from blockzoo.tiling.operations.resize import enlarged, interpolated, interpolation_of
from blockzoo.tiling.operations.sampling import Sampler, reads_of

if TYPE_CHECKING:
    from blockzoo.tiling.onnx.nodes import NodeCall, NodeTile

MODES = {
    "upsample_nearest2d": "nearest",
    "_upsample_nearest_exact2d": "nearest-exact",
    "upsample_bilinear2d": "bilinear",
    "_upsample_bilinear2d_aa": "bilinear",
    "upsample_bicubic2d": "bicubic",
    "_upsample_bicubic2d_aa": "bicubic",
}
"""Functions that make a map larger or smaller, and the mode of `interpolate` that they are."""


@OPERATIONS.register("interpolation")
class Interpolation(TileableOperation):
    """A map made larger or smaller: each output a sum of pixels and their weights."""

    functions = ("interpolate", *MODES)
    nodes = ("Resize",)

    def payload(self, name: str, node: fx.Node) -> Payload | None:
        return Payload("interpolate", None, F.interpolate, node.args[:1], _options(node, name))

    def locality(self, call: Call) -> Locality | None:
        if call.axes[0] != PICTURE or len(call.shape) != 4:
            return None
        sizes = [(shape[2], shape[3]) for shape in (call.shapes[0], call.shape)]
        windows = reads_of(call.kwargs, sizes[0], sizes[1], call.output.dtype)
        if windows is None:
            return call.whole(
                f"an interpolation from {sizes[0]} to {sizes[1]} pixels: its maps are too large"
            )
        return Locality.window(*windows, counted=True)

    def kernel(self, operation: Operation, size: tuple[int, int]) -> Kernel:
        rows, columns = operation.windows
        if isinstance(rows, Enlargement) and isinstance(columns, Enlargement):
            return _enlarging(operation, (rows, columns))
        return _sampling(operation, size)

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        source = call.values[call.maps[0]]
        scales, sizes = (
            None if values is None else values[2:] for values in map(call.constant_values, (2, 3))
        )
        chosen = interpolation_of(call.attributes, scales, sizes)
        if chosen is None or call.others or call.shape[:2] != source.shape[:2]:
            return call.whole("a Resize that is no interpolation of PyTorch")
        windows = reads_of(chosen, source.shape[2:], call.shape[2:])  # type: ignore[arg-type]
        if windows is None:
            return call.whole("an interpolation whose maps are too large")
        if isinstance(windows[0], Taps) and chosen["mode"] != "nearest" and source.item == 1:
            return call.whole("an interpolation of integers, which is rounded once")
        return Locality.window(*windows)

    def write_tile(self, tile: NodeTile) -> None:
        rows, columns = tile.operation.windows
        if isinstance(rows, Taps) and isinstance(columns, Taps):
            interpolated(tile, (rows, columns))
            return
        reads = cast(tuple[Enlargement, Enlargement], (rows, columns))
        again = [shown_again(t, own) for t, own in zip(tile.tiles, reads, strict=True)]
        if again != [(0, 0), (0, 0)]:
            tile.pad(again, "edge")
        enlarged(tile, again, reads)

    def examples(self) -> Mapping[str, Example]:
        return {
            "nearest": lambda x: F.interpolate(x, scale_factor=2),
            "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
            "to a size": lambda x: F.interpolate(x, (17, 23), mode="bilinear", align_corners=True),
            "smaller": lambda x: F.interpolate(x, (7, 5)),
            "area": lambda x: F.adaptive_avg_pool2d(x, (5, 4)),
        }


def _options(node: fx.Node, name: str) -> dict[str, Any]:
    """Options of `interpolate`."""
    arguments = options(node.target, node.args, node.kwargs)  # type: ignore[arg-type]
    size: Any = arguments.get("output_size")
    scales: Any = arguments.get("scale_factors")
    if "scale_factors" not in arguments:  # the form with a size and a scale for each axis
        scales = [arguments.get("scales_h"), arguments.get("scales_w")]
        size, scales = (None, scales) if None not in scales else (size, None)
    chosen: dict[str, Any] = {"mode": MODES[name]}
    chosen |= {"size": tuple(size)} if size is not None else {"scale_factor": tuple(scales)}
    if arguments.get("align_corners") is not None:
        chosen["align_corners"] = arguments["align_corners"]
    return chosen | ({"antialias": True} if name.endswith("_aa") else {})


def _enlarging(operation: Operation, reads: tuple[Enlargement, Enlargement]) -> Kernel:
    """By whole numbers: the tile's pixels and their neighbours enlarged, and what these make cut off."""
    mode = operation.payload.kwargs.get("mode", "nearest")

    def kernel(x: torch.Tensor, row: Tile, column: Tile) -> torch.Tensor:
        again = [shown_again(tile, own) for tile, own in zip((row, column), reads, strict=True)]
        if again != [(0, 0), (0, 0)]:
            x = F.pad(x, (*again[1], *again[0]), mode="replicate")
        y = F.interpolate(x, scale_factor=[float(own.scale) for own in reads], mode=mode)
        top, left = (
            tile.before + more * own.scale
            for tile, (more, _), own in zip((row, column), again, reads, strict=True)
        )
        return y[..., top : top + row.last - row.first, left : left + column.last - column.first]

    return kernel


def _sampling(operation: Operation, size: tuple[int, int]) -> Kernel:
    """By any numbers: sums of pixels and their weights; a whole map as PyTorch makes it."""
    sampler = Sampler(*cast(tuple[Taps, Taps], operation.windows))
    alone = len(operation.sources) == 1

    def kernel(x: torch.Tensor, row: Tile, column: Tile) -> torch.Tensor:
        whole = (row.last - row.first, column.last - column.first) == operation.shape[-2:]
        if whole and tuple(x.shape[-2:]) == size and alone:
            output: torch.Tensor = operation.payload.run(lambda _: x)
            return output
        return sampler(x, row, column)

    return kernel
