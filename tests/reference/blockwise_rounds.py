"""Block-wise rounds the slow way: a whole copy of the network for every worker, nothing shared, nothing kept.

Nothing of `blockzoo.blockwise.engines` is used here.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


def trained_copy(
    centre: nn.Module, names: list[str], batches: list[Any], criterion: Any, lr: float, prox: float = 0.0
) -> nn.Module:
    """A copy of the network in which some parameters took one plain gradient step per batch."""
    own = copy.deepcopy(centre).train()
    parameters = [dict(own.named_parameters())[name] for name in names]
    start = [p.detach().clone() for p in parameters]
    for x, y in batches:
        loss = criterion(own(x), y)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, g, s in zip(parameters, gradients, start, strict=True):
                p -= lr * (g + prox * (p - s))
    return own


@torch.no_grad()
def jacobi_round(
    centre: nn.Module,
    blocks: list[list[str]],
    batches: list[list[Any]],
    criterion: Any,
    lr: float,
    gamma: float,
    prox: float,
) -> nn.Module:
    """All workers from the same centre, each with batches of its own; then the blocks are put together."""
    with torch.enable_grad():
        workers = [
            trained_copy(centre, names, own, criterion, lr, prox)
            for names, own in zip(blocks, batches, strict=True)
        ]
    result = copy.deepcopy(centre)
    target = dict(result.named_parameters())
    for names, worker in zip(blocks, workers, strict=True):
        values = dict(worker.named_parameters())
        for name in names:
            target[name].copy_((1 - gamma) * target[name] + gamma * values[name])
    return result


@torch.no_grad()
def gauss_seidel_round(
    centre: nn.Module, blocks: list[list[str]], batches: list[Any], criterion: Any, lr: float, gamma: float
) -> nn.Module:
    """Each block from the newest centre, all on the same batches."""
    result = copy.deepcopy(centre)
    for names in blocks:
        with torch.enable_grad():
            worker = trained_copy(result, names, batches, criterion, lr)
        values, target = dict(worker.named_parameters()), dict(result.named_parameters())
        for name in names:
            target[name].copy_((1 - gamma) * target[name] + gamma * values[name])
    return result
