"""A network as a list of operations that are local in space, as far as it goes: what a tile can be run through.

The network is traced (torch.fx), its layers whole; each operation says along both axes which inputs an output reads.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from blockzoo.core.errors import RequestError
from blockzoo.tiling.geometry import Window
from blockzoo.tiling.pool import windows_of

POINTWISE_MODULES = (
    nn.BatchNorm2d,
    nn.ReLU,
    nn.ReLU6,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.SiLU,
    nn.GELU,
    nn.Sigmoid,
    nn.Tanh,
    nn.LeakyReLU,
    nn.ELU,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
)
POINTWISE_FUNCTIONS = {
    operator.add,
    operator.iadd,
    operator.mul,
    operator.sub,
    torch.add,
    torch.mul,
    torch.sub,
    torch.relu,
    torch.sigmoid,
    F.relu,
    F.relu6,
    F.silu,
    F.gelu,
    F.hardswish,
    F.hardsigmoid,
    F.sigmoid,
    F.dropout,
}
POINTWISE_METHODS = {"add", "add_", "mul", "relu", "relu_", "sigmoid", "contiguous"}
SAME = Window(1)


@dataclass
class Operation:
    """One node of the traced network.

    Args:
        node: it.
        windows: what it reads along rows and columns; None where it is not local.
        shape: of its output, for the example.
        reads: rows and columns of the map it reads.
        local: whether a tile can go through it.
        reason: why not.
    """

    node: fx.Node
    windows: tuple[Window, Window] | None
    shape: tuple[int, ...]
    reads: tuple[int, int]
    local: bool
    reason: str = ""
    users: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the module where there is one, else of the node."""
        return str(self.node.target) if self.node.op == "call_module" else self.node.name


@dataclass
class Network:
    """A traced network: its operations in order, and the modules that they call."""

    module: fx.GraphModule
    operations: list[Operation]
    input: fx.Node
    input_shape: tuple[int, ...]

    def place(self, name: str) -> int:
        """The position of the last operation of a module (or of what lies within it).

        Raises:
            RequestError: there is none.
        """
        found = [i for i, o in enumerate(self.operations) if o.name == name or o.name.startswith(f"{name}.")]
        stacks = [
            i
            for i, o in enumerate(self.operations)
            if any(path == name or path.startswith(f"{name}.") for path in _stack(o.node))
        ]
        if not (found or stacks):
            raise RequestError(f"fuse_to {name!r}: no operation of the network lies in a module of that name")
        return max([*found, *stacks])


class _WholeLayers(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)) or super().is_leaf_module(
            module, name
        )


def traced(model: nn.Module, example: torch.Tensor) -> Network:
    """The operations of a network in evaluation mode.

    Raises:
        RequestError: its forward pass cannot be traced, or it does not run on the example.
    """
    try:
        module = fx.GraphModule(model, _WholeLayers().trace(model))
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RequestError(
            f"{type(model).__name__} cannot be traced, so it cannot be cut into tiles: {first}"
        ) from error
    shapes = _shapes(module, example)
    operations = []
    for node in module.graph.nodes:
        if node.op in ("call_module", "call_function", "call_method"):
            operations.append(_operation(module, node, shapes))
    (start,) = (node for node in module.graph.nodes if node.op == "placeholder")
    return Network(module, operations, start, tuple(example.shape))


def _stack(node: fx.Node) -> list[str]:
    return [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]


class _Shapes(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            self.shapes[n.name] = tuple(result.shape)
        return result


def _shapes(module: fx.GraphModule, example: torch.Tensor) -> dict[str, tuple[int, ...]]:
    interpreter = _Shapes(module)
    try:
        with torch.no_grad():
            interpreter.run(example)
    except Exception as error:
        raise RequestError(
            f"the network does not run on an input of shape {tuple(example.shape)}: {error}"
        ) from error
    return interpreter.shapes


def _operation(module: fx.GraphModule, node: fx.Node, shapes: dict[str, tuple[int, ...]]) -> Operation:
    shape = shapes.get(node.name, ())
    windows, reason = _windows(module, node, shapes)
    if len(shape) != 4:
        windows, reason = None, reason or "its output is no feature map"
    sources = [shapes[a.name] for a in node.all_input_nodes if len(shapes.get(a.name, ())) == 4]
    reads = (sources[0][2], sources[0][3]) if sources else (0, 0)
    return Operation(
        node, windows, shape, reads, windows is not None, reason, [user.name for user in node.users]
    )


def _windows(
    module: fx.GraphModule, node: fx.Node, shapes: dict[str, tuple[int, ...]]
) -> tuple[tuple[Window, Window] | None, str]:
    tensors = [a for a in node.all_input_nodes if a.name in shapes]
    same = all(shapes[t.name][-2:] == shapes.get(node.name, ())[-2:] for t in tensors)
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        if type(layer) is nn.Conv2d and layer.padding_mode == "zeros":
            left, right, top, bottom = layer._reversed_padding_repeated_twice
            rows, columns = (
                Window(k, s, d, before, after)
                for k, s, d, (before, after) in zip(
                    layer.kernel_size,
                    layer.stride,
                    layer.dilation,
                    ((top, bottom), (left, right)),
                    strict=True,
                )
            )
            return (rows, columns), ""
        if type(layer) in (nn.MaxPool2d, nn.AvgPool2d):
            return windows_of(layer, torch.empty(shapes[tensors[0].name], device="meta")), ""
        if isinstance(layer, POINTWISE_MODULES) and not layer.training:
            return (SAME, SAME), ""
        return None, f"{type(layer).__name__} is not local"
    if node.op == "call_function" and node.target is torch.cat:
        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
        return ((SAME, SAME), "") if dim in (1, -3) and same else (None, "cat along another axis")
    if (node.op == "call_function" and node.target in POINTWISE_FUNCTIONS) or (
        node.op == "call_method" and node.target in POINTWISE_METHODS
    ):
        return ((SAME, SAME), "") if same else (None, "operands of different sizes")
    return None, f"{getattr(node.target, '__name__', node.target)} is not local"
