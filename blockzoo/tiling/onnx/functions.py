"""Operations for which ONNX Runtime has no kernel, as those that it runs in their place."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.tiling.onnx.files import needed
from blockzoo.tiling.onnx.session import session

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

KERNELS = frozenset(
    "Clip Relu Elu LeakyRelu PRelu Selu Celu ThresholdedRelu Softplus Softsign Softmax LogSoftmax LayerNormalization "
    "Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare Shrink GreaterOrEqual LessOrEqual".split()
)
"""Those that ONNX defines by others and ONNX Runtime runs as they are: a model of these alone needs no look."""


def with_kernels(model: ModelProto) -> ModelProto:
    """A copy of the model in which each operation that ONNX Runtime would replace (HardSwish, Mish, ...) is replaced already, as
    ONNX defines it: memory is then counted, and tiles are cut, in what really runs.

    The new nodes bear the metadata of the one they stand for.
    """
    onnx = needed("onnx")
    copy: ModelProto = onnx.ModelProto()
    copy.CopyFrom(model)
    if not any(_is_function(node, model) for node in model.graph.node):
        return copy
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "as_run.onnx"
        session(model, optimised=False, written=str(path))
        ran = onnx.load(str(path))
    before = {node.output[0]: node for node in model.graph.node}
    gone = {name for name, node in before.items() if node.op_type != _maker(ran, name)}
    if not gone:
        return copy
    origins: dict[str, Any] = {}
    for node in reversed(ran.graph.node):
        of = before[node.output[0]] if node.output[0] in before else origins.get(node.output[0])
        if of is None:
            continue
        if node.output[0] not in before or node.output[0] in gone:
            origins.update({name: of for name in node.input if name not in before})
            del node.metadata_props[:]
            node.metadata_props.extend(of.metadata_props)
            node.name = f"{of.name}.{node.op_type.lower()}"
        else:
            node.CopyFrom(of)
    del copy.graph.node[:]
    copy.graph.node.extend(ran.graph.node)
    constants = {tensor.name for tensor in copy.graph.initializer}
    copy.graph.initializer.extend(t for t in ran.graph.initializer if t.name not in constants)
    have = {entry.domain for entry in copy.opset_import}
    used = {node.domain for node in copy.graph.node}
    copy.opset_import.extend(e for e in ran.opset_import if e.domain in used - have)
    return copy


def _is_function(node: NodeProto, model: ModelProto) -> bool:
    onnx = needed("onnx")
    if node.op_type in KERNELS or node.domain not in ("", "ai.onnx"):
        return bool(node.domain in {function.domain for function in model.functions})
    version = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    try:
        schema = onnx.defs.get_schema(node.op_type, version, "")
    except Exception:  # unknown to this ONNX: the session says so
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def _maker(model: ModelProto, name: str) -> str:
    return next((node.op_type for node in model.graph.node if name in node.output), "")
