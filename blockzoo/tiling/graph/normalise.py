"""A traced network without writes in the form that is planned and run.

Copies and other names are left out: nothing writes, so a copy is what it copies. What follows from parameters and buffers
alone is worked out once; zeros that are put around what a convolution reads are padding of the convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from blockzoo.models.tracing import Trace
from blockzoo.models.views import name_of, options
from blockzoo.tiling.layers.convolutions import padded_convolution

aten = torch.ops.aten
COPIES = frozenset("clone contiguous detach alias lift_fresh lift_fresh_copy".split())


def normalised(trace: Trace, module: nn.Module) -> dict[str, torch.Tensor]:
    """Change the graph of a trace without writes; the values of its `get_attr` nodes, by name."""
    values: dict[str, torch.Tensor] = {}
    for node in list(trace.graph.nodes):
        name = name_of(node.target)
        if node.op == "get_attr":
            values[node.name] = trace.value(node, module)
        elif name in COPIES:
            node.replace_all_uses_with(node.args[0])
        elif node.op == "call_function" and _follows_from_state(node):
            args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: values[n.name])
            with torch.no_grad():
                result = node.target(*args, **kwargs)
            if isinstance(result, torch.Tensor):
                with trace.graph.inserting_before(node):
                    constant = trace.graph.create_node("get_attr", node.name)
                node.replace_all_uses_with(constant)
                values[constant.name] = result
    trace.graph.eliminate_dead_code()  # what reads a value and is read by none would hide that it has one reader
    for node in list(trace.graph.nodes):
        if name_of(node.target) in ("view", "_unsafe_view"):  # which maps in another layout refuse
            node.target = aten.reshape.default
        _shuffle(node, trace.graph)
        _with_its_zeros(node)
    trace.graph.eliminate_dead_code()
    left = {node.name for node in trace.graph.nodes}
    return {name: value for name, value in values.items() if name in left}


def _follows_from_state(node: fx.Node) -> bool:
    """Is it the same in each call, since it is made of what the network holds and of nothing drawn?"""
    sources = node.all_input_nodes
    drawn = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    return bool(sources) and not drawn and all(source.op == "get_attr" for source in sources)


def _with_its_zeros(node: fx.Node) -> None:
    """A convolution that alone reads a map with zeros around it pads with them itself."""
    source = node.args[0] if node.target is aten.conv2d.default else None
    if not isinstance(source, fx.Node) or name_of(source.target) not in ("pad", "constant_pad_nd"):
        return
    pad_options = options(source.target, source.args, dict(source.kwargs))  # type: ignore[arg-type]
    sides = pad_options["pad"]
    if (
        pad_options.get("mode", "constant") == "constant"
        and not pad_options["value"]
        and len(sides) == 4
        and min(sides) >= 0
    ):
        names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
        own = options(node.target, node.args, dict(node.kwargs))  # type: ignore[arg-type]
        node.args = (source.args[0], tuple(sides), *(own[name] for name in names[1:]))
        node.target, node.kwargs = padded_convolution, {}


TURNS: dict[object, list[tuple[int, ...]]] = {
    aten.transpose.int: [(1, 2), (2, 1)],
    aten.permute.default: [(0, 2, 1, 3, 4)],
}
"""Groups of channels for channels of a group."""
APART, TOGETHER = (aten.reshape.default, aten.unflatten.int), (aten.reshape.default, aten.flatten.using_ints)


def _shuffle(node: fx.Node, graph: fx.Graph) -> None:
    """Channels in groups, turned and put in a row again: `channel_shuffle`."""
    turn = node.args[0] if node.target in TOGETHER else None
    if not isinstance(turn, fx.Node) or turn.target not in TURNS:
        return
    order: Any = turn.args[1] if turn.target is aten.permute.default else turn.args[1:]
    apart = turn.args[0]
    if not isinstance(apart, fx.Node) or apart.target not in APART or tuple(order) not in TURNS[turn.target]:
        return
    source = apart.args[0]
    if not isinstance(source, fx.Node) or len(turn.users) + len(apart.users) > 2:
        return
    if any("val" not in n.meta for n in (source, apart, node)):  # what was put in place of other operations
        return
    before, inside, after = (n.meta["val"].shape for n in (source, apart, node))
    if before == after and len(before) == 4 and inside[0] == before[0] and inside[3:] == before[2:]:
        with graph.inserting_before(node):
            shuffle = graph.create_node(
                "call_function", aten.channel_shuffle.default, (source, inside[1]), {}, "channel_shuffle"
            )
        shuffle.meta = dict(node.meta)
        node.replace_all_uses_with(shuffle)
