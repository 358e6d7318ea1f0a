"""The operations of a network run on tensors: on whole maps, or a stage tile by tile, each tile through all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from blockzoo.tiling.contracts import Kernel
from blockzoo.tiling.geometry import Tile
from blockzoo.tiling.graph.network import Network, Operation
from blockzoo.tiling.planning.grouping import Place
from blockzoo.tiling.planning.parts import Held, area, extent, reach, room, span
from blockzoo.tiling.planning.plan import PlannedStep
from blockzoo.tiling.planning.stage import Stage, whole_map

if TYPE_CHECKING:
    from jaxtyping import Shaped


IMAGE_SIDES = 4
"""Of (N, C, H, W): what has fewer is spread over images as it is over their tiles."""


class Interpreter:
    """Runs the steps of a program.

    Args:
        network: as `trace.traced` gives it; its weights are laid out for tiles once.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._kernels = {o.name: self._kernel(o) for o in network.operations if o.kind == "window"}

    def outputs(self, values: dict[str, Any]) -> Any:
        """What the network returns, of the values of its operations."""
        leaves = [values[name] for name in self.network.outputs]
        return leaves[0] if self.network.structure is None else self.network.structure.filled(leaves)

    def given(self, inputs: Sequence[torch.Tensor]) -> dict[str, Any]:
        """The values that are there before the first operation."""
        return {**self.network.constants, **dict(zip(self.network.inputs, inputs, strict=True))}

    @torch.no_grad()
    def values_of(self, inputs: Sequence[torch.Tensor], parts: Sequence[PlannedStep]) -> dict[str, Any]:
        """What these steps make that is read after them."""
        values = self.given(inputs)
        for part in parts:
            if part.stage is not None:
                run = self._pooled if part.step.kind == "pooled" else self._tiled
                values[part.step.output] = run(part, values)
                _drop(values, part.ends, parts[-1].step.output)
                continue
            for operation, dead, over in zip(part.operations, part.dead, part.over, strict=True):
                values[operation.name] = self._whole(operation, values, over)
                _drop(values, dead, parts[-1].step.output)
        return values

    def _whole(self, operation: Operation, values: dict[str, Any], over: str | None) -> Any:
        """One operation on whole maps."""
        if operation.kind != "window":
            return self._operate(operation, values, over)
        rows, columns = whole_map(self.network, operation)
        source = operation.maps[0]
        read = self._as_input(values[source]) if source == self.network.input else values[source]
        return self.window(operation, read, rows[operation.name], columns[operation.name])

    def _tiled(self, part: PlannedStep, values: dict[str, Any]) -> torch.Tensor:
        """A stage's output, preallocated and filled tile by tile."""
        stage = part.stage
        assert stage is not None
        final, image = stage.output, values[self.network.input]
        output = room(image, len(image), final, final.dtype)
        for places in part.groups:
            results = self._tiles(part, stage, places, values)
            if results[0].dtype != output.dtype:  # under autocast
                output = output.to(results[0].dtype)
            for (i, j), result in zip(places, results, strict=True):
                rows, columns = span(stage.rows[i][final.name]), span(stage.columns[j][final.name])
                area(output, final, rows, columns).copy_(result)
            del results, result
        return output

    def _pooled(self, part: PlannedStep, values: dict[str, Any]) -> torch.Tensor:
        """The mean of a stage's output, which never exists."""
        stage = part.stage
        assert stage is not None
        total: torch.Tensor | None = None
        for places in part.groups:
            results = self._tiles(part, stage, places, values)
            for result in results:
                part_sum = result.sum(
                    dim=(2, 3), keepdim=True, dtype=torch.promote_types(result.dtype, torch.float32)
                )
                total = part_sum if total is None else total.add_(part_sum)
            dtype = results[0].dtype
            del results, result, part_sum
        assert total is not None
        mean = (total / (stage.output.size(0) * stage.output.size(1))).to(dtype)
        return mean.reshape(len(mean), *self.network.shape(part.step.output)[1:])

    def _tiles(
        self, part: PlannedStep, stage: Stage, places: Sequence[Place], values: dict[str, Any]
    ) -> Sequence[torch.Tensor]:
        """Some tiles through all operations of a stage; a value is freed after its last use."""
        held: dict[str, Held] = {}
        i, j = places[0]
        for operation, dead, over in zip(part.operations, part.dead, part.over, strict=True):
            rows, columns = stage.rows[i][operation.name], stage.columns[j][operation.name]
            read = {
                source: self._read(stage, operation, source, places, values, held)
                for source in operation.sources
            }
            if operation.kind == "window":
                result = self.window(operation, read[operation.maps[0]], rows, columns)
            else:
                result = self._operate(operation, read, over)
            held[operation.name] = Held(result, rows[0].first, columns[0].first)
            del read, result
            _drop(held, dead)
        final = held.pop(stage.output.name).tensor
        return [final] if len(places) == 1 else final.split(len(values[self.network.input]))

    def _read(
        self,
        stage: Stage,
        operation: Operation,
        source: str,
        places: Sequence[Place],
        values: dict[str, Any],
        held: dict[str, Held],
    ) -> Any:
        """What an operation reads of one source: of what is held of the tile, or of a value from before the stage."""
        if source not in operation.maps:
            if source in held:
                return held[source].tensor
            value, images = values[source], len(values[self.network.input])
            several = len(places) > 1 and isinstance(value, torch.Tensor) and value.ndim == IMAGE_SIDES
            return value.repeat(len(places), 1, 1, 1) if several and len(value) == images else value
        axes = (2, 3) if source in self.network.given else self.network.by_name[source].axes
        if source in held:
            i, j = places[0]
            rows, columns = (reach(line[operation.name]) for line in (stage.rows[i], stage.columns[j]))
            return held[source].part(axes, rows, columns)
        pieces, value, images = [], values[source], len(values[self.network.input])
        if len(places) > 1 and len(value) != images:  # one for all images
            value = value.expand(images, *[-1] * (value.ndim - 1))
        for i, j in places:
            rows, columns = (reach(line[operation.name]) for line in (stage.rows[i], stage.columns[j]))
            pieces.append(Held(value, 0, 0).part(axes, rows, columns))
        if source == self.network.input:
            return self._as_input(*pieces)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _as_input(self, *pieces: torch.Tensor) -> torch.Tensor:
        """Parts of the image together, on a CPU in the layout that convolutions are fastest in."""
        first = pieces[0]
        kind = torch.channels_last if first.device.type == "cpu" else torch.contiguous_format
        if len(pieces) == 1:
            return first.contiguous(memory_format=kind)
        shape = (len(first) * len(pieces), *first.shape[1:])
        joined = torch.empty(shape, dtype=first.dtype, device=first.device, memory_format=kind)
        for place, piece in zip(joined.split(len(first)), pieces, strict=True):
            place.copy_(piece)
        return joined

    def window(
        self,
        operation: Operation,
        x: Shaped[torch.Tensor, "N C H W"],
        rows: Sequence[Tile],
        columns: Sequence[Tile],
    ) -> Shaped[torch.Tensor, "N C_out H_out W_out"]:
        """A layer that reads neighbours, on what the tiles read of its input; part by part if the layer is cut itself."""
        kernel = self._kernels[operation.name]
        top, left = min(tile.start for tile in rows), min(tile.start for tile in columns)
        single = len(rows) == len(columns) == 1
        output = x if single else room(x, len(x), operation, x.dtype, (extent(rows), extent(columns)))
        for row in rows:
            for column in columns:
                read = x[..., row.start - top : row.stop - top, column.start - left : column.stop - left]
                patch = kernel(read, row, column)
                if single:
                    return patch
                spans = (
                    (t.first - all_[0].first, t.last - all_[0].first)
                    for t, all_ in ((row, rows), (column, columns))
                )
                if patch.dtype != output.dtype:  # under autocast
                    output = output.to(patch.dtype)
                area(output, operation, *spans).copy_(patch)
                del patch
        return output

    def _operate(self, operation: Operation, values: Any, over: str | None) -> Any:
        """Anything else: in place of a value that dies here, where that can be."""
        if over is None or torch.is_autocast_enabled(values[over].device.type):  # which changes types
            return operation.payload.run(values.__getitem__)
        args, _ = operation.payload.given(lambda name: values[name])
        first = [getattr(a, "name", None) for a in operation.payload.args].index(over)
        assert operation.tileable is not None
        form = operation.tileable.in_place[operation.payload.what]
        return form.write(values[over], *args[:first], *args[first + 1 :])

    def _kernel(self, operation: Operation) -> Kernel:
        assert operation.tileable is not None
        source = operation.maps[0]
        return operation.tileable.kernel(
            operation, (self.network.size(source, 0), self.network.size(source, 1))
        )


def _drop(values: dict[str, Any], names: Sequence[str], kept: str = "") -> None:
    for name in names:
        if name != kept:
            values.pop(name, None)
