"""What a plan costs, predicted without running it: live bytes as the executor will hold them, multiply-adds, tiles.

Two ways of counting memory. "runtime": this package's executor in PyTorch, with the copies that padding makes and the indices of
pools. "bare": a device whose layers need their input and their output and nothing else, as the literature counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any, Literal

import numpy as np

from blockzoo.tiling.geometry import (
    Taps,
    Window,
)
from blockzoo.tiling.graph.network import Network, Operation, roots
from blockzoo.tiling.planning.grouping import Place, alike
from blockzoo.tiling.planning.plan import Cost, Part
from blockzoo.tiling.planning.sides import Side, side_of
from blockzoo.tiling.planning.stage import Stage, whole_map

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


def cost(
    network: Network, parts: Sequence[Part], counted: Counted, held: dict[str, int] | None = None
) -> Cost:
    """Of a program, or of a part of one.

    Args:
        held: bytes of the values from before that are alive.
    """
    live: dict[str, int] = dict(held or {})
    root: dict[str, str] = {}
    peaks, macs, tiles = [], 0, 0
    for part in parts:
        if part.stage is None:
            peaks.append(_whole(network, part, live, root, counted))
            macs += sum(operation.macs for operation in part.operations)
            continue
        made = network.elements(part.step.output) * counted.of(
            network, part.step.output
        )  # put together, whatever it is layer by layer
        beside, more, passes = _stage_cost(network, part, part.stage, counted)
        peaks.append(sum(live.values()) + made + beside)
        macs += more
        tiles += passes
        live[part.step.output] = made
        _forget(live, part.ends, root)
    return Cost(max(peaks, default=0), macs, tiles, tuple(peaks))


def _stage_cost(network: Network, part: Part, stage: Stage, counted: Counted) -> tuple[int, int, int]:
    """Peak bytes of the tiles of a stage, its multiply-adds, and tiles; worked out once, since plans share stages."""
    key = (stage.key, part.step.batch, counted)
    if key not in network.costs:
        tiles = len(stage.rows) * len(stage.columns)
        network.costs[key] = stage_bytes(network, part, counted), stage_macs(stage), tiles
    known: tuple[int, int, int] = network.costs[key]
    return known


def _whole(network: Network, part: Part, live: dict[str, int], root: dict[str, str], counted: Counted) -> int:
    """Peak of operations on whole maps, one after the other; `live` is brought up to date."""
    peak = 0
    for operation, dead, over in zip(part.operations, part.dead, part.over, strict=True):
        over = over or _depthwise_over(operation, dead, counted)
        if operation.alias and operation.sources:
            root[operation.name] = root.get(operation.sources[0], operation.sources[0])
            made = beside = 0
        elif over is not None:
            root[operation.name] = root.get(over, over)
            top = root[operation.name]
            live[top] = max(live.get(top, 0), _bytes(network, operation, counted))
            made = beside = 0
        else:
            made, beside = _made_whole(network, operation, counted)
            live[operation.name] = made
        peak = max(peak, sum(live.values()) + beside)
        gone = [
            name
            for name in dead
            if root.get(name, name) != root.get(operation.name, operation.name) or _ends(dead, operation)
        ]
        _forget(live, gone, root)
    return peak


def _ends(dead: Sequence[str], operation: Operation) -> bool:
    return operation.name in dead


def _forget(live: dict[str, int], dead: Sequence[str], root: dict[str, str]) -> None:
    for name in dead:
        live.pop(root.get(name, name), None)


def _bytes(network: Network, operation: Operation, counted: Counted) -> int:
    """Of an operation's whole output, 0 for a view."""
    if counted.counting == "bare":
        return 0 if operation.alias else prod(operation.shape) * (operation.item or counted.item)
    return operation.elements * (operation.item or counted.item)


def _beside(operation: Operation, counted: Counted) -> int:
    return operation.beside if operation.item else operation.beside * counted.item // 4


def _made_whole(network: Network, operation: Operation, counted: Counted) -> tuple[int, int]:
    """Bytes of an operation's output on its whole map, with what is made beyond it and not shown, and what it needs for a moment
    besides.
    """
    size = _bytes(network, operation, counted)
    if counted.counting == "bare":
        return size, 0
    as_it_is = isinstance(operation.windows[0], Taps) and len(operation.sources) == 1
    if operation.kind != "window" or as_it_is:
        return size, _beside(operation, counted)
    rows, columns = whole_map(network, operation)
    vertical, horizontal = (
        Side(operation, axis, [line[operation.name]]) for axis, line in enumerate((rows, columns))
    )
    sizes = _window(network, operation, vertical, horizontal, np.array([[1]]), counted)
    made, beside = (int(one[0, 0]) for one in sizes)
    if operation.maps[0] == network.input:  # brought into the layout of convolutions
        beside += prod(network.input_shape) * counted.of(network, network.input)
    return made, beside


def _depthwise_over(operation: Operation, dead: Sequence[str], counted: Counted) -> str | None:
    if not counted.in_place_depthwise or operation.kind != "window" or operation.macs == 0:
        return None
    channels, kernels = operation.shape[1], [w.kernel for w in operation.windows if isinstance(w, Window)]
    depthwise = operation.macs == prod(operation.shape) * prod(kernels) and channels > 1 and prod(kernels) > 1
    return next((source for source in operation.maps if depthwise and source in dead), None)


def tile_bytes(network: Network, part: Part, places: Sequence[Place], counted: Counted) -> int:
    """Peak bytes of some tiles of one shape on their way through a stage."""
    (row, column), count = places[0], np.array([[len(places)]])
    return int(_tiles_bytes(network, part, ((row,), (column,)), count, counted)[0, 0])


def stage_bytes(network: Network, part: Part, counted: Counted) -> int:
    """Peak bytes of the tiles of a stage, of those that run together at a time: of each shape the most that do."""
    stage = part.stage
    assert stage is not None
    shapes = [alike(stage, lines) for lines in (stage.rows, stage.columns)]
    rows, columns = (tuple(tiles[0] for tiles in alike_tiles) for alike_tiles in shapes)
    tiles = np.multiply.outer(*([len(tiles) for tiles in alike_tiles] for alike_tiles in shapes))
    return int(
        _tiles_bytes(network, part, (rows, columns), np.minimum(tiles, part.step.batch), counted).max()
    )


def _tiles_bytes(
    network: Network,
    part: Part,
    chosen: tuple[tuple[int, ...], tuple[int, ...]],
    count: np.ndarray,
    counted: Counted,
) -> np.ndarray:
    """Peak bytes of tiles that run together, in one walk over the operations.

    Args:
        chosen: lines of tiles along rows, R of them, and along columns, C.
        count: (R, C), how many tiles that are as the one in these lines run together.

    Returns:
        (R, C).
    """
    stage = part.stage
    assert stage is not None
    live: dict[str, Any] = {}
    known, lines = {*stage.known}, (stage.rows, stage.columns)
    root = roots(stage.operations, known)
    total = peak = np.zeros(count.shape, np.int64)
    for operation, dead, over in zip(stage.operations, part.dead, part.over, strict=True):
        over = over or _depthwise_over(operation, dead, counted)
        if over is not None:
            root[operation.name] = root.get(over, over)
        fresh = over is None and not operation.alias
        if fresh or not known.isdisjoint(operation.sources):
            rows, columns = (side_of(operation, axis, lines[axis], chosen[axis]) for axis in (0, 1))
            read = _copied(network, stage, operation, rows, columns, count, counted)
            made, beside = _made(network, operation, rows, columns, count, counted) if fresh else (0, 0)
            if fresh and operation.beside_parts > operation.beside and counted.counting == "runtime":
                tops = {source: root.get(source, source) for source in operation.maps}
                parts = _reads_parts(network, stage, operation, tops, chosen, count)
                beside = np.where(parts, _beside_parts(operation, rows, columns, count, counted), beside)
            if operation.alias:  # a view of what was copied to be read keeps the copy
                made, read = read, 0
            if over is None:
                live[operation.name], total = made, total + made
            peak = np.maximum(peak, total + beside + read)
        keep = root.get(operation.name, operation.name)
        for name in dict.fromkeys(root.get(name, name) for name in dead):
            if name != keep and name in live:
                total = total - live.pop(name)
    return peak


def _made(
    network: Network, operation: Operation, rows: Side, columns: Side, count: np.ndarray, counted: Counted
) -> tuple[Any, Any]:
    """Bytes of an operation's output on one tile, and what it needs for a moment besides: (R, C) both."""
    if operation.kind == "window":
        return _window(network, operation, rows, columns, count, counted)
    area = np.multiply.outer(rows.made, columns.made) * count
    pixels = operation.size(0) * operation.size(1)
    beside = _beside(operation, counted) if counted.counting == "runtime" else 0
    return _share(_bytes(network, operation, counted), area, pixels), _share(beside, area, pixels)


def _beside_parts(
    operation: Operation, rows: Side, columns: Side, count: np.ndarray, counted: Counted
) -> Any:
    """What a pointwise operation needs for a moment on one tile, if that is a part of what is held: (R, C)."""
    size = operation.beside_parts if operation.item else operation.beside_parts * counted.item // 4
    area = np.multiply.outer(rows.made, columns.made) * count
    return _share(size, area, operation.size(0) * operation.size(1))


def _reads_parts(
    network: Network,
    stage: Stage,
    operation: Operation,
    tops: Mapping[str, str],
    chosen: tuple[tuple[int, ...], tuple[int, ...]],
    count: np.ndarray,
) -> Any:
    """Of which tiles does an operation read a part of what is held, not all of it: (R, C).

    Args:
        tops: of the maps that it reads, whose memory they lie in.
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
                made, wanted = side.parts[:2]
                smaller[axis] |= (made > wanted).any(1) & ~side.several
        one = np.logical_or.outer(*smaller)
        there |= one & (count == 1) if top in stage.known else one
    return there


def _share(size: int, area: Any, pixels: int) -> Any:
    """Of the bytes of a whole map, those of a part of it."""
    return np.rint(size * area / pixels).astype(np.int64)


def _copied(
    network: Network,
    stage: Stage,
    operation: Operation,
    rows: Side,
    columns: Side,
    count: np.ndarray,
    counted: Counted,
) -> Any:
    """Bytes of what is copied to be read: tiles that run together, and the image, brought into the layout of convolutions."""
    total: Any = 0
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


def _window(
    network: Network, operation: Operation, rows: Side, columns: Side, count: np.ndarray, counted: Counted
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
    made = (each * area).max((2, 3))
    beside = (channels * copied + indices + counts * item).max((2, 3))
    if not operation.counted:
        beside = beside + _scratch(network, operation, rows, columns, count, counted)
    several = np.logical_or.outer(rows.several, columns.several)  # made part by part and put in place
    return np.where(several, whole, made), np.where(several, beside + made, beside)


def _scratch(
    network: Network, operation: Operation, rows: Side, columns: Side, count: np.ndarray, counted: Counted
) -> Any:
    """A tile's share of what an operation was seen to need for a moment: as much as of its pixels, or as of its outputs."""
    source, whole = operation.maps[0], _beside(operation, counted)
    read = np.multiply.outer(rows.reach, columns.reach) / (network.size(source, 0) * network.size(source, 1))
    made = np.multiply.outer(rows.made, columns.made) / (operation.size(0) * operation.size(1))
    return np.ceil(whole * count * np.maximum(read, made)).astype(np.int64)


def stage_macs(stage: Stage) -> int:
    """Multiply-adds of all tiles, halos that are computed again included."""
    total = 0
    for operation in stage.operations:
        if operation.macs:
            rows, columns = (
                sum(line[operation.name][-1].last - line[operation.name][0].first for line in lines)
                for lines in (stage.rows, stage.columns)
            )
            total += operation.macs * rows * columns // (operation.size(0) * operation.size(1))
    return total


def timeline(network: Network, parts: Sequence[Part], counted: Counted) -> list[tuple[int, int]]:
    """After each operation on whole maps and each stage: multiply-adds so far, and the peak bytes while it ran."""
    single: list[Part] = []
    for part in parts:
        if part.stage is not None:
            single.append(part)
            continue
        for operation, dead, over in zip(part.operations, part.dead, part.over, strict=True):
            single.append(alone := Part(part.step, None, [operation]))
            alone.dead[:], alone.over[:] = [dead], [over]
    macs = accumulate(stage_macs(p.stage) if p.stage else p.operations[0].macs for p in single)
    return list(zip(macs, cost(network, single, counted).steps, strict=True))
