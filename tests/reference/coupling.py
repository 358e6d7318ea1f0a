"""Spectral norms of all blocks of a Hessian, by plain autograd in float64, of the network and the loss themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn


def hessian(value: torch.Tensor, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
    """(P, P), row by row."""
    gradient = torch.autograd.grad(value, parameters, create_graph=True, materialize_grads=True)
    flat = torch.cat([g.reshape(-1) for g in gradient])
    rows = [
        torch.cat(
            [
                r.reshape(-1)
                for r in torch.autograd.grad(g, parameters, retain_graph=True, materialize_grads=True)
            ]
        )
        if g.requires_grad
        else torch.zeros_like(flat)
        for g in flat
    ]
    return torch.stack(rows).detach()


def coupling(
    model: nn.Module,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    batch: tuple[torch.Tensor, torch.Tensor],
    blocks: Sequence[Sequence[torch.Tensor]],
) -> npt.NDArray[np.float64]:
    """(B, B) spectral norms: `model` becomes double, in evaluation mode."""
    model.double().eval()
    x, y = (t.double() if t.is_floating_point() else t for t in batch)
    parameters = [p for block in blocks for p in block]
    whole = hessian(loss(model(x), y), parameters)
    sizes = [sum(p.numel() for p in block) for block in blocks]
    return np.array(
        [
            [
                float(torch.linalg.matrix_norm(part, 2)) if part.numel() else 0.0
                for part in row.split(sizes, 1)
            ]
            for row in whole.split(sizes)
        ]
    )
