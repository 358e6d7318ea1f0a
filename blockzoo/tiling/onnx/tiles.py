"""The fusing pass: a plan's stages written into an ONNX model as slices, layers that share their weights, and concatenations.

Nodes stand tile by tile: all of one tile, then all of the next. A layer of a tile is padded explicitly, with the padding that the
geometry says: zeros at a cut of independent tiles (the zero point, where it is quantised), none where a halo is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import Tile
from blockzoo.tiling.graph.network import Network, Operation
from blockzoo.tiling.onnx.nodes import Nodes, NodeTile, Value
from blockzoo.tiling.onnx.session import live_bytes, run_order
from blockzoo.tiling.planning.plan import PlannedStep
from blockzoo.tiling.planning.stage import Stage, whole_map

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Span = tuple[int, int]


@dataclass
class _Map:
    """A map, or the part of one that a tile holds, in strips below one another.

    Args:
        strips: rows [first, last) of each and the value that holds them.
        columns: that all of them span.
        pixel: bytes of one pixel.
    """

    strips: list[tuple[int, int, str]]
    columns: Span
    pixel: int


def tiled_model(model: ModelProto, network: Network, parts: Sequence[PlannedStep]) -> ModelProto:
    """The model with the stages of a program cut into tiles.

    Args:
        model: in the form of `onnx.normalise.normalised`.
        network: of it.
        parts: from `plan.program`.

    Raises:
        UsageError: a mean of tiles in integers.
    """
    writer = _Writer(model, network, {})
    writer.write(parts)
    return writer.model_of_nodes()


def planned_bytes(
    model: ModelProto, network: Network, parts: Sequence[PlannedStep], values: Mapping[str, Value]
) -> list[int]:
    """Live bytes at the peak of each part of what `tiled_model` writes, tiles joined and slices copied, without running it.

    Args:
        model: as for `tiled_model`.
        network: of it.
        parts: from `plan.program`.
        values: of the model, see `session.values_of`.
    """
    writer = _Writer(model, network, values)
    writer.write(parts)
    order = run_order(writer.nodes)
    returned = [value.name for value in model.graph.output]
    as_run = live_bytes([writer.nodes[place] for place in order], writer.bytes, returned)
    live = [size for _, size in sorted(zip(order, as_run, strict=True))]
    return [max(live[first:last], default=0) for first, last in pairwise([0, *writer.ends])]


class _Writer(Nodes):
    """The nodes of a program, one tile after the other."""

    def __init__(self, model: ModelProto, network: Network, values: Mapping[str, Value]) -> None:
        super().__init__()
        self.model, self.network = model, network
        self.values = values
        self.maps: dict[str, _Map] = {
            name: _Map([(0, shape[2], name)], (0, shape[3]), self._pixel(name, shape[2] * shape[3]))
            for name, shape in network.inputs.items()
            if len(shape) == 4
        }
        self.slices: dict[tuple[str, Span, Span], str] = {}
        self.ends: list[int] = []
        self.stages = 0

    def _size(self, name: str) -> int:
        """Bytes of a value of the model; 0 where nobody asks."""
        return self.values[name].bytes if name in self.values else 0

    def _pixel(self, name: str, pixels: int) -> int:
        return self._size(name) // pixels

    def write(self, parts: Sequence[PlannedStep]) -> None:
        """The steps of a program, in order."""
        for part in parts:
            self.stages += part.stage is not None
            if part.stage is None:
                for operation in part.operations:
                    self._whole(operation)
            elif part.step.kind == "pooled":
                self._pooled(part.stage, self.network.by_name[part.step.output])
            else:
                self._tiled(part.stage)
            self.ends.append(len(self.nodes))
        for name in self.network.outputs:
            self._entire(name)
        self.ends[-1:] = [len(self.nodes)]

    def model_of_nodes(self) -> ModelProto:
        """A copy of the model with the nodes that were written."""
        copy: ModelProto = self.onnx.ModelProto()
        copy.CopyFrom(self.model)
        del copy.graph.node[:], copy.graph.value_info[:]
        copy.graph.node.extend(self.nodes)
        copy.graph.initializer.extend(self.constants.values())
        return copy

    def _whole(self, operation: Operation) -> None:
        """An operation on whole maps; a layer that is itself cut, tile by tile."""
        for source in operation.sources:
            self._entire(source)
        if operation.kind == "window" and operation.own:
            rows, columns = whole_map(self.network, operation)
            self.slices.clear()
            self._parts(
                operation, rows[operation.name], columns[operation.name], self.maps, operation.name, ""
            )
        else:
            self.nodes.append(operation.payload)
            self.bytes[operation.name] = self._size(operation.name)
        if operation.axes:
            height, width = operation.size(0), operation.size(1)
            self.maps[operation.name] = _Map(
                [(0, height, operation.name)], (0, width), self._pixel_of(operation)
            )

    def _pixel_of(self, operation: Operation) -> int:
        return self._pixel(operation.name, operation.size(0) * operation.size(1))

    def _tiled(self, stage: Stage) -> None:
        """The map of a stage, in strips: one for each row of tiles."""
        final = stage.output
        strips: list[tuple[int, int, str]] = []
        for i, row in enumerate(stage.rows):
            first, last = _span(row[final.name])
            alone = len(stage.rows) == 1
            name = final.name if alone else f"{final.name}/{i}"
            tiles = [
                self._tile(stage, i, j, name if len(stage.columns) == 1 else f"{final.name}/{i}.{j}")
                for j in range(len(stage.columns))
            ]
            self._joined(tiles, name, axis=3)
            strips.append((first, last, name))
        self.maps[final.name] = _Map(strips, (0, final.size(1)), self._pixel_of(final))

    def _tile(self, stage: Stage, i: int, j: int, name: str) -> str:
        """One tile through all operations of a stage, as the value `name`."""
        place = f"/{i}.{j}" if self.stages == 1 else f"/{self.stages}:{i}.{j}"
        self.slices.clear()
        held: dict[str, _Map] = {}
        for operation in stage.operations:
            rows, columns = stage.rows[i][operation.name], stage.columns[j][operation.name]
            value = name if operation is stage.output else f"{operation.name}{place}"
            self._parts(operation, rows, columns, {**self.maps, **held}, value, place)
            held[operation.name] = _Map([(*_span(rows), value)], _span(columns), self._pixel_of(operation))
        return name

    def _pooled(self, stage: Stage, mean: Operation) -> None:
        """The mean of a stage's map, which never exists: sums of tiles added up, and divided."""
        if mean.payload.op_type != "GlobalAveragePool":
            raise UsageError(
                f"{mean} is a mean of integers, which tiles would round differently: fuse less far, or export floats"
            )
        axes, total = self.integers([2, 3]), ""
        for i in range(len(stage.rows)):
            for j in range(len(stage.columns)):
                tile = self._tile(stage, i, j, f"{mean.name}/{i}.{j}/map")
                size, name = self._size(mean.name), f"{mean.name}/{i}.{j}"
                part_sum = self.add("ReduceSum", [tile, axes], name, size, keepdims=1)
                total = self.add("Add", [total, part_sum], f"{name}/total", size) if total else part_sum
        count = np.float32(stage.output.size(0) * stage.output.size(1))
        self.add("Div", [total, self.scalar(count)], mean.name, self._size(mean.name))

    def _parts(
        self,
        operation: Operation,
        rows: Sequence[Tile],
        columns: Sequence[Tile],
        maps: Mapping[str, _Map],
        name: str,
        place: str,
    ) -> None:
        """An operation on one tile, as the value `name`: in one part, or in several where the layer is itself cut."""
        several = len(rows) * len(columns) > 1
        strips = []
        for a, row in enumerate(rows):
            strip = f"{name}/rows{a}" if len(rows) > 1 else name
            pieces = []
            for b, column in enumerate(columns):
                own = f"{strip}/columns{b}" if len(columns) > 1 else strip
                self._layer(operation, row, column, maps, own, f"{place}/{a}.{b}" if several else place)
                pieces.append(own)
            strips.append(self._joined(pieces, strip, axis=3))
        self._joined(strips, name, axis=2)

    def _layer(
        self,
        operation: Operation,
        row: Tile,
        column: Tile,
        maps: Mapping[str, _Map],
        name: str,
        place: str,
    ) -> None:
        """One node: an operation on one rectangle of its sources."""
        spans = (row.start, row.stop), (column.start, column.stop)
        read = {source: self._read(maps[source], *spans) for source in operation.maps}
        node = self.onnx.NodeProto()
        node.CopyFrom(operation.payload)
        node.name = f"{operation.payload.name}{place}"
        node.input[:] = [read.get(value, value) for value in operation.payload.input]
        node.output[:] = [name]
        tiles, pixel = (row, column), self._pixel_of(operation)
        tile = NodeTile(self, node, operation, tiles, pixel, partial(self._padded, node, operation, tiles))
        self.bytes[name] = pixel * prod(tile.sizes)
        assert operation.tileable is not None
        operation.tileable.write_tile(tile)

    def _padded(
        self,
        node: NodeProto,
        operation: Operation,
        tiles: tuple[Tile, Tile],
        pads: Sequence[Span],
        mode: str,
    ) -> str:
        """What the node of a tile reads, with pixels around it."""
        value = node.input[0]
        (top, bottom), (left, right) = pads
        height, width = (t.stop - t.start + sum(pad) for t, pad in zip(tiles, pads, strict=True))
        source = operation.maps[0]
        pixel = self._pixel(source, self.network.size(source, 0) * self.network.size(source, 1))
        around = self.integers([0, 0, top, left, 0, 0, bottom, right])
        name = f"{value}/{mode}{top}.{left}.{bottom}.{right}"
        if (name, (0, 0), (0, 0)) not in self.slices:
            size = pixel * height * width
            self.slices[name, (0, 0), (0, 0)] = self.add("Pad", [value, around], name, size, mode=mode)
        return name

    def _read(self, whole: _Map, rows: Span, columns: Span) -> str:
        """A rectangle of a map, as a value: of the strips that it crosses."""
        crossed = [strip for strip in whole.strips if strip[0] < rows[1] and rows[0] < strip[1]]
        pieces = [
            self._sliced(whole, strip, (max(rows[0], strip[0]), min(rows[1], strip[1])), columns)
            for strip in crossed
        ]
        if len(pieces) == 1:
            return pieces[0]
        key = ("+".join(pieces), rows, columns)
        if key not in self.slices:
            self.slices[key] = self._joined(pieces, f"{pieces[0]}/{len(self.nodes)}", axis=2)
        return self.slices[key]

    def _sliced(self, whole: _Map, strip: tuple[int, int, str], rows: Span, columns: Span) -> str:
        first, last, value = strip
        held = whole.columns
        if rows == (first, last) and columns == held:
            return value
        key = (value, rows, columns)
        if key not in self.slices:
            starts = [rows[0] - first, columns[0] - held[0]]
            ends = [rows[1] - first, columns[1] - held[0]]
            inputs = [value, *(self.integers(list(v)) for v in (starts, ends, (2, 3)))]
            size = whole.pixel * (rows[1] - rows[0]) * (columns[1] - columns[0])
            self.slices[key] = self.add("Slice", inputs, f"{value}/{len(self.nodes)}", size)
        return self.slices[key]

    def _entire(self, name: str) -> None:
        """From here on the map is one value."""
        held = self.maps.get(name)
        if held is not None and len(held.strips) > 1:
            self._joined([value for _, _, value in held.strips], name, axis=2)
            ends = held.strips[0][0], held.strips[-1][1]
            self.maps[name] = _Map([(*ends, name)], held.columns, held.pixel)

    def _joined(self, values: Sequence[str], name: str, axis: int) -> str:
        if len(values) == 1:
            assert values[0] == name
            return name
        size = sum(self.bytes.get(value, 0) for value in values)
        return self.add("Concat", list(values), name, size, axis=axis)


def _span(tiles: Sequence[Tile]) -> Span:
    return tiles[0].first, tiles[-1].last
