"""Batch norms whose statistics are those of the whole batch, though each rank holds a part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class SynchronisedBatchNorms(TorchFunctionMode):
    """Within it every batch norm in training mode normalises by the mean and the variance over all ranks.

    It stands where the function is called, not where modules are made, so whatever calls it is synchronised: a norm with
    an activation, a subclass with a `forward` of its own, a call without a module. It works on processors too.
    All ranks must make the same calls in the same order, with equally many images.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        if function is torch.batch_norm:
            x, weight, bias, mean, variance, training, momentum, eps, *_ = args
            return _batch_norm(x, mean, variance, weight, bias, training, momentum, eps)
        return function(*args, **(kwargs or {}))


def _batch_norm(
    x: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """As `torch.nn.functional.batch_norm`, of (B, C, ...); in training over the images of all ranks."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    others = [dim for dim in range(x.ndim) if dim != 1]
    column = [1, -1, *[1] * (x.ndim - 2)]  # a value per channel
    values = x.float()
    count = values.numel() // values.shape[1] * dist.get_world_size()
    mean: torch.Tensor = _SumOverRanks.apply(values.sum(others)) / count
    centred = values - mean.view(column)
    # a second exchange rather than sums of squares: these lose the variance where the mean is large
    variance: torch.Tensor = _SumOverRanks.apply(centred.square().sum(others)) / count
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean), momentum)
        if running_var is not None:
            running_var.lerp_((variance * count / max(count - 1, 1)).to(running_var), momentum)
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    result = centred * scale.view(column)
    result = result if bias is None else result + bias.view(column)
    return result.to(x.dtype)


class _SumOverRanks(torch.autograd.Function):
    """A sum over the ranks; a gradient goes back to all that were added."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient
