"""From a torch module to a `Network`: traced below its modules, freed of writes, and measured on the meta device."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.utils.flop_counter import FlopCounterMode

from blockzoo.core.errors import UsageError
from blockzoo.models.copying import duplicate
from blockzoo.models.deploy import fold_batch_norm
from blockzoo.models.functional import without_writes
from blockzoo.models.merging import with_merged_branches
from blockzoo.models.nodes import whole_layer
from blockzoo.models.tracing import Trace, trace
from blockzoo.tiling.contracts import PICTURE, Call, TileableOperation
from blockzoo.tiling.graph.kernels_of import name_of_node, payload_of
from blockzoo.tiling.graph.locality import locality, of_no_image
from blockzoo.tiling.graph.network import Network, Operation
from blockzoo.tiling.graph.normalise import normalised
from blockzoo.tiling.graph.payload import Payload
from blockzoo.tiling.layers.convolutions import plain_convolutions
from blockzoo.tiling.operations import lookup
from blockzoo.tiling.planning.memory import Memory, tensors_of
from blockzoo.tiling.planning.plan import Plan

Example = torch.Tensor | Sequence[torch.Tensor]
"""An input, or one for each that the network takes; the first is (N, C, H, W)."""


def inputs_of(example: Example) -> tuple[torch.Tensor, ...]:
    """One or several, as a tuple.

    Raises:
        UsageError: no tensors, say a shape.
    """
    inputs = (example,) if isinstance(example, torch.Tensor) else tuple(example)
    if not inputs or not all(isinstance(x, torch.Tensor) for x in inputs):
        raise UsageError(
            f"example_input {example!r}: give a tensor (N, C, H, W), as torch.zeros(1, 3, 224, 224)"
        )
    return inputs


DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Those of plans that a network can have itself."""


def dtype_name(model: nn.Module, example: Example) -> str:
    """The name of the dtype to plan a network in, where none is asked for."""
    own = own_dtype(model, inputs_of(example)[0])
    return next((name for name, dtype in DTYPES.items() if dtype == own), "fp32")


def own_dtype(model: nn.Module, image: torch.Tensor) -> torch.dtype:
    """The dtype of a network: of its first weights, else of the image, if these are floats."""
    floats = (t.dtype for t in (*model.parameters(), image) if t.is_floating_point())
    return next(floats, torch.float32)


def planned_inputs(model: nn.Module, plan: Plan) -> list[torch.Tensor]:
    """Zeros of the shapes and types that a plan was made for, where the network is."""
    first = next(model.parameters(), torch.empty(0, dtype=DTYPES.get(plan.dtype)))
    shapes = (plan.input_shape, *plan.other_inputs)
    names = plan.input_types or ("",) * len(shapes)
    own = own_dtype(model, first)
    return [
        torch.zeros(shape, dtype=getattr(torch, name) if name else own, device=first.device)
        for shape, name in zip(shapes, names, strict=True)
    ]


def ready(model: nn.Module, example: Example, fold: bool) -> nn.Module:
    """A copy for inference: branches merged and batch norms folded if wanted, subclasses of nn.Conv2d as what they compute.

    Raises:
        UsageError: the example is no batch of images, or the network does not run on it.
    """
    first, *others = inputs_of(example)
    if first.ndim != 4:
        raise UsageError(f"an input of shape {tuple(first.shape)}: tiles need images (N, C, H, W)")
    try:
        if fold:
            merged = model if others else with_merged_branches(model, first)
            model = fold_batch_norm(merged, first, *others)
        else:
            model = duplicate(model).eval()
        return plain_convolutions(model, first, *others)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shapes = " and ".join(str(tuple(x.shape)) for x in (first, *others))
        raise UsageError(
            f"{type(model).__name__} does not run on an input of shape {shapes}: {error}"
        ) from error


def traced(model: nn.Module, example: Example) -> Network:
    """The operations of a network in evaluation mode, as `ready` gives it.

    Args:
        model: the network; the operations call its layers.
        example: its inputs; only their shapes, types and devices matter.

    Raises:
        UsageError: it cannot be traced, writes what stays from call to call, or does not run on inputs of these shapes.
    """
    graph = without_writes(trace(model, inputs_of(example), lookup.whole_layers()), model)
    return _Measured(graph, model).network()


class _Measured:
    """Runs a traced network on the meta device and describes each operation on the way."""

    def __init__(self, graph: Trace, module: nn.Module) -> None:
        self._graph, self._module = graph, module
        self._own = own_dtype(module, graph.inputs[0])
        self._state = normalised(graph, module)
        self._tileables = lookup.by_function()
        layers = lookup.layers()
        self._maps = {node.name for node in graph.graph.nodes if _is_map(node, self._state, layers)}
        self._operations: list[Operation] = []
        self._inputs: dict[str, tuple[int, ...]] = {}
        self._axes: dict[str, tuple[int, int] | None] = {}
        self._meta: dict[str, Any] = {}
        self._memory = Memory(next((p.device for p in module.parameters()), torch.device("cpu")))

    def network(self) -> Network:
        shapes = iter(self._graph.inputs)
        outputs: list[str] = []
        for node in self._graph.graph.nodes:
            if node.op == "output":
                outputs = [leaf.name for leaf in node.args[0]]
            elif node.op == "placeholder":
                self._meta[node.name] = like = torch.empty_like(next(shapes), device="meta")
                self._memory.hold(node.name, torch.empty(like.shape, dtype=like.dtype, device="meta"))
                self._axes[node.name] = PICTURE if like.ndim == 4 else None
                self._inputs[node.name] = tuple(like.shape)
            elif node.op == "get_attr":
                self._meta[node.name] = self._state[node.name].to("meta")
                self._memory.hold(node.name, self._state[node.name])
                self._axes[node.name] = PICTURE if node.name in self._maps else None
            else:
                self._operations.append(self._described(node))
        if not self._operations:
            raise UsageError(
                f"{type(self._module).__name__} computes nothing: there is nothing to cut into tiles"
            )
        return self._put_together(tuple(outputs))

    def _put_together(self, outputs: tuple[str, ...]) -> Network:
        constants = {name: self._state[name] for name in (*outputs, *self._maps) if name in self._state}
        types = tuple(
            "" if x.dtype == self._own else str(x.dtype).removeprefix("torch.") for x in self._graph.inputs
        )
        there = {name: self._meta[name] for name in (*self._inputs, *constants)}
        items = {name: t.element_size() for name, t in there.items() if t.dtype != self._own}
        structure = self._graph.structure
        return Network(
            self._operations,
            self._inputs,
            outputs,
            structure,
            constants,
            input_types=types,
            items=items,
            writes_inputs=self._graph.writes_inputs,
        )

    def _described(self, node: fx.Node) -> Operation:
        """What a node is, reads, makes and needs."""
        result, macs = self._without_values(node)
        self._meta[node.name] = result
        weights = {n.name: value for n in node.all_input_nodes if (value := self._weight(n)) is not None}
        candidate = self._tileables.get(name_of_node(node, self._graph, self._module))
        payload = payload_of(node, self._graph, self._module, weights, candidate)
        tileable = self._tileables.get(payload.what)
        sources = [source.name for source in node.all_input_nodes if source.name not in weights]
        maps = [name for name in sources if self._axes[name]]
        local = locality(self._call(payload, node, maps, result), tileable)
        tensors = tensors_of(result)
        if local.axes and self._inputs and len(tensors[0]) != next(iter(self._inputs.values()))[0]:
            local = of_no_image(local)
        self._axes[node.name] = local.axes
        turned = [name for name in maps if local.kind == "window" and name in self._inputs]
        nbytes, beside = self._memory.of(node, payload, result, turned)
        other = bool(tensors) and tensors[0].dtype != self._own
        operation = Operation(
            name=node.name,
            label=_label(node, self._module),
            kind=local.kind,
            sources=sources,
            maps=maps,
            shape=tuple(tensors[0].shape) if tensors else (),
            dtype=tensors[0].dtype if tensors else None,
            axes=local.axes,
            windows=local.windows,
            own=local.own,
            padding=local.padding,
            macs=macs,
            weights=_elements([*payload.layer.parameters()] if payload.layer else weights.values()),
            elements=nbytes // tensors[0].element_size() if tensors else 0,
            item=tensors[0].element_size() if other else 0,
            beside=self._as_counted(beside, other),
            indices=local.indices,
            counts=local.counts,
            counted=local.counted,
            alias=bool(tensors) and not nbytes,
            reason=local.reason,
            payload=payload,
            tileable=tileable,
            over=_overwrites(payload, tileable, self._meta, result),
        )
        if local.kind == "window" and not local.counted:
            rows, columns = self._meta[maps[0]].shape[2:]
            kernel = self._memory.beside_kernel(operation, (rows, columns))
            operation.beside = max(operation.beside, self._as_counted(kernel, other))
        if local.kind == "pointwise" and not operation.alias:
            parts = self._memory.beside_parts(node, payload, {name: self._axes[name] for name in maps})
            operation.beside_parts = max(operation.beside, self._as_counted(parts, other))
        return operation

    def _as_counted(self, size: int, other: bool) -> int:
        """Bytes as they are where the output is of another dtype, else as they would be in fp32."""
        return size if other else size * 4 // self._own.itemsize

    def _without_values(self, node: fx.Node) -> tuple[Any, int]:
        """What a node makes on the meta device, and its multiply-adds."""
        args: Any
        kwargs: Any
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: self._meta[n.name])
        kwargs = {
            key: torch.device("meta") if key == "device" and value else value for key, value in kwargs.items()
        }
        args = [torch.device("meta") if isinstance(arg, torch.device) else arg for arg in args]
        target: Any = node.target
        if target is whole_layer:
            layer = self._module.get_submodule(self._graph.layers[args[1]])
            target, args = copy.deepcopy(layer).to("meta"), args[:1]
        try:
            with torch.no_grad(), FlopCounterMode(display=False) as flops:
                result = target(*args, **kwargs)
        except Exception as error:
            raise UsageError(f"{_label(node, self._module)} does not run without values: {error}") from error
        return result, flops.get_total_flops() // 2

    def _weight(self, node: fx.Node) -> torch.Tensor | None:
        """The value of a parameter, a buffer, or what follows from them; None of those that are cut into tiles as maps are."""
        return None if node.name in self._maps else self._state.get(node.name)

    def _call(self, payload: Payload, node: fx.Node, maps: Sequence[str], result: Any) -> Call:
        """What locality is decided by."""
        args, kwargs = payload.given(self._meta.__getitem__)
        layered = (
            () if payload.layer is None else [n.name for n in node.all_input_nodes if n.name in self._state]
        )
        others = [
            tuple(t.shape)
            for source in node.all_input_nodes
            if source.name not in (*maps, *layered)
            for t in tensors_of(self._meta[source.name])
        ]
        shapes = [tuple(tensors_of(self._meta[name])[0].shape) for name in maps]
        axes = [axes for name in maps if (axes := self._axes[name])]
        return Call(payload.what, payload.layer, args, dict(kwargs), shapes, axes, others, result)


def _is_map(node: fx.Node, state: Mapping[str, torch.Tensor], layers: Collection[str]) -> bool:
    """Is it a constant with rows and columns that something else than a layer reads?"""
    value = state.get(node.name)
    if value is None or value.ndim != 4 or max(value.shape[2:]) == 1:
        return False
    return any(getattr(user.target, "__name__", "").partition(".")[0] not in layers for user in node.users)


def _elements(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _label(node: fx.Node, module: nn.Module) -> str:
    """The path of a layer, or that of a module with the operation's name."""
    path = node.meta.get("module", "")
    leaf = path and not [*module.get_submodule(path).children()]
    return path if leaf else f"{path}.{node.name}".lstrip(".")


def _overwrites(
    payload: Payload, tileable: TileableOperation | None, values: Mapping[str, Any], result: Any
) -> list[str]:
    """The operands that it can write over: of the output's shape and type, each element in a place of its own."""
    form = None if tileable is None else tileable.in_place.get(payload.what)
    if form is None or payload.kwargs.get("alpha", 1) != 1:
        return []
    operands = [a for a in payload.args[: form.operands] if isinstance(a, fx.Node)]
    return [
        operand.name
        for operand in operands
        if values[operand.name].shape == result.shape
        and values[operand.name].dtype == result.dtype
        and not _shares_places(values[operand.name])
    ]


def _shares_places(tensor: torch.Tensor) -> bool:
    """May two elements lie in one place, as in an expanded view, or in windows that overlap?"""
    extent = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride < extent:
                return True
            extent += (size - 1) * stride
    return False
