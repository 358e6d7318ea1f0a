"""An ONNX model, of floats or quantised, as a `graph.Network`: what each node reads of the maps before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from blockzoo.core.errors import UsageError
from blockzoo.tiling.contracts import PICTURE, Locality, TileableOperation
from blockzoo.tiling.graph.network import Network, Operation
from blockzoo.tiling.onnx.nodes import NodeCall, Value
from blockzoo.tiling.onnx.session import VIEWS, entries_of
from blockzoo.tiling.operations.lookup import by_node

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

PRODUCTS = {"Gemm": 1, "MatMul": 1, "QGemm": 3, "QLinearMatMul": 3}
"""Fully connected layers, and which of their inputs the weights are."""


@dataclass(frozen=True)
class Cut:
    """A layer that is itself cut into tiles, as `BlockConv2d` is.

    Args:
        rows, columns: where its outputs are cut, 0, ..., outputs.
        padding: around its tiles: "zeros", "replicate" or "reflect".
    """

    rows: list[int]
    columns: list[int]
    padding: str = "zeros"


def network_of(model: ModelProto, values: Mapping[str, Value], cuts: Mapping[str, Cut]) -> Network:
    """The operations of a model in the form of `onnx.normalise.normalised`; each one's payload is its node.

    Args:
        model: of floats or quantised.
        values: of the model, see `values_of`.
        cuts: layers that are themselves cut, by name of the node; names may have changed when the model was quantised.

    Raises:
        UsageError: inputs of other shapes than `entries_of` says, or a node that makes several values.
    """
    entries = entries_of(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    axes: dict[str, tuple[int, int] | None] = {
        entry.name: PICTURE if len(entry.shape) == 4 and max(entry.shape[2:]) > 1 else None
        for entry in entries
    }
    axes[entries[0].name] = PICTURE
    operations, tileables = [], by_node()
    for node in model.graph.node:
        if makes_several(node):
            raise UsageError(
                f"{node.name or node.op_type} makes {len(node.output)} values, and a file that holds it is not cut: export it "
                "layer by layer, without --grid and --budget"
            )
        sources = list(dict.fromkeys(i for i in node.input if i and i not in constants))
        maps = [source for source in sources if axes[source]]
        call = NodeCall(node, values, constants, maps, [s for s in sources if s not in maps])
        tileable = tileables.get(node.op_type)
        local = _locality(call, tileable)
        axes[node.output[0]] = local.axes
        operations.append(_operation(call, tileable, local, cuts.get(plain_name(node.name))))
    names = {operation.name for operation in operations}
    returned = tuple(output.name for output in model.graph.output)
    if not names.issuperset(returned):
        raise UsageError("no node of the model makes its output: export it again")
    return Network(operations, {entry.name: entry.shape for entry in entries}, returned)


def makes_several(node: NodeProto) -> bool:
    """Has a node more than one output that is read?"""
    return len([output for output in node.output if output]) != 1


def plain_name(name: str) -> str:
    """A node's name before the model was quantised."""
    return name.removesuffix("_quant")


def label_of(name: str) -> str:
    """The module's path in a node's name, without the number of a repeated call."""
    return plain_name(name).partition(":")[0]


def _operation(
    call: NodeCall, tileable: TileableOperation | None, local: Locality, own: Cut | None
) -> Operation:
    node, shape = call.node, call.shape
    size = call.values[node.output[0]].bytes
    view = node.op_type in VIEWS
    kind = node.op_type.removeprefix("QLinear")
    overwrites = tileable is not None and kind in tileable.in_place_nodes
    return Operation(
        name=node.output[0],
        label=label_of(node.name),
        kind=local.kind,
        sources=[*call.maps, *call.others] if not view else [i for i in node.input[:1] if i not in call.constants],
        maps=list(call.maps),
        shape=shape,
        axes=local.axes,
        windows=local.windows,
        own=(own.rows, own.columns) if own else None,
        padding=own.padding if own else local.padding,
        macs=_macs(call, tileable),
        weights=sum(prod(call.constants[i].dims) for i in node.input if i in call.constants),
        elements=0 if view else prod(shape),
        alias=view,
        reason=local.reason,
        payload=node,
        tileable=tileable,
        over=[
            s for s in (*call.maps, *call.others) if overwrites and call.values[s].bytes == size
        ],
    )  # fmt: skip


def _locality(call: NodeCall, tileable: TileableOperation | None) -> Locality:
    """What a node reads, as the operation that it is says."""
    if not call.maps:
        return Locality("small")
    answer = None if tileable is None else tileable.locality_of_node(call)
    return answer or call.whole(f"{call.kind} is not local")


def _macs(call: NodeCall, tileable: TileableOperation | None) -> int:
    """Multiply-adds of the whole map."""
    if tileable is not None:
        return tileable.macs_of_node(call)
    weight = call.constant(PRODUCTS[call.kind]) if call.kind in PRODUCTS else None
    return 0 if weight is None else int(prod(call.shape) * prod(weight.dims)) // max(1, call.shape[-1])
