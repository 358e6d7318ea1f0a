"""`Resize` of ONNX as the interpolation of PyTorch that it is: what it reads, and so how its tiles are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.tiling.geometry import Enlargement, Taps
from blockzoo.tiling.operations.sampling import terms_of

if TYPE_CHECKING:
    from blockzoo.tiling.onnx.nodes import NodeTile

MODES = {b"nearest": "nearest", b"linear": "bilinear", b"cubic": "bicubic"}
CUBIC = -0.75
"""The coefficient of PyTorch's cubic interpolation."""


def interpolation_of(
    attributes: Mapping[str, Any], scales: Sequence[float] | None, sizes: Sequence[int] | None
) -> dict[str, Any] | None:
    """The options of `F.interpolate` that compute the same; None where there are none.

    Args:
        attributes: of the node, by name.
        scales: factors of rows and columns; None where sizes are given.
        sizes: rows and columns of the output; None where scales are given.
    """
    mode = MODES.get(attributes.get("mode", b"nearest"))
    where = attributes.get("coordinate_transformation_mode", b"half_pixel")
    if mode is None or attributes.get("axes") or (scales is None) == (sizes is None):
        return None
    options: dict[str, Any] = {"mode": mode}
    options |= {"size": tuple(sizes)} if sizes is not None else {"scale_factor": tuple(scales or ())}
    if mode == "nearest":
        floor = attributes.get("nearest_mode", b"round_prefer_floor") == b"floor"
        return options if floor and where == b"asymmetric" else None
    if mode == "bicubic" and attributes.get("cubic_coeff_a", CUBIC) != CUBIC:
        return None
    if where not in (b"half_pixel", b"pytorch_half_pixel", b"align_corners"):
        return None
    antialias = bool(attributes.get("antialias", 0))
    if bool(attributes.get("exclude_outside", 0)) != antialias:  # as PyTorch weighs at borders
        return None
    return options | {"align_corners": where == b"align_corners", "antialias": antialias}


def enlarged(
    tile: NodeTile, again: Sequence[tuple[int, int]], reads: tuple[Enlargement, Enlargement]
) -> None:
    """Write a tile of a map that is enlarged by whole numbers: its pixels are, and what their neighbours make is cut off.

    Args:
        tile: its node, and where it is written to.
        again: pixels before and behind the tile that it shows once more, see `geometry.shown_again`.
        reads: of the node.
    """
    nodes, node = tile.nodes, tile.node
    node.input[:] = [node.input[0], "", nodes.numbers([1, 1, *(own.scale for own in reads)], np.float32)]
    nodes.nodes.append(node)
    starts, larger = [], []
    for side, (before, after), own in zip(tile.tiles, again, reads, strict=True):
        starts.append(side.before + before * own.scale)
        larger.append((side.stop - side.start + before + after) * own.scale)
    nodes.cut_off(node, tile.pixel, starts, tile.sizes, larger)


def interpolated(tile: NodeTile, reads: tuple[Taps, Taps]) -> None:
    """Write a tile of any other interpolation: along rows, then along columns, a sum of pixels of the tile and their weights."""
    nodes, read, name = tile.nodes, tile.node.input[0], tile.node.output[0]
    sides = [side.stop - side.start for side in tile.tiles]
    for axis, (value, target) in enumerate(((read, f"{name}/rows"), (f"{name}/rows", name))):
        sides[axis] = tile.sizes[axis]
        size, terms, total = tile.pixel * sides[0] * sides[1], terms_of(reads[axis], tile.tiles[axis]), ""
        for number, (places, weights) in enumerate(terms):
            steps: list[tuple[str, list[str], dict[str, int]]] = [
                ("Gather", [value, nodes.integers(places)], {"axis": 2 + axis})
            ]
            if weights is not None:
                shape = (-1, *[1] * (1 - axis))
                steps.append(("Mul", [nodes.numbers(weights, np.float32, shape)], {}))
            if total:
                steps.append(("Add", [total], {}))
            for place, (kind, inputs, options) in enumerate(steps):
                last = number == len(terms) - 1 and place == len(steps) - 1
                own = target if last else f"{target}/{number}/{kind}"
                total = nodes.add(kind, inputs if place == 0 else [total, *inputs], own, size, **options)
