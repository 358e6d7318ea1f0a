"""What a plan costs, predicted without running it: live bytes as the executor will hold them, multiply-adds, tiles.

Two ways of counting memory. "runtime": this package's executor in PyTorch, with the copies that padding makes and the indices of
pools. "bare": a device whose layers need their input and their output and nothing else, as the literature counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Literal

from blockzoo.tiling.geometry import Enlargement, Tile, Window, equal_padding
from blockzoo.tiling.graph import Network, Operation, roots
from blockzoo.tiling.grouping import Place
from blockzoo.tiling.stage import Stage, whole_map
from blockzoo.tiling.steps import Cost, Part

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
        made = _bytes(network, network.by_name[part.step.output], counted)
        peaks.append(
            sum(live.values())
            + made
            + max(tile_bytes(network, part, places, counted) for places in part.groups)
        )
        macs += stage_macs(part.stage)
        tiles += len(part.stage.rows) * len(part.stage.columns)
        live[part.step.output] = made
        _forget(live, part.ends, root)
    return Cost(max(peaks, default=0), macs, tiles, tuple(peaks))


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
            made, beside = _bytes(network, operation, counted), _beside_whole(network, operation, counted)
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
        return 0 if operation.alias else prod(operation.shape) * counted.item
    return operation.elements * counted.item


def _beside_whole(network: Network, operation: Operation, counted: Counted) -> int:
    if counted.counting == "bare":
        return 0
    if operation.kind != "window":
        return operation.beside * counted.item // 4
    rows, columns = whole_map(network, operation)
    made, beside = _window(network, operation, rows[operation.name], columns[operation.name], 1, counted)
    extra = made + beside - _bytes(network, operation, counted)
    if operation.maps[0] == network.input:  # brought into the layout of convolutions
        extra += prod(network.input_shape) * counted.item
    return extra


def _depthwise_over(operation: Operation, dead: Sequence[str], counted: Counted) -> str | None:
    if not counted.in_place_depthwise or operation.kind != "window" or operation.macs == 0:
        return None
    channels, kernels = operation.shape[1], [w.kernel for w in operation.windows if isinstance(w, Window)]
    depthwise = operation.macs == prod(operation.shape) * prod(kernels) and channels > 1 and prod(kernels) > 1
    return next((source for source in operation.maps if depthwise and source in dead), None)


def tile_bytes(network: Network, part: Part, places: Sequence[Place], counted: Counted) -> int:
    """Peak bytes of some tiles on their way through a stage."""
    stage = part.stage
    assert stage is not None
    i, j = places[0]
    count = len(places)
    live: dict[str, int] = {}
    root = roots(stage.operations)
    peak = 0
    for operation, dead, over in zip(stage.operations, part.dead, part.over, strict=True):
        rows, columns = stage.rows[i][operation.name], stage.columns[j][operation.name]
        read = sum(
            _copied(network, stage, source, operation, rows, columns, count, counted)
            for source in operation.sources
        )
        over = over or _depthwise_over(operation, dead, counted)
        if over is not None:
            root[operation.name] = root.get(over, over)
            made = beside = 0
        elif operation.kind == "window":
            made, beside = _window(network, operation, rows, columns, count, counted)
        else:
            share = _area(rows, columns) * count / (operation.size(0) * operation.size(1))
            made = 0 if operation.alias else round(_bytes(network, operation, counted) * share)
            beside = (
                round(operation.beside * counted.item / 4 * share) if counted.counting == "runtime" else 0
            )
        if made:
            live[operation.name] = made
        peak = max(peak, sum(live.values()) + beside + read)
        keep = root.get(operation.name, operation.name)
        _forget(live, [name for name in dead if root.get(name, name) != keep], root)
    return peak


def _copied(
    network: Network,
    stage: Stage,
    source: str,
    operation: Operation,
    rows: Sequence[Tile],
    columns: Sequence[Tile],
    count: int,
    counted: Counted,
) -> int:
    """Bytes of what is copied to be read: tiles that run together, and the image, brought into the layout of convolutions."""
    if source not in stage.known or counted.counting == "bare":
        return 0
    if count == 1 and source != network.input:
        return 0
    whole = network.elements(source) * counted.item
    if source not in operation.maps:
        return whole * count
    area = (max(t.stop for t in rows) - min(t.start for t in rows)) * (
        max(t.stop for t in columns) - min(t.start for t in columns)
    )
    return round(whole * area * count / (network.size(source, 0) * network.size(source, 1)))


def _area(rows: Sequence[Tile], columns: Sequence[Tile]) -> int:
    return (rows[-1].last - rows[0].first) * (columns[-1].last - columns[0].first)


def _window(
    network: Network,
    operation: Operation,
    rows: Sequence[Tile],
    columns: Sequence[Tile],
    count: int,
    counted: Counted,
) -> tuple[int, int]:
    """Bytes of the output of a layer that reads neighbours on one tile, and what it needs for a moment besides."""
    batch = count * network.input_shape[0]
    each = (
        prod(operation.shape)
        // (operation.shape[0] * operation.size(0) * operation.size(1))
        * batch
        * counted.item
    )
    if counted.counting == "bare":
        return each * _area(rows, columns), 0
    channels = network.shape(operation.maps[0])[1] * batch * counted.item
    made, beside = 0, 0
    for row in rows:
        for column in columns:
            height, width, copied = _made(operation, row, column)
            indices = each // counted.item * height * width * INDEX_BYTES if operation.indices else 0
            made = max(made, each * height * width)
            beside = max(beside, channels * copied + indices)
    if len(rows) * len(columns) > 1:  # made part by part and put in place
        return each * _area(rows, columns), beside + made
    return made, beside


def _made(operation: Operation, row: Tile, column: Tile) -> tuple[int, int, int]:
    """Rows and columns that a kernel makes, also those that are cut off; and pixels of a padded copy of its input."""
    sizes, fits = [], []
    for tile, reads in ((row, operation.windows[0]), (column, operation.windows[1])):
        if isinstance(reads, Enlargement):
            sizes.append((tile.stop - tile.start) * reads.scale)
            fits.append(True)
            continue
        equal = equal_padding(tile, reads)
        fits.append(equal is not None)
        sizes.append(equal[2] if equal is not None else tile.last - tile.first)
    if all(fits) and operation.padding in ("zeros", "constant"):
        return sizes[0], sizes[1], 0
    pixels = prod(tile.stop - tile.start + max(0, tile.before) + max(0, tile.after) for tile in (row, column))
    unpadded = max(row.before, row.after, column.before, column.after) <= 0
    return row.last - row.first, column.last - column.first, 0 if unpadded else pixels


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
            single.append(Part(part.step, None, [operation], [dead], [over], [], []))
    macs = accumulate(stage_macs(p.stage) if p.stage else p.operations[0].macs for p in single)
    return list(zip(macs, cost(network, single, counted).steps, strict=True))
