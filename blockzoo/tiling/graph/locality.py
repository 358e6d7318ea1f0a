"""Which operations of a traced network are local in space, and what they read: one rule for each kind of operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn

from blockzoo.tiling.geometry import Reads, Spread, Window, tiles
from blockzoo.tiling.graph.identity import is_known
from blockzoo.tiling.graph.interpolation import options_of, reads_of
from blockzoo.tiling.graph.network import SAME, Kind
from blockzoo.tiling.layers.conv import BlockConv2d
from blockzoo.tiling.layers.pool import BlockAvgPool2d, BlockMaxPool2d, windows_of

PICTURE, LAST = (2, 3), (1, 2)
"""Which dimensions are rows and columns: (N, C, H, W), or with channels last in (N, H, W, C)."""

ELEMENTWISE = frozenset(
    "add iadd radd mul imul rmul sub isub rsub div truediv itruediv neg pow sqrt rsqrt exp abs maximum minimum "
    "relu relu6 hardtanh leaky_relu elu celu selu gelu silu mish softplus sigmoid hardsigmoid hardswish tanh "
    "clamp clamp_min clamp_max dropout dropout2d identity contiguous clone detach stochastic_depth alias to "
    "logsigmoid log_sigmoid softsign hardshrink softshrink tanhshrink "
    "rsub square reciprocal sign floor ceil round trunc log log1p log2 exp2 expm1 erf sin cos atan remainder fmod "
    "where gt ge lt le eq ne logical_and logical_or logical_not masked_fill fill zero addcmul addcdiv lerp threshold "
    "nan_to_num isnan isinf isfinite".split()
)
"""Operations whose output at a place depends on their operands there alone, whatever the layout."""
CHANNELWISE = frozenset(("batch_norm", "channel_shuffle"))
"""Operations over the channels of each pixel of (N, C, H, W)."""
MEANS = frozenset(("adaptive_avg_pool2d", "mean"))
DROPPING = {"dropout": 2, "dropout2d": 2, "alpha_dropout": 2, "feature_dropout": 2, "stochastic_depth": 3}
"""Functions that draw random numbers in training, and the place of the argument that says so."""
RANDOM = frozenset(
    "rand randn randint rand_like randn_like randint_like randperm bernoulli normal uniform multinomial poisson "
    "exponential geometric cauchy log_normal random binomial rrelu_with_noise".split()
)


@dataclass(frozen=True)
class Found:
    """What a rule says of an operation: see `graph.Operation`."""

    kind: Kind
    axes: tuple[int, int] | None = None
    windows: tuple[Reads, Reads] = (SAME, SAME)
    own: tuple[list[int], list[int]] | None = None
    padding: str = "zeros"
    reason: str = ""


@dataclass(frozen=True)
class Call:
    """An operation as the trace shows it.

    Args:
        what: the name of its function, method or class, in small letters.
        layer: the module, where it is one.
        args, kwargs: tensors stand in them as `meta` tensors.
        shapes: of the maps it reads, in order.
        axes: of these.
        others: shapes of the tensors that are no maps.
        output: what it returns, on the meta device.
    """

    what: str
    layer: nn.Module | None
    args: Sequence[Any]
    kwargs: dict[str, Any]
    shapes: list[tuple[int, ...]]
    axes: list[tuple[int, int]]
    others: list[tuple[int, ...]]
    output: Any

    def option(self, name: str, place: int, default: object = None) -> Any:
        """An argument by its name, or its place."""
        return self.kwargs[name] if name in self.kwargs else (*self.args, *[default] * 9)[place]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.output.shape) if isinstance(self.output, torch.Tensor) else ()


def locality(call: Call) -> Found:
    """The first rule that knows the operation."""
    if not call.shapes:
        return Found("small", PICTURE if len(call.shape) == 4 and max(call.shape[2:]) > 1 else None)
    for rule in RULES:
        found = rule(call)
        if found is not None:
            return found
    return whole(call, f"{call.what} is not local")


def whole(call: Call, reason: str) -> Found:
    """No tile goes through it; if it makes four dimensions, they are taken as (N, C, H, W)."""
    return Found("whole", PICTURE if len(call.shape) == 4 else None, reason=reason)


def of_no_image(found: Found) -> Found:
    """Of a value that does not hold one entry for each image, as patches that stand side by side as images: no map to be cut."""
    return (
        Found("small")
        if found.kind == "small"
        else Found("whole", reason="its maps are not those of the images")
    )


def _random(call: Call) -> Found | None:
    if call.layer is not None:  # in evaluation mode
        return None
    draws = call.what in RANDOM
    if call.what in DROPPING:
        draws = bool(call.kwargs.get("train", call.option("training", DROPPING[call.what], True)))
    return whole(call, f"{call.what} draws random numbers") if draws else None


def _convolution(call: Call) -> Found | None:
    layer = call.layer
    if not isinstance(layer, nn.Conv2d) or not is_known(layer):
        return None
    if call.axes[0] != PICTURE:
        return whole(call, "a convolution on channels that come last")
    if isinstance(layer, BlockConv2d):
        if layer.stride_mode == "maxpool" and layer.stride != (1, 1):
            return whole(call, "its stride is a max-pool after the convolution")
        own = _own(call, layer.windows(), layer.block_size, layer.blocking)
        return Found("window", PICTURE, layer.windows(), own, layer.padding_mode)
    if layer.padding_mode != "zeros":
        return whole(call, f"padding {layer.padding_mode} of a convolution that is not blocked")
    return Found("window", PICTURE, windows_of_convolution(layer))


def _transposed(call: Call) -> Found | None:
    layer = call.layer
    if type(layer) is not nn.ConvTranspose2d or not is_known(layer):
        return None
    if call.axes[0] != PICTURE:
        return whole(call, "a transposed convolution on channels that come last")
    options = (layer.kernel_size, layer.stride, layer.dilation, layer.padding)
    rows, columns = (Spread(*(int(option[axis]) for option in options)) for axis in (0, 1))
    return Found("window", PICTURE, (rows, columns))


def windows_of_convolution(layer: nn.Conv2d) -> tuple[Window, Window]:
    """What a convolution reads along rows and columns."""
    left, right, top, bottom = layer._reversed_padding_repeated_twice
    rows, columns = (
        Window(kernel, stride, dilation, before, after)
        for kernel, stride, dilation, (before, after) in zip(
            layer.kernel_size, layer.stride, layer.dilation, ((top, bottom), (left, right)), strict=True
        )
    )
    return rows, columns


def _pool(call: Call) -> Found | None:
    layer = call.layer
    if not isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)) or not is_known(layer):
        return None
    if call.axes[0] != PICTURE or (isinstance(layer, nn.MaxPool2d) and layer.return_indices):
        return whole(call, "a pool of another layout, or with indices")
    windows = windows_of(layer, torch.empty(call.shapes[0], device="meta"))
    if isinstance(layer, (BlockMaxPool2d, BlockAvgPool2d)):
        return Found("window", PICTURE, windows, _own(call, windows, layer.block_size, layer.blocking))
    return Found("window", PICTURE, windows)


def _own(call: Call, windows: Sequence[Window], blocks: Sequence[int], blocking: Any) -> tuple[Any, Any]:
    """Where the outputs of a blocked layer are cut."""
    rows, columns = (
        [0, *(tile.last for tile in tiles(size, window, block, blocking))]
        for size, window, block in zip(call.shapes[0][2:], windows, blocks, strict=True)
    )
    return rows, columns


def _interpolation(call: Call) -> Found | None:
    options = options_of(call.what, call.layer, call.args, call.kwargs)
    if options is None or call.axes[0] != PICTURE or len(call.shape) != 4:
        return None
    sizes = [(shape[2], shape[3]) for shape in (call.shapes[0], call.shape)]
    windows = reads_of(options, sizes[0], sizes[1], call.output.dtype)
    if windows is None:
        return whole(call, f"an interpolation from {sizes[0]} to {sizes[1]} pixels: its maps are too large")
    return Found("window", PICTURE, windows)


def _mean(call: Call) -> Found | None:
    if call.what not in MEANS or call.axes[0] != PICTURE:
        return None
    if call.what == "mean":
        dims = call.option("dim", 1)
        dims = (dims,) if isinstance(dims, int) else dims
        if dims is None or sorted(d % 4 for d in dims) != [2, 3] or call.option("dtype", 3) is not None:
            return None
    elif call.shape[2:] != (1, 1):
        return whole(call, "an average to more than one pixel")
    return Found("pool")


def _relayout(call: Call) -> Found | None:
    """(N, C, H, W) to (N, H, W, C) and back."""
    if call.what != "permute":
        return None
    order = call.args[1] if isinstance(call.args[1], (tuple, list)) else call.args[1:5]
    turn = {(PICTURE, (0, 2, 3, 1)): LAST, (LAST, (0, 3, 1, 2)): PICTURE}
    axes = turn.get((call.axes[0], tuple(order)))
    return Found("pointwise", axes) if axes else None


def _on_channels_last(call: Call) -> Found | None:
    if call.axes[0] != LAST:
        return None
    if call.what == "layer_norm" and len(call.option("normalized_shape", 1)) == 1:
        return Found("pointwise", LAST)
    return Found("pointwise", LAST) if call.what == "linear" else None


def _channelwise(call: Call) -> Found | None:
    if call.what == "prelu":  # a slope for each channel, or one for all
        one_slope = prod(call.others[0]) == 1
        return Found("pointwise", call.axes[0]) if call.axes[0] == PICTURE or one_slope else None
    if call.what not in CHANNELWISE or call.axes[0] != PICTURE:
        return None
    own = call.what == "batch_norm" and bool(call.option("training", 5, False))
    return (
        whole(call, "a batch norm with the statistics of its input") if own else Found("pointwise", PICTURE)
    )


def _concatenation(call: Call) -> Found | None:
    if call.what not in ("cat", "concat"):
        return None
    dim = call.option("dim", 1, 0) % 4
    channel = 1 if call.axes[0] == PICTURE else 3
    same = len({*call.axes}) == 1 and len({tuple(s[a] for a in call.axes[0]) for s in call.shapes}) == 1
    return Found("pointwise", call.axes[0]) if dim == channel and same else None


def _pieces(call: Call) -> Found | None:
    """Some of the channels of a map, and writing to some of them."""
    if call.what in ("slice", "slice_scatter") and len(call.shape) == 4:
        dim = call.option("dim", 2 if call.what == "slice_scatter" else 1, 0) % 4
        same = len({*call.axes}) == 1 and not call.others
        return Found("pointwise", call.axes[0]) if dim not in (0, *call.axes[0]) and same else None
    if call.what in ("chunk", "split", "tensor_split") and call.axes[0] == PICTURE:
        return Found("pointwise", PICTURE) if call.option("dim", 2, 0) == 1 else None
    if call.what == "getitem" and isinstance(call.args[1], tuple) and call.axes[0] == PICTURE:
        first, *others = call.args[1][:1] + call.args[1][2:]
        return (
            Found("pointwise", PICTURE) if {str(o) for o in (first, *others)} == {str(slice(None))} else None
        )
    if call.what == "getitem" and isinstance(call.args[1], int) and isinstance(call.args[0], (tuple, list)):
        return Found("pointwise", call.axes[0])
    return None


def _elementwise(call: Call) -> Found | None:
    if call.what not in ELEMENTWISE:
        return None
    axes = call.axes[0]
    size = tuple(call.shape[a] for a in axes) if len(call.shape) == 4 else ()
    same = all(tuple(s[a] for a in axes) == size for s in call.shapes) and len({*call.axes}) == 1
    small = all(((1,) * 4 + shape)[-4:][a] == 1 for shape in call.others for a in axes)
    return Found("pointwise", axes) if same and small else None


RULES: tuple[Callable[[Call], Found | None], ...] = (
    _random,
    _convolution,
    _transposed,
    _pool,
    _interpolation,
    _mean,
    _relayout,
    _on_channels_last,
    _channelwise,
    _concatenation,
    _pieces,
    _elementwise,
)
