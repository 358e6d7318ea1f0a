"""Parameters, counted without computing anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import nn


class Params(NamedTuple):
    """Number of parameters, and how many of them take gradients."""

    total: int
    trainable: int


def count_params(module: nn.Module) -> Params:
    """Parameters of a module as real numbers, of which a complex one has two; each place in memory is counted once, whichever
    parameters lie there.
    """
    parameters = list(module.parameters())
    return Params(_numbers(parameters), _numbers(p for p in parameters if p.requires_grad))


def _numbers(parameters: Iterable[torch.Tensor]) -> int:
    import torch

    from blockzoo.models.copying import by_storage, distinct

    total = 0
    for group in by_storage(parameters):
        first = group[0]
        if len(group) == 1:
            places = distinct(first).numel()
        else:
            mask = torch.zeros(
                first.untyped_storage().nbytes() // first.element_size(), dtype=torch.bool, device="cpu"
            )
            for parameter in map(distinct, group):
                mask.as_strided(parameter.size(), parameter.stride(), parameter.storage_offset()).fill_(True)
            places = int(mask.sum())
        total += places * (2 if first.is_complex() else 1)
    return total
