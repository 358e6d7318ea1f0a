"""Answers the commonest operations on the meta device from their shapes alone.

On meta tensors torch runs a Python decomposition of batch normalisation and of many pointwise operations, about a
millisecond each, to find a shape that is the input's. Here it is read off the input instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

POINTWISE = {
    aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor,
    aten.gelu.default, aten.hardswish.default, aten.hardsigmoid.default, aten.sigmoid.default, aten.silu.default,
}  # fmt: skip
"""Float in, float out, the shape being the broadcast of the inputs'."""

POINTWISE_IN_PLACE = {
    aten.add_.Tensor, aten.mul_.Tensor,
    aten.hardswish_.default, aten.hardsigmoid_.default, aten.silu_.default,
}  # fmt: skip


class ShapesOnly(TorchDispatchMode):
    """Inside its context, known operations on float meta tensors return empty tensors of the right shape.

    Enter it outside the modes that count (`with ShapesOnly(), counting():`): they then see the same operations,
    with outputs of the same shapes and bytes. Anything unknown takes torch's way.
    """

    supports_higher_order_operators = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (kwargs and func is not aten.gelu.default) or not _float_on_meta(args[0] if args else None):
            return func(*args, **(kwargs or {}))
        x = args[0]
        if func is aten.native_batch_norm.default:
            statistics = x.shape[1] if args[5] else 0  # argument 5: training
            return torch.empty_like(x), x.new_empty(statistics), x.new_empty(statistics)
        if func in POINTWISE_IN_PLACE:
            return x
        if func in POINTWISE:
            other = args[1] if len(args) > 1 else x
            if not isinstance(other, torch.Tensor) or (other.shape == x.shape and _float_on_meta(other)):
                return torch.empty_like(x)
            if _float_on_meta(other) and other.dtype == x.dtype:
                return x.new_empty(torch.broadcast_shapes(x.shape, other.shape))
        return func(*args, **(kwargs or {}))


def _float_on_meta(tensor: Any) -> bool:
    return isinstance(tensor, torch.Tensor) and tensor.is_meta and tensor.dtype == torch.float32
