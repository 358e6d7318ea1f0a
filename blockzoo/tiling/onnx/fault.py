"""Where a file differs from its network: which operation torch's exporter, or ONNX Runtime, does in another way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_map_only

from blockzoo.core.errors import BlockzooError
from blockzoo.models.agreement import deviation
from blockzoo.models.copying import duplicate
from blockzoo.models.tracing import trace
from blockzoo.tiling.onnx.session import every_output

if TYPE_CHECKING:
    from onnx import ModelProto

TOLERANCE = 1e-4
MOST = 60
"""Operations that are tried, each with other shapes or settings than those before it; one takes half a second."""
Export = Callable[[nn.Module, Sequence[torch.Tensor]], "ModelProto"]


class _Alone(nn.Module):
    """One operation as a network of the tensors that it reads."""

    def __init__(self, node: fx.Node) -> None:
        super().__init__()
        self.node, self.read = node, node.all_input_nodes

    def forward(self, *given: torch.Tensor) -> Any:
        values = dict(zip(self.read, given, strict=True))
        args, kwargs = fx.map_arg((self.node.args, self.node.kwargs), values.__getitem__)
        operation: Any = self.node.target
        return operation(*args, **kwargs)


@torch.no_grad()
def operation_at_fault(model: nn.Module, given: Sequence[torch.Tensor], export: Export) -> str:
    """The first operation of a network that, exported alone, gives something else than in PyTorch, and its layer.

    "" where none of those that were tried does.
    """
    network = duplicate(model).eval()
    try:
        traced = trace(network, given)
        state = {node: traced.value(node, network) for node in traced.graph.find_nodes(op="get_attr")}
    except BlockzooError:
        return ""
    values: dict[fx.Node, Any] = dict(zip(traced.graph.find_nodes(op="placeholder"), given, strict=True))
    values |= state
    tried: set[str] = set()
    for node in traced.graph.nodes:
        if node.op != "call_function":
            continue
        alone = _Alone(node)
        read = [tree_map_only(torch.Tensor, torch.clone, values[source]) for source in alone.read]
        values[node] = alone(*(values[source] for source in alone.read))
        if not all(isinstance(t, torch.Tensor) for t in (*read, values[node])) or node.target is getattr:
            continue
        shapes = [tuple(t.shape) for t in read]
        settings = fx.map_arg((node.args, dict(node.kwargs)), lambda source: None)
        if (key := f"{node.target} {shapes} {settings}") in tried or len(tried) == MOST:
            continue
        tried.add(key)
        try:
            (exported,) = next(every_output(export(alone, read), [[t.numpy() for t in read]]))
        except Exception:
            continue
        if not deviation(alone(*(t.clone() for t in read)), torch.from_numpy(exported)) <= TOLERANCE:
            layer = node.meta.get("module", "")
            told = [value for value in node.args if value is not None and not isinstance(value, fx.Node)]
            return f"{node.target} of {', '.join(map(str, told))}{f' in {layer}' if layer else ''}"
    return ""
