"""Products with the generalised Gauss-Newton matrix J' H_L J: the Hessian without the curvature of the network itself.

Positive semidefinite for convex losses. A product runs forward through J, the loss's own Hessian and back through J'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from blockzoo.blockwise.curvature.frozen_loss import plain_kernels
from blockzoo.blockwise.curvature.hessian import Hessian, backward, flat


class _Pass(NamedTuple):
    """One batch: outputs with their graph, J' r as a function of r, the loss's gradient by the outputs."""

    outputs: torch.Tensor
    dummy: torch.Tensor
    pulled: list[list[torch.Tensor]]
    detached: torch.Tensor
    loss_gradient: torch.Tensor


class GaussNewton(Hessian):
    """The same questions as `Hessian`, of the Gauss-Newton matrix."""

    def _gradient(self, x: torch.Tensor, y: torch.Tensor) -> _Pass:
        with torch.enable_grad(), plain_kernels():
            outputs = self.frozen.outputs(x)
            dummy = torch.zeros_like(outputs, requires_grad=True)
            pulled = torch.autograd.grad(
                outputs, self._parameters, dummy, create_graph=True, materialize_grads=True
            )
            detached = outputs.detach()
            gradient = self._loss_gradient(detached, y)
        return _Pass(outputs, dummy, self._by_block(pulled), detached, gradient)

    def gradient(self) -> list[torch.Tensor]:
        """The gradient of the loss by block, flat."""
        total = [torch.zeros(size).to(self.like) for size in self.sizes]
        for weight, one in zip(self.frozen.weights, self._gradients, strict=True):
            found = self._pull(one, one.loss_gradient.detach(), self._parameters, False)
            for part, block in zip(total, self._by_block(found), strict=True):
                part.add_(flat(block, self.like), alpha=weight)
        return total

    def by_differences(self, v: torch.Tensor, step: float) -> torch.Tensor:
        """G v from outputs at two points, the loss's gradient at two outputs, and J', which is plain backpropagation."""
        total = torch.zeros_like(v)
        moved = [self._moved(v, s)[0] for s in (-step, step)]
        batches = zip(self.frozen.weights, self.frozen.batches, self._gradients, strict=True)
        for weight, (x, y), one in batches:
            low, high = (self._loss_gradient(other.outputs(x).detach(), y).detach() for other in moved)
            curved = (high - low) / (2 * step)
            total.add_(flat(self._pull(one, curved, self._parameters, False), v), alpha=weight)
        return total

    def _loss_gradient(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The gradient of the loss by these outputs, with its graph."""
        at = outputs.requires_grad_(True)
        return torch.autograd.grad(self.frozen.of_outputs(at, y), at, create_graph=True)[0]

    def _product(
        self,
        gradient: Any,
        columns: Sequence[int],
        seeds: Sequence[torch.Tensor],
        asked: Sequence[torch.Tensor],
        stacked: bool,
    ) -> Sequence[torch.Tensor]:
        one: _Pass = gradient
        pushed = backward([g for j in columns for g in one.pulled[j]], seeds, [one.dummy], stacked)
        curved = backward([one.loss_gradient], pushed, [one.detached], stacked)[0]
        return self._pull(one, curved, asked, stacked)

    def _pull(
        self, one: _Pass, seed: torch.Tensor, asked: Sequence[torch.Tensor], stacked: bool
    ) -> Sequence[torch.Tensor]:
        """J' seed, by these parameters."""
        return [found.detach() for found in backward([one.outputs], [seed], asked, stacked)]
