"""What a plan costs, predicted without running it: live bytes as the executor will hold them, multiply-adds, tiles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from blockzoo.tiling.geometry import Taps
from blockzoo.tiling.graph.network import Network, Operation, roots
from blockzoo.tiling.planning.grouping import Place, alike
from blockzoo.tiling.planning.plan import Cost, PlannedStep
from blockzoo.tiling.planning.sides import Side, side_of
from blockzoo.tiling.planning.stage import Stage, whole_map
from blockzoo.tiling.planning.tile_memory import (
    Counted,
    beside_on_parts,
    beside_whole,
    copied_to_read,
    depthwise_over,
    made_on_tiles,
    output_bytes,
    reads_parts,
    window_bytes,
)


def cost(
    network: Network, parts: Sequence[PlannedStep], counted: Counted, held: dict[str, int] | None = None
) -> Cost:
    """Of a program, or of a part of one.

    Args:
        network: that is run.
        parts: from `plan.program`.
        counted: how memory is counted.
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
        nbytes = network.elements(part.step.output) * counted.of(
            network, part.step.output
        )  # put together, whatever it is layer by layer
        beside, more, passes = _stage_cost(network, part, part.stage, counted)
        peaks.append(sum(live.values()) + nbytes + beside)
        macs += more
        tiles += passes
        live[part.step.output] = nbytes
        _forget(live, part.ends, root)
    return Cost(max(peaks, default=0), macs, tiles, tuple(peaks))


def _stage_cost(network: Network, part: PlannedStep, stage: Stage, counted: Counted) -> tuple[int, int, int]:
    """Peak bytes of the tiles of a stage, its multiply-adds, and tiles; worked out once, since plans share stages."""
    key = (stage.key, part.step.batch, counted)
    if key not in network.costs:
        tiles = len(stage.rows) * len(stage.columns)
        network.costs[key] = stage_bytes(network, part, counted), stage_macs(stage), tiles
    cached: tuple[int, int, int] = network.costs[key]
    return cached


def _whole(
    network: Network, part: PlannedStep, live: dict[str, int], root: dict[str, str], counted: Counted
) -> int:
    """Peak of operations on whole maps, one after the other; `live` is brought up to date."""
    peak = 0
    for operation, dead, over in zip(part.operations, part.dead, part.over, strict=True):
        over = over or depthwise_over(operation, dead, counted)
        if operation.alias and operation.sources:
            root[operation.name] = root.get(operation.sources[0], operation.sources[0])
            nbytes = beside = 0
        elif over is not None:
            root[operation.name] = root.get(over, over)
            top = root[operation.name]
            live[top] = max(live.get(top, 0), output_bytes(network, operation, counted))
            nbytes = beside = 0
        else:
            nbytes, beside = _made_whole(network, operation, counted)
            live[operation.name] = nbytes
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


def _made_whole(network: Network, operation: Operation, counted: Counted) -> tuple[int, int]:
    """Bytes of an operation's output on its whole map, with what is made beyond it and not shown, and what it needs for a moment
    besides.
    """
    size = output_bytes(network, operation, counted)
    if counted.counting == "bare":
        return size, 0
    as_it_is = isinstance(operation.windows[0], Taps) and len(operation.sources) == 1
    if operation.kind != "window" or as_it_is:
        return size, beside_whole(operation, counted)
    rows, columns = whole_map(network, operation)
    vertical, horizontal = (
        Side(operation, axis, [line[operation.name]]) for axis, line in enumerate((rows, columns))
    )
    sizes = window_bytes(network, operation, vertical, horizontal, np.array([[1]]), counted)
    nbytes, beside = (int(one[0, 0]) for one in sizes)
    if operation.maps[0] == network.input:  # brought into the layout of convolutions
        beside += prod(network.input_shape) * counted.of(network, network.input)
    return nbytes, beside


def tile_bytes(network: Network, part: PlannedStep, places: Sequence[Place], counted: Counted) -> int:
    """Peak bytes of some tiles of one shape on their way through a stage."""
    (row, column), count = places[0], np.array([[len(places)]])
    return int(_tiles_bytes(network, part, ((row,), (column,)), count, counted)[0, 0])


def stage_bytes(network: Network, part: PlannedStep, counted: Counted) -> int:
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
    part: PlannedStep,
    chosen: tuple[tuple[int, ...], tuple[int, ...]],
    count: np.ndarray,
    counted: Counted,
) -> np.ndarray:
    """Peak bytes of tiles that run together, in one walk over the operations.

    Args:
        network: that is run.
        part: with a stage.
        chosen: lines of tiles along rows, R of them, and along columns, C.
        count: (R, C), how many tiles that are as the one in these lines run together.
        counted: how memory is counted.

    Returns:
        (R, C).
    """
    stage = part.stage
    assert stage is not None
    live: dict[str, Any] = {}
    available, lines = {*stage.known}, (stage.rows, stage.columns)
    root = roots(stage.operations, available)
    total = peak = np.zeros(count.shape, np.int64)
    for operation, dead, over in zip(stage.operations, part.dead, part.over, strict=True):
        over = over or depthwise_over(operation, dead, counted)
        if over is not None:
            root[operation.name] = root.get(over, over)
        fresh = over is None and not operation.alias
        if fresh or not available.isdisjoint(operation.sources):
            rows, columns = (side_of(operation, axis, lines[axis], chosen[axis]) for axis in (0, 1))
            read = copied_to_read(network, stage, operation, rows, columns, count, counted)
            nbytes, beside = (
                made_on_tiles(network, operation, rows, columns, count, counted) if fresh else (0, 0)
            )
            if fresh and operation.beside_parts > operation.beside and counted.counting == "runtime":
                tops = {source: root.get(source, source) for source in operation.maps}
                parts = reads_parts(network, stage, operation, tops, chosen, count)
                beside = np.where(parts, beside_on_parts(operation, rows, columns, count, counted), beside)
            if operation.alias:  # a view of what was copied to be read keeps the copy
                nbytes, read = read, np.zeros_like(read)
            if over is None:
                live[operation.name], total = nbytes, total + nbytes
            peak = np.maximum(peak, total + beside + read)
        keep = root.get(operation.name, operation.name)
        for name in dict.fromkeys(root.get(name, name) for name in dead):
            if name != keep and name in live:
                total = total - live.pop(name)
    return peak


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


def timeline(network: Network, parts: Sequence[PlannedStep], counted: Counted) -> list[tuple[int, int]]:
    """After each operation on whole maps and each stage: multiply-adds so far, and the peak bytes while it ran."""
    single: list[PlannedStep] = []
    for part in parts:
        if part.stage is not None:
            single.append(part)
            continue
        for operation, dead, over in zip(part.operations, part.dead, part.over, strict=True):
            single.append(alone := PlannedStep(part.step, None, [operation]))
            alone.dead[:], alone.over[:] = [dead], [over]
    macs = accumulate(stage_macs(p.stage) if p.stage else p.operations[0].macs for p in single)
    return list(zip(macs, cost(network, single, counted).steps, strict=True))
