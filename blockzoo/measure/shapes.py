"""Answers the commonest operations on the meta device from their shapes alone, and attention as a CPU would.

On meta tensors torch runs a Python decomposition of batch normalisation and of many pointwise operations, about a
millisecond each, to find a shape that is the input's. Here it is read off the input instead. Attention it decomposes there
into products whose weights are kept, where a CPU runs one kernel that keeps none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

if TYPE_CHECKING:
    from typing_extensions import Self

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

    def __init__(self) -> None:
        super().__init__()
        self._attention = _AttentionOfACPU()

    def __enter__(self) -> Self:
        self._attention.__enter__()
        entered: Self = super().__enter__()
        return entered

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._attention.__exit__(*raised)

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


class _AttentionOfACPU(TorchFunctionMode):
    """Attention on meta tensors takes the kernel that torch would choose for such tensors on a CPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and (args[0] if args else kwargs["query"]).is_meta:
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> torch.Tensor:
    mask = attn_mask
    if mask is not None and mask.dtype == torch.bool:  # as torch makes one that is added
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask.logical_not(), -torch.inf)
    with _disable_current_modes():  # memory that nothing touches; its strides count for the choice
        stand_ins = [
            None if t is None else torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="cpu")
            for t in (query, key, value, mask)
        ]
        choice: Any = torch._fused_sdp_choice
        chosen = choice(*stand_ins, dropout_p, is_causal, **options)
    if chosen != SDPBackend.FLASH_ATTENTION.value:
        return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **options)
    kernel = aten._scaled_dot_product_flash_attention_for_cpu.default
    out: torch.Tensor = kernel(
        query, key, value, dropout_p, is_causal, attn_mask=mask, scale=options.get("scale")
    )[0]
    return out


def _float_on_meta(tensor: Any) -> bool:
    return isinstance(tensor, torch.Tensor) and tensor.is_meta and tensor.dtype == torch.float32
