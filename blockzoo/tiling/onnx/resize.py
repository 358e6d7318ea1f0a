"""`Resize` of ONNX as the interpolation of PyTorch that it is: what it reads, and so how its tiles are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.tiling.geometry import Enlargement, Taps, Tile
from blockzoo.tiling.graph.interpolation import terms_of
from blockzoo.tiling.onnx.nodes import Nodes

if TYPE_CHECKING:
    from onnx import NodeProto

MODES = {b"nearest": "nearest", b"linear": "bilinear", b"cubic": "bicubic"}
CUBIC = -0.75
"""The coefficient of PyTorch's cubic interpolation."""


def interpolation_of(
    attributes: Mapping[str, Any], scales: Sequence[float] | None, sizes: Sequence[int] | None
) -> dict[str, Any] | None:
    """The options of `F.interpolate` that compute the same; None where there are none.

    Args:
        attributes: of the node, by name.
        scales, sizes: of rows and columns, one of the two.
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
    nodes: Nodes,
    node: NodeProto,
    tiles: tuple[Tile, Tile],
    again: Sequence[tuple[int, int]],
    reads: tuple[Enlargement, Enlargement],
    pixel: int,
) -> None:
    """Write a tile of a map that is enlarged by whole numbers: its pixels are, and what their neighbours make is cut off.

    Args:
        node: the whole map's, with the tile's names.
        again: pixels before and behind the tile that it shows once more, see `geometry.shown_again`.
        reads: of the node.
        pixel: bytes of one pixel of the map.
    """
    node.input[:] = [node.input[0], "", nodes.numbers([1, 1, *(own.scale for own in reads)], np.float32)]
    nodes.nodes.append(node)
    starts, sizes, larger = [], [], []
    for tile, (before, after), own in zip(tiles, again, reads, strict=True):
        starts.append(tile.before + before * own.scale)
        sizes.append(tile.last - tile.first)
        larger.append((tile.stop - tile.start + before + after) * own.scale)
    nodes.cut_off(node, pixel, starts, sizes, larger)


def interpolated(
    nodes: Nodes, read: str, name: str, tiles: tuple[Tile, Tile], reads: tuple[Taps, Taps], pixel: int
) -> None:
    """Write a tile of any other interpolation: along rows, then along columns, a sum of pixels of the tile and their weights.

    Args:
        read, name: the values that it reads and makes.
        reads, pixel: see `enlarged`.
    """
    sides = [tile.stop - tile.start for tile in tiles]
    for axis, (value, made) in enumerate(((read, f"{name}/rows"), (f"{name}/rows", name))):
        sides[axis] = tiles[axis].last - tiles[axis].first
        size, terms, total = pixel * sides[0] * sides[1], terms_of(reads[axis], tiles[axis]), ""
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
                own = made if last else f"{made}/{number}/{kind}"
                total = nodes.add(kind, inputs if place == 0 else [total, *inputs], own, size, **options)
