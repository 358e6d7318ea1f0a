"""Parameters, counted without computing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn


class Params(NamedTuple):
    """Number of parameters, and how many of them take gradients."""

    total: int
    trainable: int


def count_params(module: nn.Module) -> Params:
    """Parameters of a module, shared ones counted once."""
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return Params(sum(n for n, _ in sizes), sum(n for n, grad in sizes if grad))
