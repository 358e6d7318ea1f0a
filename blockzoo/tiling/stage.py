"""A fused stage: for each of its operations, where every tile lies. Computed once, without tensors.

Cuts are made on the stage's output and carried back through the strides, so a tile's way through the stage never needs a pixel
of another ("block"), or needs a halo that is computed again ("exact").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from blockzoo.core.errors import RequestError
from blockzoo.tiling.geometry import Tile, Window, owned_tile
from blockzoo.tiling.graph import Network, Operation

Mode = Literal["block", "exact"]
MODES = ("block", "exact")


@dataclass(frozen=True)
class Stage:
    """Operations that every tile goes through.

    Args:
        operations: in order; the last one's output is the stage's.
        rows, columns: for each tile index of the axis and each operation's name, its tile: the outputs it makes and, for
            every input alike, what it reads.
        reads: for each tile index of rows and of columns, what is taken from the stage's input.
    """

    operations: list[Operation]
    rows: list[dict[str, Tile]]
    columns: list[dict[str, Tile]]

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles along rows and columns."""
        return len(self.rows), len(self.columns)


def make_stage(network: Network, last: int, grid: tuple[int, int], mode: Mode) -> Stage:
    """The first operations of a network as a stage.

    Args:
        last: place of the last operation.
        grid: tiles along rows and columns.
        mode: "block": tiles are independent, as in block convolution; "exact": as the whole map would be.

    Raises:
        RequestError: an operation that is not local, one whose result is needed after the stage, or a grid that is none.
    """
    if mode not in MODES:
        raise RequestError(f"mode {mode!r}: choose {' or '.join(MODES)}")
    if min(grid) < 1:
        raise RequestError(f"grid {grid[0]} x {grid[1]}: give 1 or more tiles along each axis")
    operations = network.operations[: last + 1]
    inside = {operation.node.name for operation in operations}
    for operation in operations:
        if not operation.local:
            raise RequestError(f"{operation.name} cannot be cut into tiles: {operation.reason}")
        needed = [user for user in operation.users if user not in inside]
        if needed and operation is not operations[-1]:
            raise RequestError(
                f"{operation.name} is needed after the stage too (by {needed[0]}): fuse further, or less far"
            )
    rows, columns = (_axis(network, operations, axis, grid[axis], mode) for axis in (0, 1))
    return Stage(operations, rows, columns)


def _axis(
    network: Network, operations: Sequence[Operation], axis: int, count: int, mode: Mode
) -> list[dict[str, Tile]]:
    sizes = {
        operation.node.name: operation.shape[2 + axis]
        for operation in network.operations
        if len(operation.shape) == 4
    }
    sizes[network.input.name] = network.input_shape[2 + axis]
    outputs = sizes[operations[-1].node.name]
    count = min(count, outputs)
    places = sorted({round(i * outputs / count) for i in range(count + 1)})
    if mode == "exact":
        return [_exact(operations, axis, first, last, sizes) for first, last in pairwise(places)]
    return _block(operations, axis, places, sizes)


def _exact(
    operations: Sequence[Operation], axis: int, first: int, last: int, sizes: dict[str, int]
) -> dict[str, Tile]:
    """Backwards from the outputs of one tile: every operation makes what its users read."""
    needed = {operations[-1].node.name: (first, last)}
    found = {}
    for operation in reversed(operations):
        window = _window(operation, axis)
        a, b = needed[operation.node.name]
        start, stop = (
            a * window.stride - window.before,
            (b - 1) * window.stride - window.before + window.extent,
        )
        for source in operation.node.all_input_nodes:
            size = sizes[source.name]
            low, high = max(0, min(start, size - 1)), max(1, min(stop, size))
            known = needed.get(source.name, (low, high))
            needed[source.name] = (min(known[0], low), max(known[1], high))
            found[operation.node.name] = Tile(a, b, low, high, low - start, stop - high)
    return found


def _block(
    operations: Sequence[Operation], axis: int, places: list[int], sizes: dict[str, int]
) -> list[dict[str, Tile]]:
    """Backwards from the cuts of the output: every operation is cut where its users need it."""
    cuts = {operations[-1].node.name: places}
    found: list[dict[str, Tile]] = [{} for _ in places[1:]]
    for operation in reversed(operations):
        window, own = _window(operation, axis), cuts[operation.node.name]
        for source in operation.node.all_input_nodes:
            size = sizes[source.name]
            before = [*(min(place * window.stride, size) for place in own[:-1]), size]
            if cuts.setdefault(source.name, before) != before:
                raise RequestError(
                    f"{operation.name}: its inputs would be cut at different places; choose mode exact"
                )
            for number, (a, b) in enumerate(pairwise(own)):
                found[number][operation.node.name] = owned_tile(a, b, size, own[-1], window)
    return found


def _window(operation: Operation, axis: int) -> Window:
    assert operation.windows is not None
    return operation.windows[axis]
