"""Parameters and multiply-adds, counted without computing anything."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import conv_flop_count, flop_registry, sdpa_flop_count


class Params(NamedTuple):
    """Number of parameters, and how many of them take gradients."""

    total: int
    trainable: int


def count_params(module: nn.Module) -> Params:
    """Parameters of a module, shared ones counted once."""
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return Params(sum(n for n, _ in sizes), sum(n for n, grad in sizes if grad))


class MacCounter(TorchDispatchMode):
    """Counts the multiply-adds of convolutions and matrix products inside its context, in `.macs`.

    It sees every operation that reaches the dispatcher, so functional convolutions count as modules do. The
    formulas are torch's (`torch.utils.flop_counter`, 2 FLOPs = 1 MAC) but for two faults of theirs: attention
    kernels of the CPU, which they do not know (0), and the backward pass of grouped convolutions, which they
    count as if dense (22 times too much for a depthwise 3x3).
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.macs += _flops(func, args, kwargs or {}, out) // 2
        return out


def _flops(func: Any, args: Any, kwargs: dict[str, Any], out: Any) -> int:
    name = func._overloadpacket.__name__
    if name == "convolution_backward":
        gradient, x, weight = args[:3]
        transposed, wanted = args[7], args[10]
        forward = conv_flop_count(x.shape, weight.shape, gradient.shape, transposed=transposed)
        return forward * sum(wanted[:2])  # gradients of input and weight cost one forward pass each
    if name == "_scaled_dot_product_flash_attention_for_cpu":
        return sdpa_flop_count(args[0].shape, args[1].shape, args[2].shape)
    formula = flop_registry.get(func._overloadpacket)
    return formula(*args, **kwargs, out_val=out) if formula else 0


def count_macs(module: nn.Module, *inputs: torch.Tensor) -> int:
    """MACs of one inference call. Give the module and its inputs on the meta device to compute nothing."""
    with MacCounter() as counter, torch.no_grad():
        module(*inputs)
    return counter.macs
