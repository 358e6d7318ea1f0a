"""Convolutions as layers of their own: with padding that differs from side to side, and subclasses as what they compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from blockzoo.models.copying import duplicate
from blockzoo.tiling.geometry import pair
from blockzoo.tiling.layers.conv import BlockConv2d

if TYPE_CHECKING:
    from jaxtyping import Float

Layer = TypeVar("Layer", nn.Conv2d, nn.ConvTranspose2d)


def made_convolution(options: dict[str, Any]) -> nn.Conv2d:
    """A layer that does what `conv2d` does with these options, the weights among them; `sides` as `convolution` has them."""
    weight, padding = options["weight"], options.get("padding", 0)
    dilation = pair(options.get("dilation", 1), "dilation")
    sides = options.get("sides", (0, 0, 0, 0))
    if isinstance(padding, str):
        more = [
            d * (k - 1) if padding == "same" else 0 for k, d in zip(weight.shape[2:], dilation, strict=True)
        ]
        sides = (more[1] // 2, more[1] - more[1] // 2, more[0] // 2, more[0] - more[0] // 2)
        padding = 0
    return convolution(
        weight,
        options.get("bias"),
        pair(options.get("stride", 1), "stride"),
        pair(padding, "padding"),
        dilation,
        options.get("groups", 1),
        sides,
    )


def convolution(
    weight: Float[torch.Tensor, "C_out C_group kernel_rows kernel_columns"],
    bias: Float[torch.Tensor, " C_out"] | None,
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
    with_weights(layer, weight, bias)
    if any(sides):
        (top, left), (own_left, own_right, own_top, own_bottom) = padding, sides
        total = [left + own_left, left + own_right, top + own_top, top + own_bottom]
        layer.__class__, layer._reversed_padding_repeated_twice = PaddedConv2d, total
    return layer


def with_weights(
    layer: Layer,
    weight: Float[torch.Tensor, "C_first C_second kernel_rows kernel_columns"],
    bias: Float[torch.Tensor, " C_out"] | None,
) -> Layer:
    """A layer, changed: its parameters. Output channels come first in the weight, in that of a transposed convolution second."""
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
    return layer


class PaddedConv2d(nn.Conv2d):
    """A convolution with different padding on each side."""

    def forward(self, input: Float[torch.Tensor, "*N C H W"]) -> Float[torch.Tensor, "*N C_out H_out W_out"]:
        padded = F.pad(input, self._reversed_padding_repeated_twice)
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def padded_convolution(
    input: Float[torch.Tensor, "*N C H W"],
    sides: Sequence[int],
    weight: Float[torch.Tensor, "C_out C_group kernel_rows kernel_columns"],
    bias: Float[torch.Tensor, " C_out"] | None,
    stride: int | tuple[int, ...],
    padding: int | tuple[int, ...],
    dilation: int | tuple[int, ...],
    groups: int,
) -> Float[torch.Tensor, "*N C_out H_out W_out"]:
    """`conv2d` with zeros around its input: `sides` (left, right, top, bottom)."""
    return F.conv2d(F.pad(input, list(sides)), weight, bias, stride, padding, dilation, groups)


@torch.no_grad()
def plain_convolutions(model: nn.Module, *inputs: torch.Tensor) -> nn.Module:
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
    shapes = _shapes_read(model, list(unusual.values()), inputs)
    for layer, name in unusual.items():
        if len(shapes[name]) != 1:
            continue
        x = torch.randn(*shapes[name].pop(), dtype=layer.weight.dtype, device=layer.weight.device)
        with _Calls() as calls:
            wanted = layer(x)
        if len(calls.convolutions) == 1 and calls.convolutions[0](x).equal(wanted):
            model.set_submodule(name, calls.convolutions[0])
    return model


def _shapes_read(
    model: nn.Module, names: Sequence[str], inputs: Sequence[torch.Tensor]
) -> dict[str, set[tuple[int, ...]]]:
    """The shapes of what some layers are given, seen on the meta device."""
    shadow = duplicate(model).to("meta")
    seen: dict[str, set[tuple[int, ...]]] = {name: set() for name in names}

    def watch(name: str) -> None:
        shadow.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs: seen[name].add(tuple(inputs[0].shape))
        )

    for name in names:
        watch(name)
    try:
        with torch.device("meta"):
            shadow(*(torch.empty_like(x, device="meta") for x in inputs))
    except Exception:  # then these layers stay what they are
        return {name: set() for name in names}
    return seen


class _Calls(TorchFunctionMode):
    """Hears of the convolutions that a layer makes, and of the zeros it pads with before."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions: list[nn.Conv2d] = []
        self._sides: tuple[int, ...] = (0, 0, 0, 0)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.pad:
            sides = tuple(int(side) for side in args[1])
            self._sides = (*sides, 0, 0, 0, 0)[:4]
        if func in (F.conv2d, torch.conv2d):
            names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
            options = {**dict(zip(names, args, strict=False)), **kwargs}
            if not isinstance(options.get("padding"), str):
                self.convolutions.append(made_convolution({**options, "sides": self._sides}))
        return func(*args, **kwargs)
