"""What a network computes, as a graph: every operation that PyTorch is asked for, whatever class, function or hook asks.

Traced below modules (torch.fx, `make_fx` before dispatch), on tensors without values: what a layer does is seen, not known from
its name. Layers that are one operation to us (tiles that do not see each other) are handed over whole.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing, make_fx

from blockzoo.core.errors import UsageError
from blockzoo.models.copying import duplicate, plain_tensors
from blockzoo.models.nodes import PastTheTracer, follows_from_inputs, last_node, node_of, whole_layer
from blockzoo.models.operands import tensor_of
from blockzoo.models.remembering import Assigned
from blockzoo.models.structure import Structure, taken_apart

aten = torch.ops.aten

SILENT = {
    torch._C._set_grad_enabled,
    aten._assert_tensor_metadata.default,
    aten._assert_async.default,
    aten._assert_async.msg,
}
"""Recorded, without an effect on what is computed."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch prints of an operation that does not run on tensors without values: the error says it."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


@dataclass(frozen=True)
class ModuleCall:
    """One call of a module.

    Args:
        path: of the module.
        nodes: that it made, those of its children included.
        output: the node of its output, where that is one tensor.
    """

    path: str
    nodes: list[fx.Node]
    output: fx.Node | None


@dataclass
class Trace:
    """A traced network.

    Args:
        graph: its operations are functions of aten, `operator.getitem` and `whole_layer`; operations that write in place do so.
        attributes: of each `get_attr` node, by name: the path of the parameter or buffer, or the tensor, or
            what else an operation takes, itself.
        structure: of its outputs.
        calls: of modules, in the order in which they ended.
        inputs: as they were given, on the meta device.
        layers: the layers that were handed over whole, by the number that `whole_layer` is given.
        writes_inputs: it writes to what it is given; see `functional.without_writes`.
    """

    graph: fx.Graph
    attributes: dict[str, str | object]
    structure: Structure
    calls: list[ModuleCall]
    inputs: list[torch.Tensor]
    layers: list[str] = field(default_factory=list)
    writes_inputs: bool = False

    def value(self, node: fx.Node, module: nn.Module) -> torch.Tensor:
        """Of a `get_attr` node, in a module with the same paths.

        Raises:
            UsageError: it is no tensor; names the operation that takes it.
        """
        source = self.attributes[node.name]
        return tensor_of(node, attribute(module, source) if isinstance(source, str) else source, module)


def attribute(module: nn.Module, path: str) -> Any:
    """What stands at a path."""
    parent, _, name = path.rpartition(".")
    return getattr(module.get_submodule(parent), name)


def trace(module: nn.Module, inputs: Sequence[torch.Tensor], whole: Sequence[type[nn.Module]] = ()) -> Trace:
    """The graph of a network in the mode it is in, for inputs of these shapes; neither it nor the inputs are changed.

    Args:
        module: the network; a copy of it is traced.
        inputs: only shape, type and device matter.
        whole: classes of layers that are one operation, of one map.

    Raises:
        UsageError: what it does depends on values, or it does not run on such inputs.
    """
    try:
        traced = _traced(duplicate(module), inputs, whole, "fake")
    except Exception as error:
        if isinstance(error, UsageError):
            raise
        reason = _reason(module, inputs, error)
        if not _asks_for_values(error):
            raise UsageError(reason) from error
        try:  # of buffers perhaps, which have them
            traced = _traced(duplicate(module), [x.clone() for x in inputs], whole, "real")
        except UsageError:
            raise
        except Exception:
            raise UsageError(reason) from error
    _settle(traced, module)
    return traced


def _traced(
    copied: nn.Module,
    inputs: Sequence[torch.Tensor],
    whole: Sequence[type[nn.Module]],
    mode: Literal["fake", "real"],
) -> Trace:
    watch = _Watch(copied, whole)
    state: dict[str, Structure] = {}

    def flat(*given: torch.Tensor) -> list[torch.Tensor]:
        leaves, state["structure"] = taken_apart(copied(*given))
        assigned.see(node_of)
        return [aten.alias.default(leaf) for leaf in leaves]  # also of what no operation made

    def graph() -> fx.GraphModule:
        with PastTheTracer(), torch.no_grad(), quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make_fx(flat, tracing_mode=mode, pre_dispatch=True, _allow_non_fake_inputs=True)(*inputs)

    assigned = Assigned(copied)
    with watch.watching():
        graph_module = graph()
    structure, paths = state["structure"], _attributes(graph_module, copied)
    assigned.refuse_what_is_read(graph_module, graph)
    shapes = [torch.empty_like(x, device="meta") for x in inputs]
    return Trace(graph_module.graph, paths, structure, watch.calls, shapes, watch.layers)


def _settle(traced: Trace, module: nn.Module) -> None:
    """Say of each operation which module made it, and leave out what computes nothing."""
    for call in traced.calls:
        for node in call.nodes:
            node.meta.setdefault("module", call.path)
    for node in list(traced.graph.nodes):
        if node.op == "output":
            for leaf in node.args[0]:
                leaf.meta["output"] = True
        elif node.op != "call_function":
            continue
        elif node.target in SILENT:
            traced.graph.erase_node(node)
        elif "autocast" in str(node.target):
            raise UsageError(
                f"{type(module).__name__} sets autocast in its forward pass: cast its tensors, or run all of it so"
            )
        elif node.target is aten.item.default:
            _as_number(traced, node, module)


def _as_number(traced: Trace, node: fx.Node, module: nn.Module) -> None:
    """A number read from a tensor that does not depend on the input."""

    if follows_from_inputs(node):
        where = node.meta.get("module") or "its forward pass"
        raise UsageError(
            f"{type(module).__name__} cannot be traced: {where} reads a number from a tensor with .item() or float(): "
            "leave it a tensor"
        )

    def value(source: fx.Node) -> Any:
        if source.op == "get_attr":
            return traced.value(source, module)
        args, kwargs = fx.map_arg((source.args, source.kwargs), value)
        return source.target(*args, **kwargs)  # type: ignore[operator]

    node.replace_all_uses_with(value(node))
    traced.graph.erase_node(node)


def _attributes(made: fx.GraphModule, module: nn.Module) -> dict[str, str | object]:
    paths: dict[int, str] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers(), *plain_tensors(module)):
        paths.setdefault(id(tensor), name)
    attributes: dict[str, str | object] = {}
    for node in made.graph.nodes:
        if node.op == "get_attr":
            tensor = getattr(made, str(node.target))
            if isinstance(tensor, FakeTensor) and id(tensor) not in paths:
                raise UsageError(
                    f"{type(module).__name__} cannot be traced: it uses a tensor that no operation made, as kept from an earlier "
                    "call"
                )
            attributes[node.name] = paths.get(id(tensor), tensor)
    return attributes


class _Watch:
    """Hears of modules while they are traced: which operations each call made."""

    def __init__(self, module: nn.Module, whole: Sequence[type[nn.Module]]) -> None:
        self.calls: list[ModuleCall] = []
        self.layers: list[str] = []
        self._names = {layer: path for path, layer in module.named_modules()}
        for layer, path in self._names.items():
            if type(layer) in whole and "forward" not in vars(layer):
                self._hand_over(layer, path)

    def _hand_over(self, layer: nn.Module, path: str) -> None:
        """Calls of the layer become one operation."""
        number, own = len(self.layers), layer.forward
        self.layers.append(path)

        def forward(x: torch.Tensor) -> torch.Tensor:
            with disable_proxy_modes_tracing():
                shape = own(x).shape
            output: torch.Tensor = whole_layer(x, number, list(shape))
            return output

        layer.forward = forward

    @contextmanager
    def watching(self) -> Iterator[None]:
        starts: list[fx.Node] = []

        def begin(layer: nn.Module, inputs: Any) -> None:
            starts.append(last_node())

        def end(layer: nn.Module, inputs: Any, output: Any) -> None:
            start, node, nodes = starts.pop(), last_node(), []
            while node is not start:
                nodes.append(node)
                node = node.prev
            self.calls.append(ModuleCall(self._names[layer], nodes[::-1], node_of(output)))

        handles = []
        for layer in self._names:
            handles.append(layer.register_forward_pre_hook(begin, prepend=True))
            handles.append(layer.register_forward_hook(end))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _reason(module: nn.Module, inputs: Sequence[torch.Tensor], error: Exception) -> str:
    """Why a network cannot be traced, in one sentence: it does not run, or it asks for values."""
    name, first = type(module).__name__, (str(error).strip().splitlines() or [type(error).__name__])[0]
    shapes = " and ".join(str(tuple(x.shape)) for x in inputs)
    if _asks_for_values(error):
        return (
            f"{name} cannot be traced: what it does depends on the values of tensors. Rewrite that part without `if` on "
            f"tensors, .item() and the like. ({first})"
        )
    return f"{name} cannot be traced: it does not run on an input of shape {shapes}: {first}"


def _asks_for_values(error: Exception) -> bool:
    return type(error).__name__ in VALUES or "data-dependent" in str(error).lower()


VALUES = (
    "DataDependentOutputException",
    "DynamicOutputShapeException",
    "GuardOnDataDependentSymNode",
    "UnsupportedOperatorException",
)
"""Errors of tensors without values."""
