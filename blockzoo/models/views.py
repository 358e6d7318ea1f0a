"""Views of a tensor, as operations of aten: how one is made again, and how a tensor looks after its view has been written to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten
Make = Callable[[Any, Sequence[Any]], fx.Node]
"""Adds an operation with its arguments to a graph."""
Back = Callable[[Make, fx.Node, fx.Node], fx.Node]
"""From a tensor and the new value of one of its views (nodes of a graph) to the tensor's new value."""

SAME_ELEMENTS = frozenset(
    "view reshape flatten unflatten squeeze unsqueeze view_as ravel alias detach contiguous to type_as dropout feature_dropout "
    "alpha_dropout expand expand_as broadcast_to lift positive".split()
)
"""All elements of the tensor in the same order."""
ORDERS = frozenset("permute transpose movedim moveaxis swapaxes swapdims t numpy_T mT".split())
"""All elements, with the dimensions in another order."""
ADJOINTS = frozenset("adjoint matrix_H mH".split())
"""All elements conjugated, with the last two dimensions in the other order."""
PIECES = frozenset("chunk split split_with_sizes tensor_split unbind hsplit vsplit dsplit".split())
"""Several views that lie side by side."""


PARTS_OF_COMPLEX: dict[str, Back] = {
    "_conj": lambda make, old, new: make(aten.conj_physical.default, [new]),
    "_neg_view": lambda make, old, new: make(aten.neg.default, [new]),
    "real": lambda make, old, new: make(aten.complex.default, [new, make(aten.imag.default, [old])]),
    "imag": lambda make, old, new: make(aten.complex.default, [make(aten.real.default, [old]), new]),
    "view_as_real": lambda make, old, new: make(
        aten.complex.default, [make(aten.select.int, [new, -1, 0]), make(aten.select.int, [new, -1, 1])]
    ),
    "view_as_complex": lambda make, old, new: make(
        aten.stack.default, [[make(aten.real.default, [new]), make(aten.imag.default, [new])], -1]
    ),
}
"""How a complex tensor follows its parts, and the other way round; real tensors are no views of themselves."""


def name_of(target: object) -> str:
    """Of an operation of aten, without its overload: "relu_"."""
    return target._schema.name.split("::")[1] if isinstance(target, torch._ops.OpOverload) else ""


def options(target: torch._ops.OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments of a call by their names, defaults included."""
    defaults = {a.name: a.default_value for a in target._schema.arguments if a.has_default_value()}
    return {**defaults, **dict(zip((a.name for a in target._schema.arguments), args, strict=False)), **kwargs}


def back_from(
    target: Any, args: Sequence[Any], kwargs: dict[str, Any], whole: torch.Tensor, view: torch.Tensor
) -> Back | None:
    """How a tensor follows what is written to its view; None where that is not known.

    Args:
        target: the operation that made the view.
        args: its positional arguments, the tensor among them.
        kwargs: its keyword arguments.
        whole: the tensor, without its values.
        view: its view, without its values.
    """
    name = name_of(target)
    if name in SAME_ELEMENTS and whole.numel() == view.numel() and whole.dtype == view.dtype:
        return _reshaped(tuple(whole.shape), tuple(view.shape))
    if name in ORDERS:
        return _reordered(target, args, kwargs, whole.ndim)
    if name in ADJOINTS:
        return lambda make, old, new: make(
            aten.conj_physical.default, [make(aten.transpose.int, [new, -2, -1])]
        )
    if name in PARTS_OF_COMPLEX:
        return PARTS_OF_COMPLEX[name]
    arguments = options(target, args, kwargs) if name else {}
    if name == "slice":
        span = arguments["dim"], arguments["start"], arguments["end"], arguments["step"]
        return lambda make, old, new: make(aten.slice_scatter.default, [old, new, *span])
    if name == "narrow" and isinstance(arguments["start"], int):
        span = arguments["dim"], arguments["start"] % whole.shape[arguments["dim"]], arguments["length"], 1
        ends = span[1] + span[2]
        return lambda make, old, new: make(aten.slice_scatter.default, [old, new, span[0], span[1], ends])
    if name == "select" and isinstance(arguments["dim"], int):
        place = arguments["dim"], arguments["index"]
        return lambda make, old, new: make(aten.select_scatter.default, [old, new, *place])
    if name == "diagonal" and isinstance(arguments["offset"], int):
        line = arguments["offset"], arguments["dim1"], arguments["dim2"]
        return lambda make, old, new: make(aten.diagonal_scatter.default, [old, new, *line])
    return None


def _reshaped(whole: tuple[int, ...], view: tuple[int, ...]) -> Back:
    if whole == view:
        return lambda make, old, new: new
    return lambda make, old, new: make(aten.reshape.default, [new, list(whole)])


def _reordered(target: Any, args: Sequence[Any], kwargs: dict[str, Any], ndim: int) -> Back:
    """The order is seen on a tensor whose sides all differ."""
    sides = list(range(1, ndim + 1))
    drawn = torch.empty(sides, device="meta")
    order = [side - 1 for side in target(drawn, *args[1:], **kwargs).shape]
    inverse = [order.index(place) for place in range(ndim)]
    return lambda make, old, new: make(aten.permute.default, [new, inverse])


def piece_of(
    target: Any, args: Sequence[Any], kwargs: dict[str, Any], pieces: Sequence[torch.Tensor], number: int
) -> tuple[Any, list[Any]]:
    """One of the views that `chunk`, `split` and the like make, as an operation on their tensor and its arguments after that."""
    name = name_of(target)
    dims = {"hsplit": 1 if args[0].ndim > 1 else 0, "vsplit": 0, "dsplit": 2}
    dim = dims[name] if name in dims else options(target, args, kwargs)["dim"]
    if name == "unbind":
        return aten.select.int, [dim, number]
    start = sum(piece.shape[dim] for piece in pieces[:number])
    return aten.slice.Tensor, [dim, start, start + pieces[number].shape[dim]]
