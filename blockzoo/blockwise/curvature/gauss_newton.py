"""Products with the generalised Gauss-Newton matrix J' H_L J: the Hessian without the curvature of the network itself.

Positive semidefinite for convex losses. A product runs forward through J, the loss's own Hessian and back through J'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from blockzoo.blockwise.curvature.frozen_loss import plain_kernels
from blockzoo.blockwise.curvature.hessian import Hessian, backward, flat
from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Float


class _Pass(NamedTuple):
    """Outputs with their graph, J' r as a function of r, the loss's gradient by the outputs."""

    outputs: torch.Tensor
    dummy: torch.Tensor
    pulled: list[list[torch.Tensor]]
    detached: torch.Tensor
    loss_gradient: torch.Tensor


class GaussNewton(Hessian):
    """The same questions as `Hessian`, of the Gauss-Newton matrix."""

    def _differentiated(self) -> _Pass:
        with torch.enable_grad(), plain_kernels():
            outputs = self.frozen.outputs()
            if not isinstance(outputs, torch.Tensor):
                raise UsageError(
                    f"a network that returns a {type(outputs).__name__} has no Gauss-Newton matrix"
                )
            dummy = torch.zeros_like(outputs, requires_grad=True)
            pulled = torch.autograd.grad(
                outputs, self._parameters, dummy, create_graph=True, materialize_grads=True
            )
            detached = outputs.detach()
            gradient = self._loss_gradient(detached)
        return _Pass(outputs, dummy, self._by_block(pulled), detached, gradient)

    def gradient(self) -> list[Float[torch.Tensor, " size_i"]]:
        """The gradient of the loss by block, flat."""
        gradients = self._pull(self._gradient.loss_gradient.detach(), self._parameters, False)
        return [flat(block, self.like) for block in self._by_block(gradients)]

    def differences(
        self, v: Float[torch.Tensor, " parameters"], step: float
    ) -> tuple[Float[torch.Tensor, " parameters"], Float[torch.Tensor, " parameters"]]:
        """G v from outputs at two points, the loss's gradient at two outputs, and J', which is plain backpropagation."""
        moved = (self._moved(v, s)[0] for s in (-step, step))
        low, high = (self._loss_gradient(other.outputs().detach()).detach() for other in moved)
        middle = self._gradient.loss_gradient.detach()
        both = ((high - low) / (2 * step), (high + low - 2 * middle) / (2 * step))
        first, second = (flat(self._pull(d, self._parameters, False), v) for d in both)
        return first, second

    def _loss_gradient(self, outputs: torch.Tensor) -> torch.Tensor:
        """The gradient of the loss by these outputs, with its graph."""
        with torch.enable_grad():
            at = outputs.requires_grad_(True)
            return torch.autograd.grad(self.frozen.of_outputs(at), at, create_graph=True)[0]

    def _product(
        self,
        columns: Sequence[int],
        seeds: Sequence[torch.Tensor],
        asked: Sequence[torch.Tensor],
        stacked: bool,
    ) -> Sequence[torch.Tensor]:
        one: _Pass = self._gradient
        pushed = backward([g for j in columns for g in one.pulled[j]], seeds, [one.dummy], stacked)
        curved = backward([one.loss_gradient], pushed, [one.detached], stacked)[0]
        return self._pull(curved, asked, stacked)

    def _pull(
        self, seed: torch.Tensor, asked: Sequence[torch.Tensor], stacked: bool
    ) -> Sequence[torch.Tensor]:
        """J' seed, by these parameters."""
        return [product.detach() for product in backward([self._gradient.outputs], [seed], asked, stacked)]
