"""Products with the generalised Gauss-Newton matrix J' H_L J: the Hessian without the curvature of the network itself.

Positive semidefinite for convex losses. A product runs forward through J, the loss's own Hessian and back through J'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from blockzoo.blockwise.curvature.hessian import Hessian, exact_kernels, flat, shaped


class _Pass(NamedTuple):
    """One batch: outputs with their graph, J' r as a function of r, the loss's gradient by the outputs."""

    outputs: torch.Tensor
    dummy: torch.Tensor
    pulled: list[list[torch.Tensor]]
    detached: torch.Tensor
    loss_gradient: torch.Tensor


class GaussNewton(Hessian):
    """The same questions as `Hessian`, of the Gauss-Newton matrix."""

    def _gradient(self, x: torch.Tensor, y: torch.Tensor) -> Any:
        with torch.enable_grad(), exact_kernels():
            outputs = self.model(x)
            dummy = torch.zeros_like(outputs, requires_grad=True)
            parameters = [p for block in self.blocks for p in block]
            pulled = torch.autograd.grad(
                outputs, parameters, dummy, create_graph=True, materialize_grads=True
            )
            detached = outputs.detach().requires_grad_(True)
            gradient = torch.autograd.grad(self._loss_fn(detached, y), detached, create_graph=True)[0]
        found, rest = [], list(pulled)
        for block in self.blocks:
            found.append(rest[: len(block)])
            rest = rest[len(block) :]
        return _Pass(outputs, dummy, found, detached, gradient)

    def gradient(self) -> list[torch.Tensor]:
        """The gradient of the loss by block, flat."""
        everything = range(len(self.blocks))
        parts = [self._pull(p, p.loss_gradient.detach(), everything) for p in self._gradients]
        return [
            sum(
                (w * part[i] for w, part in zip(self._weights, parts, strict=True)),
                torch.zeros_like(parts[0][i]),
            )
            for i in everything
        ]

    def full(self, v: torch.Tensor) -> torch.Tensor:
        """G v: (all parameters,) in the order of the blocks."""
        self.products += 1
        parts = list(torch.split(v, self.sizes))
        outputs = range(len(self.blocks))
        return torch.cat(self._through(dict(enumerate(parts)), outputs))

    def _product(self, j: int, v: torch.Tensor, rows: Sequence[int]) -> list[torch.Tensor]:
        self.products += 1
        return self._through({j: v}, rows)

    def _through(self, parts: dict[int, torch.Tensor], rows: Sequence[int]) -> list[torch.Tensor]:
        total = [torch.zeros(self.sizes[i]).to(self.like) for i in rows]
        for weight, one in zip(self._weights, self._gradients, strict=True):
            outputs = [g for j in parts for g in one.pulled[j]]
            seeds = [s for j, v in parts.items() for s in shaped(v, self.blocks[j])]
            live = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
            if not live:
                continue
            pushed = torch.autograd.grad(
                [o for o, _ in live],
                one.dummy,
                [s for _, s in live],
                retain_graph=True,
                materialize_grads=True,
            )[0]
            curved = torch.autograd.grad(
                one.loss_gradient, one.detached, pushed, retain_graph=True, materialize_grads=True
            )[0]
            for sum_, part in zip(total, self._pull(one, curved, rows), strict=True):
                sum_.add_(part, alpha=weight)
        return total

    def _pull(self, one: _Pass, seed: torch.Tensor, rows: Sequence[int]) -> list[torch.Tensor]:
        """J' seed, for the parameters of some blocks."""
        asked = [p for i in rows for p in self.blocks[i]]
        rest = list(torch.autograd.grad(one.outputs, asked, seed, retain_graph=True, materialize_grads=True))
        found = []
        for i in rows:
            found.append(flat(rest[: len(self.blocks[i])]).detach())
            rest = rest[len(self.blocks[i]) :]
        return found
