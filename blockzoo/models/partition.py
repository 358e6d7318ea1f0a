"""Any network as network blocks: an ordered, complete partition of its layers that composes to the forward pass."""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.fx.passes.split_module import split_module

from blockzoo.core.errors import UsageError


def network_blocks(network: nn.Module) -> list[nn.Module]:
    """The network blocks of any network, sharing its parameters.

    blockzoo's own networks have them as `.blocks`. Others are traced and cut wherever a single tensor passes from what
    lies before to what lies after, so a residual connection or a dense block is never cut; a piece without a weight of
    two or more dimensions (an activation, a norm, a pool) goes with the piece before it.

    (`.blocks` is not set on networks of libraries: timm's own attribute of that name is something else.)

    Raises:
        UsageError: the network cannot be traced or cut; says why.
    """
    if type(network).__module__.startswith("blockzoo.models."):
        return list(network.blocks)  # type: ignore[arg-type]
    name = type(network).__name__
    try:
        traced = fx.GraphModule(network, _WholeLayers().trace(network))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"{name} cannot be cut into blocks: its forward pass cannot be traced ({reason})"
        ) from error
    places = _pieces(traced)
    split = split_module(traced, network, lambda node: places[node])
    return [
        module
        for _, module in sorted(split.named_children(), key=lambda c: int(c[0].removeprefix("submod_")))
    ]


class _WholeLayers(fx.Tracer):
    """Does not look into layers: a convolution of any class is one."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)) or super().is_leaf_module(
            module, name
        )


def _pieces(traced: fx.GraphModule) -> dict[fx.Node, int]:
    """For each node the number of the block it goes to."""
    nodes = [node for node in traced.graph.nodes if node.op not in ("placeholder", "output")]
    last_use = {
        node: max((nodes.index(u) for u in node.users if u in nodes), default=-1)
        for node in traced.graph.nodes
    }
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"]
    places: dict[fx.Node, int] = {}
    piece, begun_weight = 0, False
    for index, node in enumerate(nodes):
        if _has_weight(traced, node):
            if begun_weight and _cut_before(nodes, inputs, last_use, index):
                piece += 1
            begun_weight = True
        elif index and begun_weight and _residual_starts(nodes, inputs, last_use, index, traced):
            piece += 1
            begun_weight = False
        places[node] = piece
    return places


def _cut_before(
    nodes: list[fx.Node], inputs: list[fx.Node], last_use: dict[fx.Node, int], index: int
) -> bool:
    """Does one tensor alone pass from the nodes before `index` to it and those after?"""
    return sum(last_use[node] >= index for node in [*inputs, *nodes[:index]]) == 1


def _residual_starts(
    nodes: list[fx.Node],
    inputs: list[fx.Node],
    last_use: dict[fx.Node, int],
    index: int,
    traced: fx.GraphModule,
) -> bool:
    """Is this weightless node the last place to cut before a weight inside something that cannot be cut?"""
    if not _cut_before(nodes, inputs, last_use, index):
        return False
    for later in range(index + 1, len(nodes)):
        if _cut_before(nodes, inputs, last_use, later):
            return False
        if _has_weight(traced, nodes[later]):
            return True
    return False


def _has_weight(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "get_attr":
        value = traced
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return isinstance(value, torch.nn.Parameter) and value.ndim > 1
    if node.op != "call_module":
        return False
    return any(p.ndim > 1 for p in traced.get_submodule(str(node.target)).parameters())
