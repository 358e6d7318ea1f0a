"""Which tiles of a stage run together, and when values of a tile die: followed by executor and prediction. No tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blockzoo.tiling.geometry import Tile
from blockzoo.tiling.graph.network import Operation, held_until
from blockzoo.tiling.planning.stage import Axis, Line, Stage

Place = tuple[int, int]


def groups(stage: Stage, batch: int) -> list[list[Place]]:
    """Tiles whose way through the stage has the same shapes, at most `batch` of them together."""
    rows, columns = (alike(stage, lines) for lines in (stage.rows, stage.columns))
    chunks = []
    for some in rows:
        for others in columns:
            places = [(i, j) for i in some for j in others]
            chunks += [places[k : k + batch] for k in range(0, len(places), batch)]
    return chunks


def alike(stage: Stage, lines: Axis) -> list[list[int]]:
    """Tiles of one axis by what they have in common."""
    if lines.alike is not None:
        return lines.alike
    together: dict[Any, list[int]] = {}
    for number, line in enumerate(lines):
        key = tuple(_shape(stage, operation, line) for operation in stage.operations)
        together.setdefault(key, []).append(number)
    lines.alike = list(together.values())
    return lines.alike


def _shape(stage: Stage, operation: Operation, line: Line) -> tuple[Any, ...]:
    """Sizes, padding, and where an operation reads in what is held."""
    tiles = line[operation.name]
    start = min(tile.start for tile in tiles)
    offsets = [start - line[source][0].first for source in operation.maps if source in line]
    return tuple((*tile.shape, tile.last - tile.first, tile.start - start) for tile in tiles), tuple(offsets)


def extent(tiles: Sequence[Tile]) -> int:
    """Outputs that the parts of one tile make together."""
    return tiles[-1].last - tiles[0].first


def tile_deaths(stage: Stage) -> list[list[str]]:
    """For each operation of a stage, the values of a tile that nothing in the stage reads afterwards."""
    last = held_until(stage.operations, stage.known)
    inside = {operation.name for operation in stage.operations}
    dead: list[list[str]] = [[] for _ in stage.operations]
    for name in inside - {stage.output.name}:
        dead[last[name]].append(name)
    return dead
