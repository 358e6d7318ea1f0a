"""Operations of aten as what executes them: layers for convolutions and pools, `interpolate` for all that enlarges."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from blockzoo.models.tracing import Trace, whole_layer
from blockzoo.models.views import options
from blockzoo.tiling.geometry import pair
from blockzoo.tiling.graph.identity import is_known, name_of_function
from blockzoo.tiling.layers.conv import BlockConv2d
from blockzoo.tiling.layers.convolutions import made_convolution, padded_convolution, with_weights
from blockzoo.tiling.layers.pool import BlockAvgPool2d, BlockMaxPool2d

WHOLE = (BlockConv2d, BlockMaxPool2d, BlockAvgPool2d)
"""Layers that are one operation."""


@dataclass(frozen=True)
class Payload:
    """What executes an operation.

    Args:
        what: name of its kind, in small letters.
        layer: the module, where it is one.
        target: the function; the layer itself where there is one.
        args, kwargs: with nodes of the graph for values.
    """

    what: str
    layer: nn.Module | None
    target: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def given(self, values: Callable[[str], Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Its arguments, with the values of the operation's sources."""
        args, kwargs = fx.map_arg((list(self.args), dict(self.kwargs)), lambda node: values(node.name))
        return args, kwargs

    def run(self, values: Callable[[str], Any]) -> Any:
        """With the values of the operation's sources."""
        args, kwargs = self.given(values)
        return self.target(*args, **kwargs)


def payload_of(node: fx.Node, found: Trace, module: nn.Module, state: Mapping[str, torch.Tensor]) -> Payload:
    """Of an operation of a normalised graph.

    Args:
        state: values of the `get_attr` nodes that stand in its arguments.
    """
    if node.target is whole_layer:
        number: Any = node.args[1]
        whole = module.get_submodule(found.layers[number])
        return Payload(
            type(whole).__name__.lower(), whole, whole.forward, node.args[:1]
        )  # hooks are in the graph
    name = "padded_convolution" if node.target is padded_convolution else name_of_function(node.target)
    if name in LAYERS:
        layer = _own_layer(node, found, module) or _made_layer(node, name, state)
        if layer is not None:
            return Payload(type(layer).__name__.lower(), layer, layer, node.args[:1])
    if name == "adaptive_avg_pool2d" and {*node.args[1]} != {1}:  # type: ignore[misc]
        area = {"size": tuple(node.args[1]), "mode": "area"}  # type: ignore[arg-type]
        return Payload("interpolate", None, F.interpolate, node.args[:1], area)
    if name in MODES:
        return Payload("interpolate", None, F.interpolate, node.args[:1], _enlarging(node, name))
    if name == "hardtanh" and [*node.args[1:], -1, 1][:2] == [0, 6]:
        name = "relu6"
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: state.get(n.name, n))
    return Payload(name, None, node.target, args, kwargs)  # type: ignore[arg-type]


def _own_layer(node: fx.Node, found: Trace, module: nn.Module) -> nn.Module | None:
    """The network's own layer, if it is all that the operation does."""
    path = node.meta.get("module", "")
    layer = module.get_submodule(path)
    known = type(layer) in (nn.Conv2d, nn.ConvTranspose2d) and is_known(layer)
    if not known or not isinstance(node.target, torch._ops.OpOverload):
        return None
    given = options(node.target, node.args, dict(node.kwargs))
    read = {
        name: found.attributes.get(given[name].name) for name in ("weight", "bias") if given[name] is not None
    }
    own = {name: f"{path}.{name}".lstrip(".") for name, _ in layer.named_parameters(recurse=False)}
    same = read == own and getattr(layer, "padding_mode", "zeros") == "zeros"
    for name in ("stride", "padding", "dilation", "groups", "output_padding"):
        mine, other = getattr(layer, name), given.get(name, getattr(layer, name))
        same = same and (mine == other or list(pair(mine, name)) == list(pair(other, name)))
    return layer if same else None


def _made_layer(node: fx.Node, name: str, state: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """A layer that does what a function does; None where its weights follow from the input."""
    names = inspect.signature(padded_convolution).parameters
    if isinstance(node.target, torch._ops.OpOverload):
        names = {a.name: a for a in node.target._schema.arguments}  # type: ignore[assignment]
    chosen = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    for key in ("input", "self"):
        chosen.pop(key, None)
    if any(isinstance(value, fx.Node) and value.name not in state for value in chosen.values()):
        return None
    return LAYERS[name]({k: state[v.name] if isinstance(v, fx.Node) else v for k, v in chosen.items()})


def _max_pool(options: dict[str, Any]) -> nn.Module:
    return nn.MaxPool2d(**{**options, "stride": options.get("stride") or options["kernel_size"]})


def _average_pool(options: dict[str, Any]) -> nn.Module:
    return nn.AvgPool2d(**{**options, "stride": options.get("stride") or options["kernel_size"]})


def _transposed(options: dict[str, Any]) -> nn.Module:
    weight, bias, groups = options["weight"], options.get("bias"), options.get("groups", 1)
    names = ("stride", "padding", "output_padding", "dilation")
    chosen: dict[str, Any] = {name: pair(options[name], name) for name in names if name in options}
    sides, kernel = (weight.shape[0], weight.shape[1] * groups), (weight.shape[2], weight.shape[3])
    layer = nn.ConvTranspose2d(*sides, kernel, groups=groups, bias=bias is not None, device="meta", **chosen)
    return with_weights(layer, weight, bias)


LAYERS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "conv2d": made_convolution,
    "padded_convolution": made_convolution,
    "conv_transpose2d": _transposed,
    "max_pool2d": _max_pool,
    "avg_pool2d": _average_pool,
}
"""Functions that are layers, by the name of their operation."""
MODES = {
    "upsample_nearest2d": "nearest",
    "_upsample_nearest_exact2d": "nearest-exact",
    "upsample_bilinear2d": "bilinear",
    "_upsample_bilinear2d_aa": "bilinear",
    "upsample_bicubic2d": "bicubic",
    "_upsample_bicubic2d_aa": "bicubic",
}
"""Operations that make a map larger or smaller, and the mode of `interpolate` that they are."""


def _enlarging(node: fx.Node, name: str) -> dict[str, Any]:
    """Options of `interpolate`."""
    given = options(node.target, node.args, node.kwargs)  # type: ignore[arg-type]
    size: Any = given.get("output_size")
    scales: Any = given.get("scale_factors")
    if "scale_factors" not in given:  # the form with a size and a scale for each axis
        scales = [given.get("scales_h"), given.get("scales_w")]
        size, scales = (None, scales) if None not in scales else (size, None)
    found: dict[str, Any] = {"mode": MODES[name]}
    found |= {"size": tuple(size)} if size is not None else {"scale_factor": tuple(scales)}
    if given.get("align_corners") is not None:
        found["align_corners"] = given["align_corners"]
    return found | ({"antialias": True} if name.endswith("_aa") else {})
