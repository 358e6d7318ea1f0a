"""Meta tensors that pass for a CPU's, so that a network counted without values does what it does on a CPU.

Code that asks a tensor where it is is told "cpu", what it then makes there is made without values, and attention takes the kernel
of a CPU: torch decomposes it on the meta device into products whose weights are kept, where a CPU runs one kernel that keeps
none. What cannot be answered without values is refused; then the network is counted on values.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

aten = torch.ops.aten
_of: Any = torch.Tensor
CPU = torch.device("cpu")


class AsOnACPU(TorchFunctionMode):
    """Inside its context, functions of torch answer for meta tensors as for those of a CPU.

    Raises:
        RuntimeError: what is asked for is an address, or automatic mixed precision is on, which passes meta tensors by.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked = False
        """Was something answered, or moved, that on the meta device would have been otherwise?"""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("autocast does nothing on tensors without values")
        if func in ANSWERS and len(args) == 1 and not kwargs and args[0].is_meta:
            self.asked = True
            return ANSWERS[func](args[0])
        if "device" in kwargs:
            self.asked = True
            kwargs = {**kwargs, "device": _without_values(kwargs["device"])}
        if func is _of.to:
            tensor, *where = (_without_values(value) for value in args)
            if any(map(_is_there, (*where, *kwargs.values()))):
                self.asked = True
                tensor = _stand_in(tensor)
            args = (tensor, *where)
        if func is F.scaled_dot_product_attention and (args[0] if args else kwargs["query"]).is_meta:
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


def _stand_in(tensor: torch.Tensor) -> torch.Tensor:
    """For a table with values that is moved to where it is on a CPU: that makes nothing, and both live as long."""
    if tensor.is_meta or tensor.layout != torch.strided:
        return tensor
    with _disable_current_modes():
        like = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    weakref.finalize(like.untyped_storage(), id, tensor)
    return like


def _refused(tensor: torch.Tensor) -> Any:
    raise RuntimeError("a tensor without values has no address")


ANSWERS: dict[Any, Callable[[torch.Tensor], Any]] = {
    _of.device.__get__: lambda tensor: CPU,
    _of.is_cpu.__get__: lambda tensor: True,
    _of.is_meta.__get__: lambda tensor: False,
    _of.get_device: lambda tensor: -1,
    _of.type: lambda tensor: torch.empty(0, dtype=tensor.dtype, device="cpu").type(),
    _of.cpu: lambda tensor: tensor,
    _of.data_ptr: _refused,
}
"""What a tensor says of itself, by the function that asks."""
ASK = ("prim::device", "prim::is_cpu", "prim::is_cuda", "prim::is_meta", "aten::get_device", "aten::data_ptr")
"""Operations of TorchScript."""


def check_passes(module: nn.Module) -> None:
    """No code of a module on the meta device asks where it is in a way that `AsOnACPU` does not hear.

    Raises:
        RuntimeError: some does, as it seems.
    """
    for path, layer in module.named_modules():
        what = f"{path or type(layer).__name__}"
        if any(isinstance(value, torch.device) and value.type == "meta" for value in vars(layer).values()):
            raise RuntimeError(f"{what} keeps the device that it was built on")
        graph = getattr(layer, "inlined_graph", None) if isinstance(layer, torch.jit.ScriptModule) else None
        if graph is not None and any(graph.findAllNodes(kind, True) for kind in ASK):
            raise RuntimeError(f"{what} asks where a tensor is, in TorchScript")


def _is_there(value: Any) -> bool:
    """Is it the meta device, or on it?"""
    return value.is_meta if isinstance(value, torch.Tensor) else value == torch.device("meta")


def _without_values(value: Any) -> Any:
    """A device, the meta device for a CPU; anything else as it is."""
    # not "cpu:0", to which torch copies what is on "cpu"
    return torch.device("meta") if isinstance(value, str | torch.device) and str(value) == "cpu" else value


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
