"""Answers the commonest operations on the meta device from their shapes and types alone.

On meta tensors torch runs a Python decomposition of batch normalisation and of many pointwise operations, up to three
milliseconds each, to find a shape that is the input's. Here it is read off the inputs instead, and laid out as a CPU does. Types
are those of a CPU's own answer on one number of each, so what a CPU refuses is refused (torch's way on the meta device lets
`x.mul_(1j)` pass).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch._prims_common import suggest_memory_format
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from blockzoo.measure.as_cpu import AsOnACPU

if TYPE_CHECKING:
    from typing_extensions import Self

aten = torch.ops.aten

POINTWISE = {
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor,
    aten.gelu.default, aten.hardswish.default, aten.hardsigmoid.default, aten.sigmoid.default, aten.silu.default,
}  # fmt: skip
"""The shape being the broadcast of the inputs'."""

POINTWISE_IN_PLACE = {
    aten.add_.Tensor, aten.mul_.Tensor,
    aten.hardswish_.default, aten.hardsigmoid_.default, aten.silu_.default,
}  # fmt: skip
KNOWN = {aten.native_batch_norm.default, *POINTWISE, *POINTWISE_IN_PLACE}


class ShapesOnly(TorchDispatchMode):
    """Inside its context, known operations on meta tensors return empty tensors of the right shape, type and layout.

    Enter it outside the modes that count (`with ShapesOnly(), counting():`): they then see the same operations,
    with outputs of the same shapes and bytes. Anything unknown takes torch's way. Code that asks is told that it runs on a CPU.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self._as_on_a_cpu = AsOnACPU()

    def __enter__(self) -> Self:
        self._as_on_a_cpu.__enter__()
        entered: Self = super().__enter__()
        return entered

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._as_on_a_cpu.__exit__(*raised)

    @property
    def asked(self) -> bool:
        """Did code ask where it runs?"""
        return self._as_on_a_cpu.asked

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in KNOWN:
            with torch._C.DisableTorchFunction():  # tensors say where they are
                output = _known(func, args, kwargs)
            if output is not None:
                return output
        return func(*args, **kwargs)


def shapes_only(x: torch.Tensor) -> AbstractContextManager[ShapesOnly | None]:
    """`ShapesOnly` for an input without values; with values, nothing."""
    return ShapesOnly() if x.is_meta else nullcontext()


def _known(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operation of `KNOWN` returns; None where torch is to say."""
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
    if not any(t.is_meta for t in tensors) or not all(map(_is_plain, tensors)):
        return None
    in_place = func in POINTWISE_IN_PLACE
    operands = [_described(value, written=in_place and place == 0) for place, value in enumerate(args)]
    kinds = _on_a_cpu(func, *operands, **{name: _described(value) for name, value in kwargs.items()})
    if not all(t.is_meta for t in tensors):
        return None
    x = args[0]
    if func is aten.native_batch_norm.default:
        kind, *saved = kinds
        statistics = (
            torch.empty(x.shape[1] if one.sides else 0, dtype=one.dtype, device="meta") for one in saved
        )
        return _empty(x.shape, kind.dtype, _format_of_a_norm(x)), *statistics
    try:
        shape = torch.broadcast_shapes(*(t.shape for t in tensors)) if len(tensors) > 1 else x.shape
    except RuntimeError:  # torch says it better
        return None
    if in_place:
        return x if shape == x.shape else None
    layout = _format(shape, tensors, alone=len(tensors) == len(args))
    return None if layout is None else _empty(shape, kinds[0].dtype, layout)


class _Operand(NamedTuple):
    """What the type of a result depends on.

    Args:
        dtype: of the tensor.
        sides: how many it has; as a result, whether it holds anything.
        repeats: are there several numbers in one place, which cannot be written?
    """

    dtype: torch.dtype
    sides: int
    repeats: bool = False

    def stand_in(self) -> torch.Tensor:
        one = torch.ones((1,) * self.sides, dtype=self.dtype, device="cpu")
        return one.expand((2,) * self.sides) if self.repeats else one


def _described(value: Any, written: bool = False) -> Any:
    if isinstance(value, torch.Tensor):
        repeats = written and any(n > 1 and not s for n, s in zip(value.shape, value.stride(), strict=True))
        return _Operand(value.dtype, value.ndim, repeats)
    return type(value)(1) if isinstance(value, int | float | complex) and value is not False else value


@lru_cache(maxsize=None, typed=True)
def _on_a_cpu(func: Any, *operands: Any, **options: Any) -> tuple[_Operand, ...]:
    """Types of the results of an operation on one number of each kind.

    Raises:
        RuntimeError, NotImplementedError: a CPU refuses these types.
    """
    with _disable_current_modes(), torch.no_grad():
        stand_ins = [operand.stand_in() if isinstance(operand, _Operand) else operand for operand in operands]
        out = func(*stand_ins, **options)
    return tuple(
        _Operand(t.dtype, int(t.numel() > 0)) for t in (out if isinstance(out, tuple | list) else (out,))
    )


def _is_plain(tensor: torch.Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_conj()


def _format(shape: torch.Size, tensors: list[torch.Tensor], alone: bool) -> torch.memory_format | None:
    """How a CPU lays out a pointwise result; None: it is neither of the two usual ways, or not known here.

    Args:
        shape: of the result.
        tensors: that are given.
        alone: is nothing else given, as a number?
    """
    if alone and all(t.shape == shape for t in tensors):
        for usual in (torch.contiguous_format, torch.channels_last):
            if all(t.is_contiguous(memory_format=usual) for t in tensors):
                return usual
        return None
    # sides of one element have strides too, and the order of strides is what the result's follows
    in_order = all(t.stride() == torch.empty(t.shape, device="meta").stride() for t in tensors)
    return torch.contiguous_format if in_order else None


def _format_of_a_norm(x: torch.Tensor) -> torch.memory_format:
    usual: torch.memory_format = suggest_memory_format(x)
    return torch.contiguous_format if x.is_contiguous() else usual


def _empty(shape: torch.Size, dtype: torch.dtype, layout: torch.memory_format) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta", memory_format=layout)
