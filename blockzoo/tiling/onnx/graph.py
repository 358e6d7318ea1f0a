"""An ONNX model, of floats or quantised, as a `graph.Network`: what each node reads of the maps before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from blockzoo.core.errors import RequestError
from blockzoo.tiling.geometry import Spread, Taps, Window
from blockzoo.tiling.graph.interpolation import reads_of
from blockzoo.tiling.graph.locality import PICTURE, Found
from blockzoo.tiling.graph.network import Network, Operation
from blockzoo.tiling.onnx.files import needed
from blockzoo.tiling.onnx.resize import interpolation_of
from blockzoo.tiling.onnx.session import IN_PLACE, VIEWS, Value, entries_of

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

ELEMENTWISE = frozenset(
    "Relu Clip Sigmoid Tanh HardSigmoid HardSwish LeakyRelu PRelu Elu Selu Celu Gelu Erf Softplus Softsign Mish Swish "
    "Add Sub Mul Div Pow Sqrt Exp Log Neg Abs Sign Floor Ceil Round Max Min Reciprocal Cast Identity Dropout "
    "Shrink ThresholdedRelu Greater GreaterOrEqual Less LessOrEqual Equal And Or Not Where "
    "QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu".split()
)
"""Nodes whose output at a place depends on their operands there alone."""
CHANNELWISE = frozenset("BatchNormalization QuantizeLinear DequantizeLinear".split())
CONVOLUTIONS = {"Conv": 1, "QLinearConv": 3}
"""Which of their inputs the weights are."""
MEANS = frozenset("GlobalAveragePool QLinearGlobalAveragePool".split())
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


@dataclass(frozen=True)
class _Call:
    """A node with what is known of its values."""

    node: NodeProto
    values: Mapping[str, Value]
    constants: Mapping[str, Any]
    maps: list[str]
    others: list[str]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values[self.node.output[0]].shape

    def attribute(self, name: str, default: Any = None) -> Any:
        """Of the node."""
        onnx = needed("onnx")
        return next(
            (onnx.helper.get_attribute_value(a) for a in self.node.attribute if a.name == name), default
        )


def network_of(model: ModelProto, values: Mapping[str, Value], cuts: Mapping[str, Cut]) -> Network:
    """The operations of a model in the form of `onnx_normalise.normalised`; each one's payload is its node.

    Args:
        values: of the model, see `values_of`.
        cuts: layers that are themselves cut, by name of the node; names may have changed when the model was quantised.

    Raises:
        RequestError: inputs of other shapes than `entries_of` says, or a node that makes several values.
    """
    entries = entries_of(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    axes: dict[str, tuple[int, int] | None] = {
        entry.name: PICTURE if len(entry.shape) == 4 and max(entry.shape[2:]) > 1 else None
        for entry in entries
    }
    axes[entries[0].name] = PICTURE
    operations = []
    for node in model.graph.node:
        if len([output for output in node.output if output]) != 1:
            raise RequestError(
                f"{node.name or node.op_type} makes {len(node.output)} values: no tile can go through it"
            )
        sources = list(dict.fromkeys(i for i in node.input if i and i not in constants))
        maps = [source for source in sources if axes[source]]
        call = _Call(node, values, constants, maps, [s for s in sources if s not in maps])
        found = _locality(call)
        axes[node.output[0]] = found.axes
        operations.append(_operation(call, found, cuts.get(plain_name(node.name))))
    made = {operation.name for operation in operations}
    returned = tuple(output.name for output in model.graph.output)
    if not made.issuperset(returned):
        raise RequestError("no node of the model makes its output: export it again")
    return Network(operations, {entry.name: entry.shape for entry in entries}, returned)


def plain_name(name: str) -> str:
    """A node's name before the model was quantised."""
    return name.removesuffix("_quant")


def label_of(name: str) -> str:
    """The module's path in a node's name, without the number of a repeated call."""
    return plain_name(name).partition(":")[0]


def _operation(call: _Call, found: Found, own: Cut | None) -> Operation:
    node, shape = call.node, call.shape
    size = call.values[node.output[0]].bytes
    view = node.op_type in VIEWS
    kind = node.op_type.removeprefix("QLinear")
    return Operation(
        name=node.output[0],
        label=label_of(node.name),
        kind=found.kind,
        sources=[*call.maps, *call.others] if not view else [i for i in node.input[:1] if i not in call.constants],
        maps=list(call.maps),
        shape=shape,
        axes=found.axes,
        windows=found.windows,
        own=(own.rows, own.columns) if own else None,
        padding=own.padding if own else found.padding,
        macs=_macs(call),
        weights=sum(prod(call.constants[i].dims) for i in node.input if i in call.constants),
        elements=0 if view else prod(shape),
        alias=view,
        reason=found.reason,
        payload=node,
        over=[
            s for s in (*call.maps, *call.others) if kind in IN_PLACE and call.values[s].bytes == size
        ],
    )  # fmt: skip


def _locality(call: _Call) -> Found:
    """The first rule that knows the node."""
    if not call.maps:
        return Found("small")
    for rule in RULES:
        found = rule(call)
        if found is not None:
            return found
    return _whole(call, f"{call.node.op_type} is not local")


def _whole(call: _Call, reason: str) -> Found:
    return Found("whole", PICTURE if len(call.shape) == 4 else None, reason=reason)


def _convolution(call: _Call) -> Found | None:
    if call.node.op_type not in CONVOLUTIONS:
        return None
    weight = call.constants.get(call.node.input[CONVOLUTIONS[call.node.op_type]])
    if weight is None:
        return _whole(call, "a convolution whose weights are computed")
    return _window(call, tuple(weight.dims[2:]))


def _transposed(call: _Call) -> Found | None:
    if call.node.op_type != "ConvTranspose":
        return None
    weight = call.constants.get(call.node.input[1])
    automatic = (call.attribute("auto_pad", b"NOTSET") or b"NOTSET").decode() != "NOTSET"
    if weight is None or automatic or call.attribute("output_shape") is not None:
        return _whole(call, "a transposed convolution whose weights or padding are computed")
    options = (
        tuple(weight.dims[2:]),
        tuple(call.attribute("strides", (1, 1))),
        tuple(call.attribute("dilations", (1, 1))),
        tuple(call.attribute("pads", (0, 0, 0, 0)))[:2],
    )
    rows, columns = (Spread(*(int(option[axis]) for option in options)) for axis in (0, 1))
    return Found("window", PICTURE, (rows, columns))


def _pool(call: _Call) -> Found | None:
    if call.node.op_type not in ("MaxPool", "AveragePool", "QLinearAveragePool"):
        return None
    if call.attribute("channels_last", 0):
        return _whole(call, "a pool of channels that come last")
    if call.attribute("ceil_mode", 0) and call.node.op_type != "MaxPool":
        return _whole(call, "an average pool that rounds up: its divisor differs at the border")
    return _window(call, tuple(call.attribute("kernel_shape")))


def _resize(call: _Call) -> Found | None:
    if call.node.op_type != "Resize":
        return None
    onnx, source = needed("onnx"), call.values[call.maps[0]]
    given = [call.constants.get(name) for name in (*call.node.input, "", "", "")[2:4]]
    scales, sizes = (None if t is None else onnx.numpy_helper.to_array(t).tolist()[2:] for t in given)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in call.node.attribute}
    options = interpolation_of(attributes, scales, sizes)
    if options is None or call.others or call.shape[:2] != source.shape[:2]:
        return _whole(call, "a Resize that is no interpolation of PyTorch")
    windows = reads_of(options, source.shape[2:], call.shape[2:])  # type: ignore[arg-type]
    if windows is None:
        return _whole(call, "an interpolation whose maps are too large")
    if isinstance(windows[0], Taps) and options["mode"] != "nearest" and source.item == 1:
        return _whole(call, "an interpolation of integers, which is rounded once")
    return Found("window", PICTURE, windows)


def _window(call: _Call, kernel: tuple[int, ...]) -> Found:
    """Along rows and columns; padding behind the map is as much as its outputs need."""
    stride = tuple(call.attribute("strides", (1, 1)))
    dilation = tuple(call.attribute("dilations", (1, 1)))
    pads = tuple(call.attribute("pads", (0, 0, 0, 0)))
    same = (call.attribute("auto_pad", b"NOTSET") or b"NOTSET").decode()
    found = []
    for axis in (0, 1):
        size, made = call.values[call.maps[0]].shape[2 + axis], call.shape[2 + axis]
        extent = dilation[axis] * (kernel[axis] - 1) + 1
        total = max((made - 1) * stride[axis] + extent - size, 0)
        before = {"SAME_UPPER": total // 2, "SAME_LOWER": total - total // 2}.get(same, pads[axis])
        after = max(pads[2 + axis] if same == "NOTSET" else 0, total - before)
        found.append(Window(kernel[axis], stride[axis], dilation[axis], before, after))
    return Found("window", PICTURE, (found[0], found[1]))


def _mean(call: _Call) -> Found | None:
    return Found("pool") if call.node.op_type in MEANS and not call.attribute("channels_last", 0) else None


def _pieces(call: _Call) -> Found | None:
    """Maps one after the other along their channels, or some of the channels."""
    if call.node.op_type in ("Concat", "QLinearConcat"):
        sizes = {call.values[name].shape[2:] for name in call.maps}
        if call.attribute("axis") in (1, -3) and len(sizes) == 1 and not call.others:
            return Found("pointwise", PICTURE)
    if call.node.op_type == "Slice":
        axes = call.constants.get(call.node.input[3]) if len(call.node.input) > 3 else None
        if axes is not None and needed("onnx").numpy_helper.to_array(axes).tolist() == [1]:
            return Found("pointwise", PICTURE)
    return None


def _elementwise(call: _Call) -> Found | None:
    if call.node.op_type in CHANNELWISE:
        return Found("pointwise", PICTURE)
    if call.node.op_type not in ELEMENTWISE or len(call.shape) != 4:
        return None
    others = [call.values[name].shape for name in call.others]
    others += [tuple(call.constants[name].dims) for name in call.node.input if name in call.constants]
    same = all(call.values[name].shape[2:] == call.shape[2:] for name in call.maps)
    small = all(side == 1 for shape in others for side in shape[-2:])
    return Found("pointwise", PICTURE) if same and small else None


RULES: tuple[Callable[[_Call], Found | None], ...] = (
    _convolution,
    _transposed,
    _pool,
    _resize,
    _mean,
    _pieces,
    _elementwise,
)


def _macs(call: _Call) -> int:
    """Multiply-adds of the whole map."""
    kind = call.node.op_type
    place = {**CONVOLUTIONS, **PRODUCTS, "ConvTranspose": 1}.get(kind)
    weight = call.constants.get(call.node.input[place]) if place is not None else None
    if weight is None:
        return 0
    if kind == "ConvTranspose":
        return int(prod(call.values[call.node.input[0]].shape) * prod(weight.dims[1:]))
    if kind in CONVOLUTIONS:
        return int(prod(call.shape) * prod(weight.dims[1:]))
    return int(prod(call.shape) * prod(weight.dims)) // max(1, call.shape[-1])
