"""What executes the operations of a graph: a layer, or a function, as the tileable operation that it is says."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx, nn

from blockzoo.models.nodes import whole_layer
from blockzoo.models.tracing import Trace
from blockzoo.models.views import options
from blockzoo.tiling.contracts import TileableOperation
from blockzoo.tiling.geometry import pair
from blockzoo.tiling.graph.identity import is_known, name_of_function
from blockzoo.tiling.graph.payload import Payload
from blockzoo.tiling.layers.convolutions import padded_convolution


def name_of_node(node: fx.Node, graph: Trace, module: nn.Module) -> str:
    """The name by which tileable operations know what a node calls: of a function, or of a class of layers in small letters."""
    if node.target is whole_layer:
        return type(_whole_layer(node, graph, module)).__name__.lower()
    return "padded_convolution" if node.target is padded_convolution else name_of_function(node.target)


def payload_of(
    node: fx.Node,
    graph: Trace,
    module: nn.Module,
    state: Mapping[str, torch.Tensor],
    tileable: TileableOperation | None,
) -> Payload:
    """Of an operation of a normalised graph.

    Args:
        node: of the operation.
        graph: the trace that it is in.
        module: the network that was traced.
        state: values of the `get_attr` nodes that stand in its arguments.
        tileable: what it is; None: nothing that is known.
    """
    name = name_of_node(node, graph, module)
    if node.target is whole_layer:
        layer = _whole_layer(node, graph, module)
        return Payload(name, layer, layer.forward, node.args[:1])  # hooks are in the graph
    if tileable is not None and name in tileable.layers:
        own = _own_layer(node, graph, module) or _made_layer(node, tileable.layers[name], state)
        if own is not None:
            return Payload(name, own, own, node.args[:1])
    other = None if tileable is None else tileable.payload(name, node)
    if other is not None:
        return other
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: state.get(n.name, n))
    return Payload(name, None, node.target, args, kwargs)  # type: ignore[arg-type]


def _whole_layer(node: fx.Node, graph: Trace, module: nn.Module) -> nn.Module:
    number: Any = node.args[1]
    return module.get_submodule(graph.layers[number])


def _own_layer(node: fx.Node, graph: Trace, module: nn.Module) -> nn.Module | None:
    """The network's own layer, if it is all that the operation does."""
    path = node.meta.get("module", "")
    layer = module.get_submodule(path)
    is_plain = type(layer) in (nn.Conv2d, nn.ConvTranspose2d) and is_known(layer)
    if not is_plain or not isinstance(node.target, torch._ops.OpOverload):
        return None
    args = options(node.target, node.args, dict(node.kwargs))
    read = {
        name: graph.attributes.get(args[name].name) for name in ("weight", "bias") if args[name] is not None
    }
    own = {name: f"{path}.{name}".lstrip(".") for name, _ in layer.named_parameters(recurse=False)}
    same = read == own and getattr(layer, "padding_mode", "zeros") == "zeros"
    for name in ("stride", "padding", "dilation", "groups", "output_padding"):
        mine, other = getattr(layer, name), args.get(name, getattr(layer, name))
        same = same and (mine == other or list(pair(mine, name)) == list(pair(other, name)))
    return layer if same else None


def _made_layer(
    node: fx.Node, maker: Callable[[dict[str, Any]], nn.Module], state: Mapping[str, torch.Tensor]
) -> nn.Module | None:
    """A layer that does what a function does; None where its weights follow from the input."""
    names = inspect.signature(padded_convolution).parameters
    if isinstance(node.target, torch._ops.OpOverload):
        names = {a.name: a for a in node.target._schema.arguments}  # type: ignore[assignment]
    chosen = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    for key in ("input", "self"):
        chosen.pop(key, None)
    if any(isinstance(value, fx.Node) and value.name not in state for value in chosen.values()):
        return None
    return maker({k: state[v.name] if isinstance(v, fx.Node) else v for k, v in chosen.items()})
