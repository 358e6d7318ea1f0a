"""What a block computes, as a graph that one can read: its operations, with norms and activations beside what they follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import fx

from blockzoo.blocks.adapters import adapted
from blockzoo.blocks.lookup import block_class
from blockzoo.core.errors import UsageError
from blockzoo.core.subject import Subject
from blockzoo.models.scaffold import seeded
from blockzoo.models.tracing import trace

Kind = Literal["input", "weights", "shape", "arithmetic", "pooling", "other", "output"]
SILENT = {"alias", "dropout", "contiguous", "to", "getitem", "clone", "expand", "expand_as", "detach"}
"""Operations that change no value, or take one of several outputs: they are no box."""
OF_SHAPE = {
    "view", "reshape", "reshape_as", "permute", "transpose", "flatten", "unflatten", "unsqueeze", "squeeze", "select", "movedim",
}  # fmt: skip
SPLITS = {"split", "split_with_sizes", "chunk", "unbind", "slice"}
SIGNS = {"add": "+", "mul": "×", "sub": "−", "div": "÷"}
WORDS = {
    "batch_norm": "batch norm", "layer_norm": "layer norm", "group_norm": "group norm", "relu": "ReLU", "gelu": "GELU",
    "silu": "SiLU", "hardswish": "hard-swish", "hardsigmoid": "hard sigmoid", "hardtanh": "hard tanh", "leaky_relu": "leaky ReLU",
    "cat": "concatenation", "adaptive_avg_pool2d": "global mean", "mean": "mean", "scaled_dot_product_attention": "attention",
    "matmul": "matrix product", "bmm": "matrix product", "avg_pool2d": "mean pooling", "max_pool2d": "max pooling",
    "upsample_nearest2d": "upsampling", "channel_shuffle": "channel shuffle", "linalg_vector_norm": "norm", "roll": "shift",
    "split_with_sizes": "split", "chunk": "split", "unbind": "split", "slice": "slice", "addcmul": "× +",
}  # fmt: skip
POOLS = {
    "adaptive_avg_pool2d",
    "mean",
    "avg_pool2d",
    "max_pool2d",
    "sum",
    "upsample_nearest2d",
    "amax",
    "linalg_vector_norm",
}
FOLLOWS = {
    "batch_norm", "layer_norm", "group_norm", "relu", "gelu", "silu", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu",
    "sigmoid", "softmax", "tanh", "clamp_min", "clamp", "elu", "softplus", "pow", "sin", "cos", "exp", "sqrt", "rsqrt",
}  # fmt: skip
"""Operations on one map that are written into the box of what they follow, where nothing else reads that."""


@dataclass
class Box:
    """One box of the picture.

    Args:
        lines: what it computes, one after the other.
        kind: what sort of operation its first is.
        shape: of its output, without the batch.
        sources: numbers of the boxes that it reads.
    """

    lines: list[str]
    kind: Kind
    shape: tuple[int, ...]
    sources: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class BlockGraph:
    """Of one block, its boxes in an order in which they can be computed; the first is the input, the last the output.

    Args:
        name: of the block.
        boxes: the operations.
        operations: so many the traced graph has.
    """

    name: str
    boxes: tuple[Box, ...]
    operations: int


def block_graph(
    name: str, *, in_channels: int = 64, out_channels: int = 64, stride: int = 1, side: int = 32
) -> BlockGraph:
    """The graph of a block in evaluation mode, as it is trained (its branches are not merged).

    Args:
        name: of a block of the zoo, or of the user's.
        in_channels: of the map that it reads.
        out_channels: of the map that it makes.
        stride: of the block.
        side: of the map that it reads, in pixels.

    Raises:
        UsageError: no such block, one that has not this shape, or one whose graph cannot be traced; with the reason.
    """
    subject = Subject.parse(name)
    if not subject.is_block:
        raise UsageError(f"{name} is no block: a graph is drawn of one, as of ResNetBasicBlock")
    with seeded(0, "graph"):
        block = adapted(block_class(subject))(
            in_channels, out_channels, stride, subject.position or "mid"
        ).eval()
        traced = trace(block, [torch.zeros(1, in_channels, side, side)])
    reading = _Reading()
    for node in traced.graph.nodes:
        reading.take(node)
    boxes = reading.boxes
    operations = sum(node.op == "call_function" for node in traced.graph.nodes)
    return BlockGraph(name, tuple(boxes), operations)


class _Reading:
    """From nodes to boxes, one node after the other."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self._box_of: dict[fx.Node, int] = {}

    def take(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self._add(node, Box(["input"], "input", _shape(node)))
        elif node.op == "output":
            self._add(node, Box(["output"], "output", _shape_of_output(node), self._sources(node)))
        elif node.op == "call_function":
            self._call(node)

    def _call(self, node: fx.Node) -> None:
        sources, name = self._sources(node), _name(node)
        if not sources:
            return  # made of weights alone
        if name in SILENT:
            self._box_of[node] = sources[0]
            return
        before = self.boxes[sources[0]]
        own = self._is_read_once(node)
        with_weights = name in SIGNS and len(sources) == 1
        if len(sources) == 1 and own and before.kind != "input" and (name in FOLLOWS or with_weights):
            before.lines.append(_label(node, name, alone=with_weights))
            before.shape = _shape(node)
            self._box_of[node] = sources[0]
            return
        if name in OF_SHAPE:
            if own and before.kind == "shape" and len(sources) == 1:
                before.shape = _shape(node)
                self._box_of[node] = sources[0]
                return
            self._add(node, Box(["reshape"], "shape", _shape(node), sources))
            return
        self._add(node, Box([_label(node, name, alone=with_weights)], _kind(name), _shape(node), sources))

    def _add(self, node: fx.Node, box: Box) -> None:
        self._box_of[node] = len(self.boxes)
        self.boxes.append(box)

    def _sources(self, node: fx.Node) -> list[int]:
        return list(
            dict.fromkeys(self._box_of[source] for source in node.all_input_nodes if source in self._box_of)
        )

    def _is_read_once(self, node: fx.Node) -> bool:
        """Does nothing but this node read what the box before it makes?"""
        (source,) = self._sources(node)[:1]
        readers = {
            reader
            for member, box in self._box_of.items()
            if box == source
            for reader in member.users
            if reader not in self._box_of
        }
        return readers == {node}


def _name(node: fx.Node) -> str:
    target: Any = node.target
    name = (
        target._schema.name.rpartition("::")[2]
        if isinstance(target, torch._ops.OpOverload)
        else target.__name__
    )
    return str(name).rstrip("_") if not str(name).startswith("__") else str(name)


def _kind(name: str) -> Kind:
    if name.startswith(("conv", "linear", "addmm")) or name in (
        "matmul",
        "bmm",
        "mm",
        "scaled_dot_product_attention",
    ):
        return "weights" if name.startswith(("conv", "linear", "addmm")) else "other"
    if name in SIGNS or name in ("cat", "addcmul", "maximum", "stack"):
        return "arithmetic"
    if name in POOLS:
        return "pooling"
    return "shape" if name in SPLITS else "other"


def _label(node: fx.Node, name: str, *, alone: bool) -> str:
    if name.startswith("conv") and (label := _convolution(node)):
        return label
    if name in ("linear", "addmm"):
        weight = _by_name(node).get("weight") if name == "linear" else None
        shape = _shape_all(weight) if isinstance(weight, fx.Node) else ()
        return f"linear {shape[1]} → {shape[0]}" if len(shape) == 2 else "linear"
    if name == "hardtanh" and tuple(node.args[1:3]) == (0.0, 6.0):
        return "ReLU6"
    word = SIGNS.get(name) or WORDS.get(name) or name.replace("_", " ").strip()
    if alone:
        number = next((value for value in node.args[1:] if isinstance(value, (int, float))), None)
        return f"{word} {number:g}" if number is not None else f"{word} weights"
    return word


def _convolution(node: fx.Node) -> str:
    arguments = _by_name(node)
    weight = arguments.get("weight")
    if not isinstance(weight, fx.Node):
        return ""
    shape = _shape_all(weight)
    groups, kernel = int(arguments.get("groups") or 1), shape[2:]
    transposed = "transpose" in str(node.target)
    outputs, read = (shape[1] * groups, shape[0]) if transposed else (shape[0], shape[1] * groups)
    text = f"conv {'×'.join(map(str, kernel))}, {f'{read} → {outputs}' if read != outputs else outputs}"
    if transposed:
        text = f"transposed {text}"
    if groups == read and groups > 1:
        text = text.replace("conv", "depthwise conv", 1)
    elif groups > 1:
        text += f", {groups} groups"
    for word in ("stride", "dilation"):
        value = arguments.get(word)
        largest = max(value) if isinstance(value, (list, tuple)) else value
        text += f", {word} {largest}" if isinstance(largest, int) and largest > 1 else ""
    return text


def _by_name(node: fx.Node) -> dict[str, Any]:
    target: Any = node.target
    names = [argument.name for argument in target._schema.arguments]
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def _value(node: Any) -> Any:
    return node.meta.get("val") if isinstance(node, fx.Node) else None


def _shape_all(node: fx.Node) -> tuple[int, ...]:
    value = _value(node)
    return tuple(value.shape) if isinstance(value, torch.Tensor) else ()


def _shape(node: fx.Node) -> tuple[int, ...]:
    value = _value(node)
    value = value[0] if isinstance(value, (list, tuple)) and value else value
    return tuple(value.shape)[1:] if isinstance(value, torch.Tensor) else ()


def _shape_of_output(node: fx.Node) -> tuple[int, ...]:
    (source,) = node.all_input_nodes[:1] or (None,)
    return _shape(source) if source is not None else ()
