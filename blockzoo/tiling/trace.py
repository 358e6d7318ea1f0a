"""From a torch module to a `Network`: traced by torch.fx, or else by torch.export, and measured on the meta device."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.utils.flop_counter import FlopCounterMode

from blockzoo.core.errors import RequestError
from blockzoo.measure.memory import LiveMemory
from blockzoo.models.deploy import fold_batch_norm
from blockzoo.models.merging import with_merged_branches
from blockzoo.tiling.graph import Network, Operation
from blockzoo.tiling.identity import is_known, name_of_function, name_of_layer
from blockzoo.tiling.locality import PICTURE, Call, locality
from blockzoo.tiling.normalise import normalised, plain_convolutions

OVERWRITES = frozenset("relu relu6 silu hardswish hardsigmoid mish sigmoid tanh add mul".split())
"""Operations that the executor may write over their first operand."""


@dataclass(frozen=True)
class Payload:
    """What executes an operation: a module, a function, or a method's name, and its arguments as nodes and constants."""

    what: str
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def layer(self) -> nn.Module | None:
        return self.target if isinstance(self.target, nn.Module) else None

    def run(self, values: Callable[[str], Any]) -> Any:
        """With the values of the operation's sources."""
        args, kwargs = (fx.map_arg(part, lambda node: values(node.name)) for part in (self.args, self.kwargs))
        if isinstance(self.target, str):
            return getattr(args[0], self.target)(*args[1:], **kwargs)
        return self.target(*args, **kwargs)


def ready(model: nn.Module, example: torch.Tensor, fold: bool) -> nn.Module:
    """A copy for inference: branches merged and batch norms folded if wanted, subclasses of nn.Conv2d as what they compute.

    Raises:
        RequestError: the example is no batch of images, or the network does not run on it.
    """
    if example.ndim != 4:
        raise RequestError(f"an input of shape {tuple(example.shape)}: tiles need images (N, C, H, W)")
    try:
        merged = with_merged_branches(model, example) if fold else model
        model = fold_batch_norm(merged, example) if fold else copy.deepcopy(model).eval()
        return plain_convolutions(model, example)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shape = tuple(example.shape)
        raise RequestError(
            f"{type(model).__name__} does not run on an input of shape {shape}: {error}"
        ) from error


def traced(model: nn.Module, example: torch.Tensor) -> Network:
    """The operations of a network in evaluation mode, as `ready` gives it.

    Args:
        model: the network; the operations call its layers.
        example: an input, (N, C, H, W); only its shape, type and device matter.

    Raises:
        RequestError: neither way of tracing works, or the network does not run on an input of this shape.
    """
    module = normalised(_traced_by_fx(model) or _exported(model, example))
    (start,) = (node for node in module.graph.nodes if node.op == "placeholder")
    return Network(_Measured(module).operations(example), start.name, tuple(example.shape))


class _WholeLayers(fx.Tracer):
    """Sees layers as one operation where what they do is known."""

    def __init__(self) -> None:
        from torchvision.models.shufflenetv2 import channel_shuffle

        super().__init__(autowrap_functions=(channel_shuffle,))

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return is_known(module) and not isinstance(module, nn.Sequential)


def _traced_by_fx(model: nn.Module) -> fx.GraphModule | None:
    try:
        return fx.GraphModule(model, _WholeLayers().trace(model))
    except Exception:
        return None


def _exported(model: nn.Module, example: torch.Tensor) -> fx.GraphModule:
    try:
        return torch.export.export(model, (example,), strict=False).module()  # type: ignore[return-value]
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RequestError(
            f"{type(model).__name__} cannot be traced, so it cannot be cut into tiles; its control flow may depend on values. "
            f"Rewrite that part without `if` on tensors. ({first})"
        ) from error


class _Measured(fx.Interpreter):
    """Runs a traced network on the meta device and describes each operation on the way."""

    def __init__(self, module: fx.GraphModule) -> None:
        self._real = module
        super().__init__(copy.deepcopy(module).to("meta"))
        self._found: list[Operation] = []
        self._axes: dict[str, tuple[int, int] | None] = {}
        self._meta: dict[str, Any] = {}

    def operations(self, example: torch.Tensor) -> list[Operation]:
        """All of them, in order."""
        try:
            with torch.no_grad(), torch.device("meta"):
                self.run(torch.empty(example.shape, dtype=example.dtype, device="meta"))
        except Exception as error:
            raise RequestError(
                f"the network does not run on an input of shape {tuple(example.shape)}: {error}"
            ) from error
        return self._found

    def run_node(self, n: fx.Node) -> Any:
        if n.op in ("placeholder", "output"):
            result = super().run_node(n)
            self._axes[n.name], self._meta[n.name] = PICTURE, result
            return result
        if n.op == "get_attr":
            result = super().run_node(n)
            result = result.to("meta") if isinstance(result, torch.Tensor) else result
            self._axes[n.name], self._meta[n.name] = None, result
            return result
        layer = self.module.get_submodule(str(n.target)) if n.op == "call_module" else None
        state = (*layer.parameters(), *layer.buffers()) if layer is not None else ()
        known = [t for source in n.all_input_nodes for t in _tensors(self._meta[source.name])]
        with LiveMemory(exclude=[*state, *known]) as memory, FlopCounterMode(display=False) as flops:
            result = super().run_node(n)
            made = memory.live
        self._meta[n.name] = result
        self._describe(n, result, made, memory.peak - made, flops.get_total_flops() // 2)
        return result

    def _describe(self, node: fx.Node, result: Any, made: int, beside: int, macs: int) -> None:
        sources = [source for source in node.all_input_nodes if source.op != "get_attr"]
        maps = [source.name for source in sources if self._axes[source.name]]
        layer = self._real.get_submodule(str(node.target)) if node.op == "call_module" else None
        args, kwargs = (fx.map_arg(part, lambda n: self._meta[n.name]) for part in (node.args, node.kwargs))
        others = [
            tuple(t.shape)
            for source in node.all_input_nodes
            if source.name not in maps
            for t in _tensors(self._meta[source.name])
        ]
        what = _what(node, layer)
        shapes = [tuple(_tensors(self._meta[name])[0].shape) for name in maps]
        axes = [axes for name in maps if (axes := self._axes[name])]
        found = locality(Call(what, layer, args, kwargs, shapes, axes, others, result))
        self._axes[node.name] = found.axes
        tensors = _tensors(result)
        constants = [
            t
            for source in node.all_input_nodes
            if source.op == "get_attr"
            for t in _tensors(self._meta[source.name])
        ]
        weights = sum(p.numel() for p in layer.parameters()) if layer else sum(t.numel() for t in constants)
        self._found.append(
            Operation(
                node.name,
                _label(node),
                found.kind,
                [source.name for source in sources],
                maps,
                tuple(tensors[0].shape) if tensors else (),
                found.axes,
                found.windows,
                found.own,
                found.padding,
                macs,
                weights,
                made // tensors[0].element_size() if tensors else 0,
                beside,
                isinstance(layer, nn.MaxPool2d) and found.kind == "window",
                bool(tensors) and not made,
                found.reason,
                self._payload(what, node, layer),
                _overwrites(what, node, self._meta),
            )
        )

    def _payload(self, what: str, node: fx.Node, layer: nn.Module | None) -> Payload:
        def constant(source: fx.Node) -> Any:
            if source.op != "get_attr":
                return source
            return operator.attrgetter(str(source.target))(self._real)

        args, kwargs = (fx.map_arg(part, constant) for part in (node.args, node.kwargs))
        return Payload(what, layer if layer is not None else node.target, args, kwargs)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for part in value for t in _tensors(part)] if isinstance(value, (tuple, list)) else []


def _what(node: fx.Node, layer: nn.Module | None) -> str:
    """The name of an operation's function, method or class."""
    return name_of_function(node.target) if layer is None else name_of_layer(layer)


def _label(node: fx.Node) -> str:
    if node.op == "call_module" and str(node.target) != f"{node.name}_layer":
        return str(node.target)
    stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]
    inner = stack[-1].removeprefix("L__self___").removeprefix("L['self'].") if stack else ""
    return f"{inner}.{node.name}" if inner else node.name


def _overwrites(what: str, node: fx.Node, values: dict[str, Any]) -> list[str]:
    """The operands that it can write over: of the output's shape and type, and not read in another place besides."""
    if what not in OVERWRITES or node.kwargs.get("alpha") is not None:
        return []
    operands = [a for a in node.args[: 2 if what in ("add", "mul") else 1] if isinstance(a, fx.Node)]
    result = values[node.name]
    return [
        operand.name
        for operand in operands
        if isinstance(values[operand.name], torch.Tensor)
        and values[operand.name].shape == result.shape
        and values[operand.name].dtype == result.dtype
    ]
