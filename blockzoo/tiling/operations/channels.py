"""Operations on the channels of each pixel: some of them, others in their place, another order, sums of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.tiling.contracts import (
    LAST,
    OPERATIONS,
    PICTURE,
    Call,
    Example,
    InPlace,
    Locality,
    TileableOperation,
)
from blockzoo.tiling.operations.normalisation import ChannelsLast

if TYPE_CHECKING:
    from blockzoo.tiling.onnx.nodes import NodeCall


@OPERATIONS.register("concatenation")
class Concatenation(TileableOperation):
    """Maps one after the other along their channels."""

    functions = ("cat", "concat")
    nodes = ("Concat", "QLinearConcat")

    def locality(self, call: Call) -> Locality | None:
        dim = call.option("dim", 1, 0) % 4
        channel = 1 if call.axes[0] == PICTURE else 3
        same = len({*call.axes}) == 1 and len({tuple(s[a] for a in call.axes[0]) for s in call.shapes}) == 1
        return Locality.pointwise(call.axes[0]) if dim == channel and same else None

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        sizes = {call.values[name].shape[2:] for name in call.maps}
        along_channels = call.attribute("axis") in (1, -3) and len(sizes) == 1 and not call.others
        return Locality.pointwise() if along_channels else None

    def examples(self) -> Mapping[str, Example]:
        return {"two maps": lambda x: torch.cat([x, x.tanh()], 1)}


def _put(
    x: torch.Tensor, piece: torch.Tensor, dim: int, start: int | None, end: int | None, step: int = 1
) -> Any:
    x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)] = piece
    return x


def _put_one(x: torch.Tensor, piece: torch.Tensor, dim: int, index: int) -> Any:
    x.select(dim, index).copy_(piece)
    return x


@OPERATIONS.register("slice")
class Slice(TileableOperation):
    """Some of the channels of a map, and writing to some of them."""

    functions = ("slice", "slice_scatter", "select_scatter")
    in_place: Mapping[str, InPlace] = {"slice_scatter": InPlace(_put), "select_scatter": InPlace(_put_one)}
    nodes = ("Slice",)

    def locality(self, call: Call) -> Locality | None:
        if call.what == "select_scatter" or len(call.shape) != 4:
            return None
        dim = call.option("dim", 2 if call.what == "slice_scatter" else 1, 0) % 4
        same = len({*call.axes}) == 1 and not call.others
        return Locality.pointwise(call.axes[0]) if dim not in (0, *call.axes[0]) and same else None

    def locality_of_node(self, call: NodeCall) -> Locality | None:
        return Locality.pointwise() if call.constant_values(3) == [1] else None

    def examples(self) -> Mapping[str, Example]:
        return {"some channels": lambda x: x[:, 1:3], "halves": _gated, "written": _written}


def _gated(x: torch.Tensor) -> torch.Tensor:
    one, other = x.chunk(2, 1)
    return one * other.sigmoid()


def _written(x: torch.Tensor) -> torch.Tensor:
    """Two of its channels are others."""
    y = x + 1
    y[:, 1:3] = x[:, :2].tanh()
    return y


@OPERATIONS.register("one-of-several")
class OneOfSeveral(TileableOperation):
    """One of the values that an operation makes; those that are views of one map are slices of it."""

    functions = ("getitem",)

    def locality(self, call: Call) -> Locality | None:
        place, values = call.args[1], call.args[0]
        of_several = isinstance(place, int) and isinstance(values, (tuple, list))
        return Locality.pointwise(call.axes[0]) if of_several else None


@OPERATIONS.register("channel-shuffle")
class ChannelShuffle(TileableOperation):
    """Channels in groups, turned and put in a row again."""

    functions = ("channel_shuffle",)

    def locality(self, call: Call) -> Locality | None:
        return Locality.pointwise() if call.axes[0] == PICTURE else None

    def examples(self) -> Mapping[str, Example]:
        return {"two groups": nn.ChannelShuffle(2)}


@OPERATIONS.register("linear")
class Linear(TileableOperation):
    """A fully connected layer over channels that come last."""

    functions = ("linear",)

    def locality(self, call: Call) -> Locality | None:
        return Locality.pointwise(LAST) if call.axes[0] == LAST else None

    def examples(self) -> Mapping[str, Example]:
        return {"over channels": ChannelsLast(nn.Linear(4, 4))}


@OPERATIONS.register("layout")
class Layout(TileableOperation):
    """(N, C, H, W) to (N, H, W, C) and back."""

    functions = ("permute",)

    def locality(self, call: Call) -> Locality | None:
        order = call.args[1] if isinstance(call.args[1], (tuple, list)) else call.args[1:5]
        turn = {(PICTURE, (0, 2, 3, 1)): LAST, (LAST, (0, 3, 1, 2)): PICTURE}
        axes = turn.get((call.axes[0], tuple(order)))
        return Locality.pointwise(axes) if axes else None

    def examples(self) -> Mapping[str, Example]:
        return {"there and back": ChannelsLast(nn.GELU())}
