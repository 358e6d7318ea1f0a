"""What an operation needs in memory on tiles of one shape: its output, copies that it reads, what its kernel needs besides.

Two ways of counting. "runtime": this package's executor in PyTorch, with the copies that padding makes and the indices of pools.
"bare": a device whose layers need their input and their output and nothing else, as the literature counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from blockzoo.tiling.geometry import Window
from blockzoo.tiling.graph.network import Network, Operation
from blockzoo.tiling.planning.sides import Side, side_of
from blockzoo.tiling.planning.stage import Stage

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

Counting = Literal["runtime", "bare"]
INDEX_BYTES = 8
"""Of a max-pool's index in PyTorch, computed even where nobody asks."""


@dataclass(frozen=True)
class Counted:
    """How memory is counted.

    Args:
        item: bytes of one activation.
        counting: see above.
        in_place_depthwise: a depthwise convolution of stride 1 or more writes over its input ("bare" only).
    """

    item: int = 4
    counting: Counting = "runtime"
    in_place_depthwise: bool = False

    def of(self, network: Network, name: str) -> int:
        """Bytes of one element of a value: a mask's or an index's are what they are, whatever the network is run in."""
        return network.item(name) or self.item


def output_bytes(network: Network, operation: Operation, counted: Counted) -> int:
    """Of an operation's whole output, 0 for a view."""
    if counted.counting == "bare":
        return 0 if operation.alias else prod(operation.shape) * (operation.item or counted.item)
    return operation.elements * (operation.item or counted.item)


def beside_whole(operation: Operation, counted: Counted) -> int:
    """What an operation needs for a moment on its whole map."""
    return _as_counted(operation.beside, operation, counted)


def _as_counted(size: int, operation: Operation, counted: Counted) -> int:
    """Bytes that were measured, as in fp32 unless the output has a type of its own."""
    return size if operation.item else size * counted.item // 4


def depthwise_over(operation: Operation, dead: Sequence[str], counted: Counted) -> str | None:
    if not counted.in_place_depthwise or operation.kind != "window" or operation.macs == 0:
        return None
    channels, kernels = operation.shape[1], [w.kernel for w in operation.windows if isinstance(w, Window)]
    depthwise = operation.macs == prod(operation.shape) * prod(kernels) and channels > 1 and prod(kernels) > 1
    return next((source for source in operation.maps if depthwise and source in dead), None)


def made_on_tiles(
    network: Network,
    operation: Operation,
    rows: Side,
    columns: Side,
    count: Int[np.ndarray, "R C"],
    counted: Counted,
) -> tuple[Any, Any]:
    """Bytes of an operation's output on one tile, and what it needs for a moment besides: (R, C) both."""
    if operation.kind == "window":
        return window_bytes(network, operation, rows, columns, count, counted)
    area = np.multiply.outer(rows.made, columns.made) * count
    pixels = operation.size(0) * operation.size(1)
    beside = beside_whole(operation, counted) if counted.counting == "runtime" else 0
    return _share(output_bytes(network, operation, counted), area, pixels), _share(beside, area, pixels)


def beside_on_parts(
    operation: Operation, rows: Side, columns: Side, count: Int[np.ndarray, "R C"], counted: Counted
) -> Int[np.ndarray, "R C"]:
    """What a pointwise operation needs for a moment on one tile, if that is a part of what is held: (R, C)."""
    size = _as_counted(operation.beside_parts, operation, counted)
    area = np.multiply.outer(rows.made, columns.made) * count
    return _share(size, area, operation.size(0) * operation.size(1))


def reads_parts(
    network: Network,
    stage: Stage,
    operation: Operation,
    tops: Mapping[str, str],
    chosen: tuple[tuple[int, ...], tuple[int, ...]],
    count: Int[np.ndarray, "R C"],
) -> Bool[np.ndarray, "R C"]:
    """Of which tiles does an operation read a part of what is held, not all of it: (R, C).

    Args:
        network: that is run.
        stage: the tiles of which stage.
        operation: of the stage.
        tops: of the maps that it reads, whose memory they lie in.
        chosen: lines of tiles along rows, R of them, and along columns, C.
        count: (R, C), how many tiles that are as the one in these lines run together.
    """
    lines, there = (stage.rows, stage.columns), np.zeros(count.shape, bool)
    for top in tops.values():
        if top == network.input:  # copied into the layout of convolutions
            continue
        smaller = []
        for axis in (0, 1):
            read = side_of(operation, axis, lines[axis], chosen[axis]).reach
            if top in stage.known:
                smaller.append(read < network.size(top, axis))
                continue
            made_by = network.by_name[top]
            side = side_of(made_by, axis, lines[axis], chosen[axis])
            smaller.append(read < side.made)
            if made_by.kind == "window":  # its kernel may make more than is wanted
                outputs, wanted = side.parts[:2]
                smaller[axis] |= (outputs > wanted).any(1) & ~side.several
        one = np.logical_or.outer(*smaller)
        there |= one & (count == 1) if top in stage.known else one
    return there


def _share(size: int, area: Any, pixels: int) -> np.ndarray:
    """Of the bytes of a whole map, those of a part of it."""
    shared: np.ndarray = np.rint(size * area / pixels).astype(np.int64)
    return shared


def copied_to_read(
    network: Network,
    stage: Stage,
    operation: Operation,
    rows: Side,
    columns: Side,
    count: Int[np.ndarray, "R C"],
    counted: Counted,
) -> Int[np.ndarray, "R C"]:
    """Bytes of what is copied to be read: tiles that run together, and the image, brought into the layout of convolutions."""
    total = np.zeros(count.shape, np.int64)
    for source in operation.sources if counted.counting == "runtime" else ():
        if source not in stage.known:
            continue
        whole = network.elements(source) * counted.of(network, source)
        if source in operation.maps:
            pixels = network.size(source, 0) * network.size(source, 1)
            size = _share(whole, np.multiply.outer(rows.reach, columns.reach) * count, pixels)
        else:
            size = whole * count
        total = total + (size if source == network.input else np.where(count > 1, size, 0))
    return total


def window_bytes(
    network: Network,
    operation: Operation,
    rows: Side,
    columns: Side,
    count: Int[np.ndarray, "R C"],
    counted: Counted,
) -> tuple[Any, Any]:
    """Bytes of the output of a layer that reads neighbours on one tile, and what it needs for a moment besides: (R, C) both."""
    batch = count * network.input_shape[0]
    pixels = operation.shape[0] * operation.size(0) * operation.size(1)
    item = operation.item or counted.item
    each = prod(operation.shape) // pixels * batch * item
    whole = each * np.multiply.outer(rows.made, columns.made)
    if counted.counting == "bare":
        return whole, 0
    channels = network.shape(operation.maps[0])[1] * batch * counted.of(network, operation.maps[0])
    high, high_wanted, high_fits, high_pixels, high_bare = rows.parts[:, :, None, :, None]
    wide, wide_wanted, wide_fits, wide_pixels, wide_bare = columns.parts[:, None, :, None, :]
    fits = (high_fits * wide_fits > 0) & (operation.padding in ("zeros", "constant"))
    area = np.where(fits, high * wide, high_wanted * wide_wanted)
    copied = np.where(fits | (high_bare * wide_bare > 0), 0, high_pixels * wide_pixels)
    each, channels = each[:, :, None, None], channels[:, :, None, None]
    indices = each // item * area * INDEX_BYTES if operation.indices else 0
    counts = high_wanted * wide_wanted + high_wanted + wide_wanted if operation.counts else 0
    nbytes = (each * area).max((2, 3))
    beside = (channels * copied + indices + counts * item).max((2, 3))
    if not operation.counted:
        beside = beside + _scratch(network, operation, rows, columns, count, counted)
    several = np.logical_or.outer(rows.several, columns.several)  # made part by part and put in place
    return np.where(several, whole, nbytes), np.where(several, beside + nbytes, beside)


def _scratch(
    network: Network, operation: Operation, rows: Side, columns: Side, count: np.ndarray, counted: Counted
) -> Any:
    """A tile's share of what an operation was seen to need for a moment: as much as of its pixels, or as of its outputs."""
    source, whole = operation.maps[0], beside_whole(operation, counted)
    read = np.multiply.outer(rows.reach, columns.reach) / (network.size(source, 0) * network.size(source, 1))
    written = np.multiply.outer(rows.made, columns.made) / (operation.size(0) * operation.size(1))
    return np.ceil(whole * count * np.maximum(read, written)).astype(np.int64)
