"""Operations on each element: arithmetic, comparisons, activations."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import fx, nn
from torch.nn import functional as F

from blockzoo.tiling.contracts import OPERATIONS, PICTURE, Call, Example, InPlace, Locality, TileableOperation
from blockzoo.tiling.graph.payload import Payload

if TYPE_CHECKING:
    from blockzoo.tiling.onnx.nodes import NodeCall

ARITHMETIC = frozenset(
    "add iadd radd mul imul rmul sub isub rsub div truediv itruediv neg pow sqrt rsqrt exp abs maximum minimum square "
    "reciprocal sign floor ceil round trunc log log1p log2 exp2 expm1 erf sin cos atan remainder fmod addcmul addcdiv lerp clamp "
    "clamp_min clamp_max".split()
)
ACTIVATIONS = frozenset(
    "relu relu6 hardtanh leaky_relu elu celu selu gelu silu mish softplus sigmoid hardsigmoid hardswish tanh logsigmoid "
    "log_sigmoid softsign hardshrink softshrink tanhshrink threshold".split()
)
CHOICES = frozenset(
    "where gt ge lt le eq ne logical_and logical_or logical_not masked_fill fill zero nan_to_num isnan isinf isfinite".split()
)
COPIES = frozenset("dropout dropout2d stochastic_depth identity contiguous clone detach alias to".split())
"""Of dropout in evaluation mode; see `locality.draws`."""


@OPERATIONS.register("pointwise")
class Pointwise(TileableOperation):
    """Each output depends on its operands at the same place alone, whatever the layout."""

    functions = ARITHMETIC | ACTIVATIONS | CHOICES | COPIES
    in_place: Mapping[str, InPlace] = {
        "relu": InPlace(torch.relu_),
        "relu6": InPlace(lambda x, *_: F.hardtanh_(x, 0.0, 6.0)),
        "silu": InPlace(lambda x: F.silu(x, inplace=True)),
        "hardswish": InPlace(lambda x: F.hardswish(x, inplace=True)),
        "hardsigmoid": InPlace(lambda x: F.hardsigmoid(x, inplace=True)),
        "mish": InPlace(lambda x: F.mish(x, inplace=True)),
        "sigmoid": InPlace(torch.sigmoid_),
        "tanh": InPlace(torch.tanh_),
        "add": InPlace(lambda x, y: x.add_(y), operands=2),
        "mul": InPlace(lambda x, y: x.mul_(y), operands=2),
    }
    nodes = frozenset(
        "Relu Clip Sigmoid Tanh HardSigmoid HardSwish LeakyRelu Elu Selu Celu Gelu Erf Softplus Softsign Mish Swish "
        "Add Sub Mul Div Pow Sqrt Exp Log Neg Abs Sign Floor Ceil Round Max Min Reciprocal Cast Identity Dropout "
        "Shrink ThresholdedRelu Greater GreaterOrEqual Less LessOrEqual Equal And Or Not Where "
        "QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu".split()
    )
    in_place_nodes = frozenset("Relu Clip Sigmoid Tanh Elu LeakyRelu HardSigmoid Add Sub Mul Div".split())

    def payload(self, name: str, node: fx.Node) -> Payload | None:
        if name == "hardtanh" and [*node.args[1:], -1, 1][:2] == [0, 6]:
            return Payload("relu6", None, node.target, node.args, node.kwargs)  # type: ignore[arg-type]
        return None

    def locality(self, call: Call) -> Locality | None:
        axes = call.axes[0]
        size = tuple(call.shape[a] for a in axes) if len(call.shape) == 4 else ()
        same = all(tuple(s[a] for a in axes) == size for s in call.shapes) and len({*call.axes}) == 1
        small = all(((1,) * 4 + shape)[-4:][a] == 1 for shape in call.others for a in axes)
        return Locality.pointwise(axes) if same and small else None

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        return elementwise_node(call)

    def examples(self) -> Mapping[str, Example]:
        written = {name: getattr(F, name, None) or getattr(torch, name) for name in self.in_place}
        of_two = {"add": lambda x: torch.tanh(x) + x * 2, "mul": lambda x: torch.tanh(x) * (x + 2)}
        return {
            **written,
            **of_two,
            "one number for each channel": lambda x: x * torch.arange(4.0).view(1, 4, 1, 1) - 1,
            "a choice": lambda x: torch.where(x > 0, x, x.exp() - 1),
        }


@OPERATIONS.register("quantise")
class Quantisation(TileableOperation):
    """From floats to integers and back, in files alone."""

    nodes = ("QuantizeLinear", "DequantizeLinear")

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        return Locality.pointwise()


@OPERATIONS.register("prelu")
class PReLU(TileableOperation):
    """A leaky ReLU that learns a slope for each channel, or one for all."""

    functions = ("prelu",)
    nodes = ("PRelu",)

    def locality(self, call: Call) -> Locality | None:
        one_slope = prod(call.others[0]) == 1
        return Locality.pointwise(call.axes[0]) if call.axes[0] == PICTURE or one_slope else None

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        return elementwise_node(call)

    def examples(self) -> Mapping[str, Example]:
        return {"one slope": nn.PReLU(), "each channel": nn.PReLU(4)}


def elementwise_node(call: NodeCall) -> Locality | None:
    """Of a node whose output at a place depends on its operands there alone: maps of one size, and what has none."""
    if len(call.shape) != 4:
        return None
    others = [call.values[name].shape for name in call.others]
    others += [tuple(call.constants[name].dims) for name in call.node.input if name in call.constants]
    same = all(call.values[name].shape[2:] == call.shape[2:] for name in call.maps)
    small = all(side == 1 for shape in others for side in shape[-2:])
    return Locality.pointwise() if same and small else None
