"""A fused stage: for each of its operations, where every tile lies. Computed once, without tensors.

Cuts are made on the stage's output and carried back through the strides, so a tile's way through the stage never needs a pixel
of another ("block"), or needs a halo that is computed again ("exact").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import Tile, parts, strips
from blockzoo.tiling.graph.network import Network, Operation

Mode = Literal["block", "exact"]
MODES = ("block", "exact")
Line = dict[str, list[Tile]]
"""One tile along one axis: for each operation what it makes, in one part, or in several where the layer is cut itself."""


class Axis(list[Line]):
    """The tiles of one axis; what a stage of any grid has in common with others along it is worked out once.

    Has:
        alike: its tiles by what they have in common, see `grouping.alike`; None: not asked yet.
        sides: what some of them come to, see `prediction`.
    """

    alike: list[list[int]] | None = None

    def __init__(self, lines: Iterable[Line]) -> None:
        super().__init__(lines)
        self.sides: dict[Any, Any] = {}


@dataclass(frozen=True)
class Stage:
    """Operations that every tile goes through; where the tiles lie is worked out when it is asked for.

    Args:
        network: that they belong to.
        operations: in order; the last one's output is the stage's.
        known: values from before the stage that its operations read.
        asked: tiles along rows and columns, at most.
        independent: no tile reads what another makes.
    """

    network: Network
    operations: list[Operation]
    known: list[str]
    asked: tuple[int, int]
    independent: bool

    @property
    def key(self) -> tuple[Any, ...]:
        """What it is, within its network."""
        return self.output.name, tuple(self.known), self.asked, self.independent

    @cached_property
    def rows(self) -> Axis:
        """The tiles along rows."""
        return self._along(0)

    @cached_property
    def columns(self) -> Axis:
        """The tiles along columns."""
        return self._along(1)

    def _along(self, axis: int) -> Axis:
        alike = all(operation.square for operation in self.operations)
        count, recent = self.asked[axis], self.network.recent
        key = (self.output.name, tuple(self.known), count, self.independent, 0 if alike else axis)
        if key not in recent:
            self.network.remember(key, _axis(self.network, self.operations, axis, count, self.independent))
        tiles: Axis = recent[key]
        return tiles

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles along rows and columns."""
        return len(self.rows), len(self.columns)

    @property
    def output(self) -> Operation:
        return self.operations[-1]


def make_stage(
    network: Network, output: str, known: Iterable[str], grid: tuple[int, int], mode: Mode
) -> Stage:
    """What makes a map from values that are known, tile by tile.

    Args:
        network: whose operations make the map.
        output: the map's name.
        known: values that exist before the stage; the network's input need not be named.
        grid: tiles along rows and columns.
        mode: "block": tiles are independent, as in block convolution; "exact": as the whole map would be. A network whose layers
            are blocked already keeps their tiles in either mode, and gets no others.

    Raises:
        UsageError: an operation that is not local, or a grid without tiles.
    """
    check_grid(grid, mode)
    operations = network.ancestors(output, known)
    for operation in operations:
        if not operation.local:
            raise UsageError(f"{operation} cannot be cut into tiles: {operation.reason or 'it makes no map'}")
    inside = {operation.name for operation in operations}
    outside = dict.fromkeys(source for o in operations for source in o.sources if source not in inside)
    blocked = any(operation.own for operation in network.operations)
    return Stage(network, operations, list(outside), (grid[0], grid[1]), mode == "block" and not blocked)


def check_grid(grid: tuple[int, int], mode: str) -> None:
    """Check both.

    Raises:
        UsageError: names the remedy.
    """
    if mode not in MODES:
        raise UsageError(f"mode {mode!r}: choose {' or '.join(MODES)}")
    if len(grid) != 2 or min(grid) < 1:
        raise UsageError(f"grid {' x '.join(map(str, grid))}: give 1 or more tiles along each of two axes")


def whole_map(network: Network, operation: Operation) -> tuple[Line, Line]:
    """An operation on its whole map, cut only where the layer is cut itself."""
    rows, columns = (
        _line(network, [operation], axis, (0, operation.size(axis)), _own_cuts(network, [operation], axis))
        for axis in (0, 1)
    )
    return rows, columns


def _axis(
    network: Network, operations: Sequence[Operation], axis: int, count: int, independent: bool
) -> Axis:
    outputs = operations[-1].size(axis)
    count = min(count, outputs)
    places = sorted({round(i * outputs / count) for i in range(count + 1)})
    cuts = (
        carried_cuts(network, operations, axis, places)
        if independent
        else _own_cuts(network, operations, axis)
    )
    return Axis(_line(network, operations, axis, ends, cuts) for ends in pairwise(places))


def _own_cuts(network: Network, operations: Sequence[Operation], axis: int) -> dict[str, list[int]]:
    return {o.name: o.own[axis] if o.own else [0, o.size(axis)] for o in operations}


def carried_cuts(
    network: Network, operations: Sequence[Operation], axis: int, places: list[int]
) -> dict[str, list[int]]:
    """Backwards from the cuts of the output: every operation is cut where the first that reads it needs it."""
    cuts = {operations[-1].name: places}
    for operation in reversed(operations):
        own = cuts[operation.name]
        for source in operation.maps:
            size = network.size(source, axis)
            inner = (min(operation.windows[axis].carried(place), size) for place in own[1:-1])
            cuts.setdefault(source, sorted({0, *inner, size}))
    return cuts


def _line(
    network: Network,
    operations: Sequence[Operation],
    axis: int,
    ends: tuple[int, int],
    cuts: dict[str, list[int]],
) -> Line:
    """Backwards from the outputs of one tile: every operation makes what those after it read."""
    needed = {operations[-1].name: ends}
    line: Line = {}
    for operation in reversed(operations):
        first, last = needed[operation.name]
        if operation.kind == "pointwise":  # each output reads its own place
            line[operation.name] = [Tile(first, last, first, last, 0, 0)]
            for source in operation.maps:
                span = needed.get(source, (first, last))
                needed[source] = (min(span[0], first), max(span[1], last))
            continue
        reads = operation.windows[axis]
        mirrored = operation.padding == "reflect"
        size = network.size(operation.maps[0], axis)
        places = cuts[operation.name] if operation.kind == "window" else [0, operation.size(axis)]
        line[operation.name] = parts(first, last, places, size, reads, mirrored)
        if operation.indices and axis == 0:
            line[operation.name] = [strip for tile in line[operation.name] for strip in strips(tile, reads)]
        low = min(tile.start for tile in line[operation.name])
        high = max(tile.stop for tile in line[operation.name])
        for source in operation.maps:
            span = needed.get(source, (low, high))
            needed[source] = (min(span[0], low), max(span[1], high))
    return line
