"""Traced networks in one form: layers for functional convolutions and pools, nothing in place, no assertions."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from blockzoo.tiling.conv import BlockConv2d
from blockzoo.tiling.geometry import pair

aten = torch.ops.aten
OUT_OF_PLACE: dict[Any, Callable[..., Any]] = {
    operator.iadd: operator.add,
    operator.imul: operator.mul,
    operator.isub: operator.sub,
    operator.itruediv: operator.truediv,
    torch.relu_: torch.relu,
    F.relu_: F.relu,
}
"""Functions and methods that change their first argument, and the one that does not."""
CHECKS = {torch._assert, torch._assert_async, aten._assert_tensor_metadata.default, aten.sym_size.int}


def normalised(module: fx.GraphModule) -> fx.GraphModule:
    """The same network; the graph and the options of its modules are changed."""
    overwriting = {name for name, layer in module.named_modules() if getattr(layer, "inplace", False) is True}
    for name in overwriting:
        module.get_submodule(name).inplace = False  # type: ignore[assignment]
    for node in list(module.graph.nodes):
        if node.op == "call_function" and (node.target in CHECKS or "_guards" in node.name):
            node.replace_all_uses_with(None) if node.users else None
            module.graph.erase_node(node)
        elif node.op == "call_module" and str(node.target).endswith("_guards_fn"):
            module.graph.erase_node(node)
        else:
            _out_of_place(node, overwriting)
            _as_layer(module, node)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _out_of_place(node: fx.Node, overwriting: set[str]) -> None:
    """What reads a changed tensor later reads the result."""
    changes = bool(node.kwargs.get("inplace"))
    if changes:
        node.kwargs = {**node.kwargs, "inplace": False}
    elif node.op == "call_function" and node.target in OUT_OF_PLACE:
        node.target, changes = OUT_OF_PLACE[node.target], True
    elif node.op == "call_method" and str(node.target).endswith("_") and not str(node.target).endswith("__"):
        node.target, changes = str(node.target).rstrip("_"), True
    elif isinstance(node.target, torch._ops.OpOverload) and node.target._schema.name.endswith("_"):
        packet = getattr(aten, node.target._schema.name.split("::")[1].rstrip("_"))
        node.target, changes = getattr(packet, node.target._overloadname or "default"), True
    elif node.op == "call_module":
        changes = str(node.target) in overwriting
    if changes and isinstance(node.args[0], fx.Node):
        node.args[0].replace_all_uses_with(node, lambda user: user is not node and node < user)


def _as_layer(module: fx.GraphModule, node: fx.Node) -> None:
    """A functional convolution or pool becomes a module."""
    if node.op != "call_function" or node.target not in LAYERS:
        return
    make, names = LAYERS[node.target]
    options = {**dict(zip(names, node.args[1:], strict=False)), **node.kwargs}
    nodes = {key: value for key, value in options.items() if isinstance(value, fx.Node)}
    if any(value.op != "get_attr" for value in nodes.values()) or isinstance(options.get("padding"), str):
        return
    constants = {key: operator.attrgetter(str(value.target))(module) for key, value in nodes.items()}
    layer = make({**options, **constants})
    name = f"{node.name}_layer"
    module.add_submodule(name, layer)
    node.op, node.target = "call_module", name
    node.args, node.kwargs = (node.args[0] if node.args else node.kwargs["input"],), {}


def _convolution(options: dict[str, Any]) -> nn.Module:
    return convolution(
        options["weight"],
        options.get("bias"),
        pair(options.get("stride", 1), "stride"),
        pair(options.get("padding", 0), "padding"),
        pair(options.get("dilation", 1), "dilation"),
        options.get("groups", 1),
    )


def _max_pool(options: dict[str, Any]) -> nn.Module:
    chosen = {key: value for key, value in options.items() if key not in ("input", "return_indices")}
    return nn.MaxPool2d(**{**chosen, "stride": chosen.get("stride") or chosen["kernel_size"]})


def _average_pool(options: dict[str, Any]) -> nn.Module:
    chosen = {key: value for key, value in options.items() if key != "input"}
    return nn.AvgPool2d(**{**chosen, "stride": chosen.get("stride") or chosen["kernel_size"]})


_CONVOLUTION = ("weight", "bias", "stride", "padding", "dilation", "groups")
_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
LAYERS: dict[Any, tuple[Callable[[dict[str, Any]], nn.Module], Sequence[str]]] = {
    F.conv2d: (_convolution, _CONVOLUTION),
    aten.conv2d.default: (_convolution, _CONVOLUTION),
    F.max_pool2d: (_max_pool, _MAX_POOL),
    torch.max_pool2d: (_max_pool, _MAX_POOL[:-1]),
    aten.max_pool2d.default: (_max_pool, _MAX_POOL[:-1]),
    F.avg_pool2d: (_average_pool, _AVERAGE_POOL),
    aten.avg_pool2d.default: (_average_pool, _AVERAGE_POOL),
}


def convolution(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    sides: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> nn.Conv2d:
    """A layer with these parameters; `sides` (left, right, top, bottom) is padding besides."""
    kernel = (weight.shape[2], weight.shape[3])
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        kernel,
        stride,
        padding,
        dilation,
        groups,
        bias is not None,
        device="meta",
    )
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
    if any(sides):
        (top, left), (own_left, own_right, own_top, own_bottom) = padding, sides
        total = [left + own_left, left + own_right, top + own_top, top + own_bottom]
        layer.__class__, layer._reversed_padding_repeated_twice = PaddedConv2d, total
    return layer


class PaddedConv2d(nn.Conv2d):
    """A convolution with different padding on each side."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        padded = F.pad(input, self._reversed_padding_repeated_twice)
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


@torch.no_grad()
def plain_convolutions(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """Replace each subclass of nn.Conv2d that makes one convolution by that: weights as it makes them, padding as it pads.

    What else a subclass does is left to the tracer. The network runs on the example once.
    """
    unusual = {
        layer: name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d) and type(layer) not in (nn.Conv2d, BlockConv2d, PaddedConv2d)
    }
    if not unusual:
        return model
    shapes = _shapes_read(model, list(unusual.values()), example)
    for layer, name in unusual.items():
        if len(shapes[name]) != 1:
            continue
        x = torch.randn(*shapes[name].pop(), dtype=layer.weight.dtype, device=layer.weight.device)
        with _Calls() as calls:
            wanted = layer(x)
        if len(calls.found) == 1 and calls.found[0](x).equal(wanted):
            model.set_submodule(name, calls.found[0])
    return model


def _shapes_read(
    model: nn.Module, names: Sequence[str], example: torch.Tensor
) -> dict[str, set[tuple[int, ...]]]:
    """The shapes of what some layers are given, seen on the meta device."""
    shadow = copy.deepcopy(model).to("meta")
    seen: dict[str, set[tuple[int, ...]]] = {name: set() for name in names}

    def watch(name: str) -> None:
        shadow.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs: seen[name].add(tuple(inputs[0].shape))
        )

    for name in names:
        watch(name)
    try:
        with torch.device("meta"):
            shadow(torch.empty_like(example, device="meta"))
    except Exception:  # then these layers stay what they are
        return {name: set() for name in names}
    return seen


class _Calls(TorchFunctionMode):
    """Hears of the convolutions that a layer makes, and of the zeros it pads with before."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[nn.Conv2d] = []
        self._sides = (0, 0, 0, 0)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.pad:
            sides = tuple(int(side) for side in args[1])
            self._sides = (*sides, 0, 0, 0, 0)[:4]
        if func in (F.conv2d, torch.conv2d):
            options = {**dict(zip(("input", *_CONVOLUTION), args, strict=False)), **kwargs}
            if not isinstance(options.get("padding"), str):
                layer = _convolution(options)
                assert isinstance(layer, nn.Conv2d)
                self.found.append(
                    convolution(
                        layer.weight,
                        layer.bias,
                        layer.stride,
                        layer.padding,
                        layer.dilation,
                        layer.groups,
                        self._sides,  # type: ignore[arg-type]
                    )
                )
        return func(*args, **kwargs)
