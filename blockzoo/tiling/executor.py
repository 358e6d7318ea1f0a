"""Run a network as a plan says: stages tile by tile, each tile through the whole stage before the next one starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from blockzoo.core.errors import RequestError
from blockzoo.models.copying import duplicate
from blockzoo.tiling.geometry import Taps, Tile
from blockzoo.tiling.graph import Network, Operation
from blockzoo.tiling.grouping import Place
from blockzoo.tiling.interpolation import Sampler
from blockzoo.tiling.kernels import OVERWRITING, Kernel, convolution_kernel, on_part, pool_kernel
from blockzoo.tiling.parts import Held, area, extent, reach, room, span
from blockzoo.tiling.runner_check import check_runner
from blockzoo.tiling.stage import Stage, whole_map
from blockzoo.tiling.steps import Part, Plan, program
from blockzoo.tiling.trace import FORMATS, own_type, planned_inputs, ready, traced


class TiledRunner(nn.Module):
    """A network in evaluation mode, run as a plan says; it returns what the network returns, in the same structure, and moves
    (`to`), loads weights and is copied and kept in files as any module is. Weights that are written or replaced later count.

    Args:
        model: the network the plan was made for; it is copied.
        plan: from `plan`.
        check: compare it with the network, which takes that network's own memory for a moment; see `check_runner`.

    Has:
        checked: the largest difference that was found; None: not compared.
        name: of the network, for messages.

    Raises:
        RequestError: the plan does not fit the network; in `forward`, an image of another size than planned.
        CheckFailed: what it computes is not what the network does; the message names the operation.
    """

    def __init__(self, model: nn.Module, plan: Plan, *, check: bool = True) -> None:
        super().__init__()
        network = duplicate(model).eval() if check else model
        example = planned_inputs(model, plan)
        own = own_type(model, example[0])
        if FORMATS.get(plan.dtype, own) != own:
            raise RequestError(
                f"this plan counts {plan.dtype}, and {type(network).__name__} is of {str(own).removeprefix('torch.')}: "
                f"plan it so, or give the runner the network in {plan.dtype}"
            )
        self.plan, self.name = plan, type(network).__name__
        self._model = ready(model, example, plan.fold)
        untraced = duplicate(self._model) if check else model
        self._fit(example)
        self.checked = check_runner(network, untraced, self) if check else None

    def _fit(self, inputs: Sequence[torch.Tensor]) -> None:
        """Trace the network as it is now, for so many images, their type and device."""
        self._fits: Any = [(x.shape, x.dtype, x.device) for x in inputs]
        with _disable_current_modes():  # who counts memory or operations counts the run
            self.network: Network = traced(self._model, inputs)
            self.parts: list[Part] = program(self.network, self.plan.steps, self.plan.mode)
            self._kernels = {o.name: self._kernel(o) for o in self.network.operations}
        self._seen = self._state()

    def _state(self) -> list[tuple[int, int, int]]:
        """Which tensors the parameters, buffers and attributes are, where they lie, and how often each was written to: weights
        that are others in any of these ways are laid out anew. Writes through `.data` are not counted by PyTorch: see `renew`.
        """
        return [
            (id(t), t.data_ptr(), 0 if t.is_inference() else t._version)
            for layer in self._model.modules()
            for t in (*layer._parameters.values(), *layer._buffers.values(), *vars(layer).values())
            if isinstance(t, torch.Tensor)
        ]

    def renew(self) -> None:
        """Weights are others, or elsewhere: what follows from them is worked out anew. To be called after writes through `.data`;
        others are noticed.
        """
        self._fits = None

    def __getstate__(self) -> dict[str, Any]:
        """For copies and files: without what follows from the weights."""
        fitted = ("_fits", "_seen", "_kernels", "network", "parts")
        return {name: value for name, value in self.__dict__.items() if name not in fitted}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._fit(planned_inputs(self._model, self.plan))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """The weights of a runner, or of a network that has the parameters that the runner's has (no norms that were folded).

        Raises:
            RequestError: they are of neither.
        """
        own = {f"_model.{name}": value for name, value in state_dict.items()}
        try:
            return super().load_state_dict(
                own if own.keys() == self.state_dict().keys() else state_dict, strict, assign
            )
        except RuntimeError as error:
            raise RequestError(
                f"{self.name}: these are not the weights of this runner, whose network is a copy"
                f"{' with norms folded' if self.plan.fold else ''}; load them into the network and make a runner of it"
            ) from error

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> TiledRunner:
        """What `to`, `cuda`, `half` and their like call."""
        super()._apply(fn, recurse)
        self.renew()
        return self

    @torch.no_grad()
    def forward(self, *inputs: torch.Tensor) -> Any:
        """What the network returns for images (N, C, H, W) of the planned size, and its other inputs."""
        self.prepare(inputs)
        return self.outputs(self.values_of(inputs, self.parts))

    def prepare(self, inputs: Sequence[torch.Tensor]) -> None:
        """Fit the operations to these inputs, if they are not."""
        wanted = [shape[1:] for shape in (self.plan.input_shape, *self.plan.other_inputs)]
        if [tuple(x.shape[1:]) for x in inputs] != wanted:
            shapes = " and ".join(str(tuple(x.shape[1:])) for x in inputs)
            planned = " and ".join(map(str, wanted))
            raise RequestError(f"this plan is for inputs of {planned}, not {shapes}: make one for this size")
        if self._fits != [(x.shape, x.dtype, x.device) for x in inputs] or self._seen != self._state():
            self._fit(inputs)

    def outputs(self, values: dict[str, Any]) -> Any:
        """What the network returns, of the values of its operations."""
        found = [values[name] for name in self.network.outputs]
        return found[0] if self.network.structure is None else self.network.structure.filled(found)

    def given(self, inputs: Sequence[torch.Tensor]) -> dict[str, Any]:
        """The values that are there before the first operation."""
        return {**self.network.constants, **dict(zip(self.network.inputs, inputs, strict=True))}

    @torch.no_grad()
    def run_stage(self, x: torch.Tensor) -> torch.Tensor:
        """The output of the last stage that is run in tiles, for the image alone."""
        self.prepare([x])
        stages = [i for i, part in enumerate(self.parts) if part.stage is not None]
        if not stages:
            raise RequestError("this plan runs no stage in tiles")
        chosen = self.parts[: stages[-1] + 1]
        return self.values_of([x], chosen)[chosen[-1].step.output]  # type: ignore[no-any-return]

    @torch.no_grad()
    def values_of(self, inputs: Sequence[torch.Tensor], parts: Sequence[Part]) -> dict[str, Any]:
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

    def _tiled(self, part: Part, values: dict[str, Any]) -> torch.Tensor:
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

    def _pooled(self, part: Part, values: dict[str, Any]) -> torch.Tensor:
        """The mean of a stage's output, which never exists."""
        stage = part.stage
        assert stage is not None
        total: torch.Tensor | None = None
        for places in part.groups:
            results = self._tiles(part, stage, places, values)
            for result in results:
                found = result.sum(
                    dim=(2, 3), keepdim=True, dtype=torch.promote_types(result.dtype, torch.float32)
                )
                total = found if total is None else total.add_(found)
            dtype = results[0].dtype
            del results, result, found
        assert total is not None
        mean = (total / (stage.output.size(0) * stage.output.size(1))).to(dtype)
        return mean.reshape(len(mean), *self.network.shape(part.step.output)[1:])

    def _tiles(
        self, part: Part, stage: Stage, places: Sequence[Place], values: dict[str, Any]
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
            value = values[source] if source in values else held[source].tensor
            return (
                value.repeat(len(places), *[1] * (value.ndim - 1))
                if len(places) > 1 and source in values
                else value
            )
        axes = (2, 3) if source in self.network.given else self.network.by_name[source].axes
        if source in held:
            i, j = places[0]
            rows, columns = (reach(line[operation.name]) for line in (stage.rows[i], stage.columns[j]))
            return held[source].part(axes, rows, columns)
        pieces, value, images = [], values[source], len(values[self.network.input])
        if len(places) > 1 and source in self.network.constants:  # one for all images
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
        self, operation: Operation, x: torch.Tensor, rows: Sequence[Tile], columns: Sequence[Tile]
    ) -> torch.Tensor:
        """A layer that reads neighbours, on what the tiles read of its input; part by part if the layer is cut itself."""
        kernel = self._kernels.get(operation.name)
        size = (self.network.size(operation.maps[0], 0), self.network.size(operation.maps[0], 1))
        top, left = min(tile.start for tile in rows), min(tile.start for tile in columns)
        single = len(rows) == len(columns) == 1
        output = x if single else room(x, len(x), operation, x.dtype, (extent(rows), extent(columns)))
        for row in rows:
            for column in columns:
                read = x[..., row.start - top : row.stop - top, column.start - left : column.stop - left]
                found = on_part(kernel, operation, read, row, column, size)
                if single:
                    return found
                spans = (
                    (t.first - all_[0].first, t.last - all_[0].first)
                    for t, all_ in ((row, rows), (column, columns))
                )
                if found.dtype != output.dtype:  # under autocast
                    output = output.to(found.dtype)
                area(output, operation, *spans).copy_(found)
                del found
        return output

    def _operate(self, operation: Operation, values: Any, over: str | None) -> Any:
        """Anything else: in place of a value that dies here, where that can be."""
        if over is None or torch.is_autocast_enabled(values[over].device.type):  # which changes types
            return operation.payload.run(values.__getitem__)
        args, _ = operation.payload.given(lambda name: values[name])
        first = [getattr(a, "name", None) for a in operation.payload.args].index(over)
        return OVERWRITING[operation.payload.what](values[over], *args[:first], *args[first + 1 :])

    def _kernel(self, operation: Operation) -> Kernel | Sampler | None:
        layer, (rows, columns) = operation.payload.layer, operation.windows
        if isinstance(rows, Taps) and isinstance(columns, Taps):
            return Sampler(rows, columns)
        if isinstance(layer, nn.Conv2d) and operation.kind == "window":
            return convolution_kernel(layer)
        return pool_kernel(layer) if isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)) else None


def _drop(values: dict[str, Any], names: Sequence[str], kept: str = "") -> None:
    for name in names:
        if name != kept:
            values.pop(name, None)
