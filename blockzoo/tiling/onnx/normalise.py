"""ONNX models in one form: names that say the module, constants beside the graph, one value a node, means as global pools."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.tiling.onnx.files import needed
from blockzoo.tiling.onnx.functions import with_kernels

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

SCOPES = "pkg.torch.onnx.name_scopes"
"""Key of a node's metadata under which torch names the modules around it."""


def normalised(model: ModelProto, modules: Collection[str] = ()) -> ModelProto:
    """The same network; the model is copied.

    Args:
        model: as torch exports it, or from elsewhere.
        modules: paths of layers without children: a node of such a layer bears its name, others add their own to the module's.
    """
    copy = with_kernels(_with_results_made(model))
    graph = copy.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    types = {value.name: value.type.tensor_type for value in (*graph.value_info, *graph.input)}
    results = {value.name for value in graph.output}
    nodes = [new_node for node in graph.node for new_node in _normal(node, constants, types, results)]
    nodes = _stable_logarithms(nodes, results)
    counts: dict[str, int] = {}
    for node in nodes:
        name = _name(node, modules)
        counts[name] = counts.get(name, 0) + 1
        node.name = name if counts[name] == 1 else f"{name}:{counts[name]}"
        node.doc_string = ""
        del node.metadata_props[:]
    used = {name for node in nodes for name in node.input}
    for field, entries in (
        (graph.node, nodes),
        (graph.initializer, [tensor for tensor in constants.values() if tensor.name in used]),
        (graph.input, [value for value in graph.input if value.name not in constants]),
        (graph.value_info, []),
    ):
        chosen = [type(item).FromString(item.SerializeToString()) for item in entries]
        del field[:]
        field.extend(chosen)
    return copy


def _with_results_made(model: ModelProto) -> ModelProto:
    """The model with a node of its own for each output: also for a constant that it returns, or a value twice."""
    computed = {name for node in model.graph.node for name in node.output}
    names = [value.name for value in model.graph.output]
    others = [place for place, name in enumerate(names) if name not in computed or name in names[:place]]
    if not others:
        return model
    onnx = needed("onnx")
    copy: ModelProto = onnx.ModelProto()
    copy.CopyFrom(model)
    for place in others:
        result = copy.graph.output[place]
        result.name = f"{names[place]}/{place}"
        copy.graph.node.append(onnx.helper.make_node("Identity", [names[place]], [result.name]))
    return copy


def _name(node: NodeProto, modules: Collection[str]) -> str:
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
    path = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
    if len(path) < 2:
        return node.name.replace("/", ".").strip(".") or f"{node.op_type}.{node.output[0]}"
    around = path[-2]
    if around in modules:
        return around
    return f"{around}.{node.op_type.lower()}" if around else node.op_type.lower()


def _normal(
    node: NodeProto, constants: dict[str, TensorProto], types: Mapping[str, Any], results: Collection[str]
) -> list[NodeProto]:
    """A node as none (a constant), one, or several; constants are collected."""
    onnx = needed("onnx")
    if node.op_type == "Constant" and node.attribute[0].name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        constants[tensor.name] = tensor
        return []
    if node.op_type == "Identity" and node.input[0] in constants and node.output[0] not in results:
        tensor = onnx.TensorProto()
        tensor.CopyFrom(constants[node.input[0]])
        tensor.name = node.output[0]
        constants[tensor.name] = tensor
        return []
    if node.op_type == "ReduceMean" and _over_pixels(node, constants) and _is_float(types.get(node.input[0])):
        return _with_metadata(node, _global_pool(node, constants))
    if node.op_type == "Split" and (sizes := _sizes(node, constants, types)) is not None:
        return _with_metadata(node, _slices(node, constants, sizes))
    return [node]


def _with_metadata(node: NodeProto, made: list[NodeProto]) -> list[NodeProto]:
    for other in made:
        other.metadata_props.extend(node.metadata_props)
    return made


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    onnx = needed("onnx")
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _over_pixels(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    """Is it the mean over the last two of four dimensions?"""
    axes = _attribute(node, "axes", None)
    if axes is None and len(node.input) > 1 and node.input[1] in constants:
        axes = needed("onnx").numpy_helper.to_array(constants[node.input[1]]).tolist()
    return axes is not None and sorted(axes) in ([2, 3], [-2, -1])


def _global_pool(node: NodeProto, constants: dict[str, TensorProto]) -> list[NodeProto]:
    onnx = needed("onnx")
    (output,) = node.output
    if _attribute(node, "keepdims", 1):
        return [onnx.helper.make_node("GlobalAveragePool", [node.input[0]], [output], name=node.name)]
    mean = f"{output}_map"
    return [
        onnx.helper.make_node("GlobalAveragePool", [node.input[0]], [mean], name=node.name),
        onnx.helper.make_node("Flatten", [mean], [output], name=f"{node.name}_flatten", axis=1),
    ]


def _is_float(known: Any) -> bool:
    """ONNX Runtime pools nothing else; None: not known, as usual."""
    return known is None or known.elem_type in (0, needed("onnx").TensorProto.FLOAT)


def _sizes(node: NodeProto, constants: dict[str, TensorProto], types: Mapping[str, Any]) -> np.ndarray | None:
    """Of the pieces of a split; None if they are computed."""
    if len(node.input) > 1 and node.input[1]:
        tensor = constants.get(node.input[1])
        return None if tensor is None else needed("onnx").numpy_helper.to_array(tensor)
    kind, axis = types.get(node.input[0]), _attribute(node, "axis", 0)
    whole = kind.shape.dim[axis].dim_value if kind is not None and len(kind.shape.dim) > axis else 0
    each = -(-whole // len(node.output))
    left = whole - each * (len(node.output) - 1)
    return np.array([each] * (len(node.output) - 1) + [left]) if left > 0 else None


def _slices(node: NodeProto, constants: dict[str, TensorProto], sizes: np.ndarray) -> list[NodeProto]:
    """One slice for each output of a split."""
    onnx = needed("onnx")
    ends = np.cumsum(sizes)
    slices = []
    for output, start, end in zip(node.output, ends - sizes, ends, strict=True):
        names = []
        for what, value in (("start", start), ("end", end), ("axis", _attribute(node, "axis", 0))):
            name = f"{output}_{what}"
            constants[name] = onnx.numpy_helper.from_array(np.array([value], np.int64), name)
            names.append(name)
        slices.append(
            onnx.helper.make_node("Slice", [node.input[0], *names], [output], name=f"{node.name}_{output}")
        )
    return slices


def _stable_logarithms(nodes: list[NodeProto], results: Collection[str]) -> list[NodeProto]:
    """The logarithm of a sigmoid, minus infinity where the sigmoid rounds to zero, as -softplus(-x), which is not."""
    onnx = needed("onnx")
    makers = {node.output[0]: node for node in nodes}
    new_nodes: list[NodeProto] = []
    for node in nodes:
        source = makers.get(node.input[0]) if node.op_type == "Log" else None
        if source is None or source.op_type != "Sigmoid":
            new_nodes.append(node)
            continue
        (x,), (output,) = source.input, node.output
        minus, plus = f"{output}_minus", f"{output}_plus"
        for kind, read, written in (("Neg", x, minus), ("Softplus", minus, plus), ("Neg", plus, output)):
            step = onnx.helper.make_node(kind, [read], [written], name=f"{node.name}_{written}")
            new_nodes += _with_metadata(node, [step])
    read_by_any = {name for node in new_nodes for name in node.input} | set(results)
    return [node for node in new_nodes if node.op_type != "Sigmoid" or node.output[0] in read_by_any]
