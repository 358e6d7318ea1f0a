"""Run a network tile by tile: each tile goes through the whole stage before the next one starts."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from blockzoo.core.errors import RequestError
from blockzoo.models.deploy import fold_batch_norm
from blockzoo.tiling.geometry import Tile, Window
from blockzoo.tiling.graph import Network, Operation, traced
from blockzoo.tiling.pool import counts_of
from blockzoo.tiling.stage import Mode, Stage, make_stage


@dataclass(frozen=True)
class Plan:
    """How a network is run.

    Args:
        grid: tiles along rows and columns of the fused stage; None runs it whole.
        fuse_to: the last module of the stage.
        mode: "block" or "exact".
        batch: tiles of one shape that go through the stage together: more memory, more speed.
        fold: fold batch norms into convolutions.
    """

    grid: tuple[int, int]
    fuse_to: str
    mode: Mode = "block"
    batch: int = 1
    fold: bool = True


class TiledRunner(nn.Module):
    """A network in evaluation mode, its first operations fused and run tile by tile into one output.

    Args:
        model: the network; it is copied.
        plan: how.
        example: an input; later ones have its height and width.

    Raises:
        RequestError: a network that cannot be traced, a plan that it does not admit; in `forward`, another size.
    """

    def __init__(self, model: nn.Module, plan: Plan, example: torch.Tensor) -> None:
        super().__init__()
        model = copy.deepcopy(model).eval()
        self.plan = plan
        self._network: Network = traced(fold_batch_norm(model, example) if plan.fold else model, example)
        last = self._network.place(plan.fuse_to)
        self.stage: Stage = make_stage(self._network, last, plan.grid, plan.mode)
        self.module = self._network.module
        self._size = tuple(example.shape[1:])
        self._rest = _Rest(self._network, last)

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if tuple(x.shape[1:]) != self._size:
            raise RequestError(f"this runner was made for inputs of {self._size}, not {tuple(x.shape[1:])}")
        return self._rest.run(self.run_stage(x))

    @torch.no_grad()
    def run_stage(self, x: torch.Tensor) -> torch.Tensor:
        """The stage's output, (N, C, H, W), preallocated and filled tile by tile."""
        final = self.stage.operations[-1]
        output = x.new_empty((len(x), *final.shape[1:]))
        for places in self._groups():
            parts = [_Part(self.stage.rows[i], self.stage.columns[j]) for i, j in places]
            found = self._run(x, parts)
            for part, result in zip(parts, found.split(len(x)), strict=True):
                row, column = part.rows[final.node.name], part.columns[final.node.name]
                output[..., row.first : row.last, column.first : column.last] = result
        return output

    def _groups(self) -> list[list[tuple[int, int]]]:
        """Tiles whose way through the stage has the same shapes, at most `batch` of them together."""
        alike: dict[Any, list[tuple[int, int]]] = {}
        for i, row in enumerate(self.stage.rows):
            for j, column in enumerate(self.stage.columns):
                key = tuple(self._shape(operation, row, column) for operation in self.stage.operations)
                alike.setdefault(key, []).append((i, j))
        size = self.plan.batch
        return [places[k : k + size] for places in alike.values() for k in range(0, len(places), size)]

    def _shape(self, operation: Operation, row: dict[str, Tile], column: dict[str, Tile]) -> tuple[Any, ...]:
        """What tiles must have in common at an operation to run together: sizes, padding, and where they read."""
        name = operation.node.name
        sources = [source.name for source in operation.node.all_input_nodes if source.name in row]
        offsets = [(row[name].start - row[s].first, column[name].start - column[s].first) for s in sources]
        return row[name].shape, column[name].shape, tuple(offsets)

    def _run(self, x: torch.Tensor, parts: list[_Part]) -> torch.Tensor:
        """Some tiles through all operations; a value is freed after its last use."""
        held: dict[str, _Value] = {}
        left = {
            o.node.name: sum(user in self._inside for user in set(o.users)) for o in self.stage.operations
        }
        for operation in self.stage.operations:
            arguments = {
                source: self._read(x, held, source, operation, parts)
                for source in operation.node.all_input_nodes
            }
            result = self._apply(operation, arguments, parts)
            held[operation.node.name] = _Value(result, parts[0].starts(operation.node.name))
            del arguments, result
            for source in operation.node.all_input_nodes:
                if source.name in left:
                    left[source.name] -= 1
                    if not left[source.name]:
                        del held[source.name]
        return held[self.stage.operations[-1].node.name].tensor

    @property
    def _inside(self) -> set[str]:
        return {operation.node.name for operation in self.stage.operations}

    def _read(
        self,
        x: torch.Tensor,
        held: dict[str, _Value],
        source: fx.Node,
        operation: Operation,
        parts: list[_Part],
    ) -> torch.Tensor:
        """What an operation reads of one of its inputs: from the stage's input, or from what is held of a tile."""
        name = operation.node.name
        if source.name in held:
            value = held[source.name]
            row, column = parts[0].rows[name], parts[0].columns[name]
            return value.tensor[
                ...,
                row.start - value.top : row.stop - value.top,
                column.start - value.left : column.stop - value.left,
            ]
        pieces = [
            x[..., p.rows[name].start : p.rows[name].stop, p.columns[name].start : p.columns[name].stop]
            for p in parts
        ]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _apply(
        self, operation: Operation, arguments: dict[fx.Node, torch.Tensor], parts: list[_Part]
    ) -> torch.Tensor:
        node = operation.node
        if node.op == "call_module":
            layer = self.module.get_submodule(str(node.target))
            (value,) = arguments.values()
            row, column = parts[0].rows[node.name], parts[0].columns[node.name]
            return run_layer(layer, value, row, column, operation)
        positional = fx.map_arg(node.args, lambda n: arguments[n])
        named = fx.map_arg(node.kwargs, lambda n: arguments[n])
        if node.op == "call_method":
            first, *others = positional
            return getattr(first, str(node.target))(*others, **named)  # type: ignore[no-any-return]
        return node.target(*positional, **named)  # type: ignore[operator, no-any-return]


@dataclass(frozen=True)
class _Part:
    """One tile: for each operation its rows and its columns."""

    rows: dict[str, Tile]
    columns: dict[str, Tile]

    def starts(self, name: str) -> tuple[int, int]:
        return self.rows[name].first, self.columns[name].first


@dataclass
class _Value:
    """A part of a map, and where it lies in it. (Tiles that run together lie at different places; their shapes agree.)"""

    tensor: torch.Tensor
    place: tuple[int, int]

    @property
    def top(self) -> int:
        return self.place[0]

    @property
    def left(self) -> int:
        return self.place[1]


def run_layer(
    layer: nn.Module, x: torch.Tensor, row: Tile, column: Tile, operation: Operation
) -> torch.Tensor:
    """A layer on a part of its input, padded where the tiles say so."""
    if not isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
        result: torch.Tensor = layer(x)
        return result
    assert operation.windows is not None
    value = -float("inf") if isinstance(layer, nn.MaxPool2d) else 0.0
    axes = zip((row, column), x.shape[-2:], operation.windows, strict=True)
    rows, columns = (_made_by_layer(tile, size, window) for tile, size, window in axes)
    if rows is None or columns is None:
        x = F.pad(x, (column.before, column.after, row.before, row.after), value=value)
        rows = columns = (0, 0)
    padding = (rows[0], columns[0])
    if isinstance(layer, nn.Conv2d):
        y = F.conv2d(x, layer.weight, layer.bias, layer.stride, padding, layer.dilation, layer.groups)
    elif isinstance(layer, nn.MaxPool2d):
        y = F.max_pool2d(x, layer.kernel_size, layer.stride, padding, layer.dilation)
    else:
        y = F.avg_pool2d(x, layer.kernel_size, layer.stride, padding, divisor_override=1)
    y = y[..., rows[1] : rows[1] + row.last - row.first, columns[1] : columns[1] + column.last - column.first]
    if isinstance(layer, nn.AvgPool2d):
        return y / counts_of(layer, row, column, operation.windows, operation.reads, y)
    return y


def _made_by_layer(tile: Tile, size: int, window: Window) -> tuple[int, int] | None:
    """Equal padding on both sides that makes the tile's outputs, and how many outputs come before them; None if none does.

    A layer pads without a copy, but on both sides alike; the outputs that are too many are cut off.
    """
    padding = max(tile.before, tile.after)
    if min(tile.before, tile.after) < 0 or padding > window.kernel // 2:
        return None
    before, rest = divmod(padding - tile.before, window.stride)
    made = (size + 2 * padding - window.extent) // window.stride + 1
    return (padding, before) if rest == 0 and made >= before + tile.last - tile.first else None


class _Rest:
    """What comes after the stage, operation by operation, values freed after their last use."""

    def __init__(self, network: Network, last: int) -> None:
        self._network, self._start = network, network.operations[last].node

    def run(self, value: torch.Tensor) -> torch.Tensor:
        module, done = self._network.module, False
        values: dict[fx.Node, Any] = {}
        nodes = list(module.graph.nodes)
        final = {source: node for node in nodes for source in node.all_input_nodes}
        for node in nodes:
            if node is self._start:
                values[node], done = value, True
                continue
            if node.op == "get_attr":
                values[node] = fx.graph_module._get_attr_via_attr_list(module, str(node.target).split("."))  # type: ignore[attr-defined]
                continue
            if not done:
                continue
            if node.op == "output":
                return values[node.args[0]]  # type: ignore[no-any-return]
            positional, named = (fx.map_arg(part, lambda n: values[n]) for part in (node.args, node.kwargs))
            if node.op == "call_module":
                values[node] = module.get_submodule(str(node.target))(*positional, **named)
            elif node.op == "call_method":
                values[node] = getattr(positional[0], str(node.target))(*positional[1:], **named)
            else:
                values[node] = node.target(*positional, **named)
            del positional, named
            for source in node.all_input_nodes:
                if final[source] is node:
                    values.pop(source, None)
        raise RequestError("the network has no output after the stage")
