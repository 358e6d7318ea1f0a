"""How large gradients and updates are, block by block."""

from __future__ import annotations

from typing import Any

import torch

from blockzoo.blockwise.frame import Frame
from blockzoo.core.contracts import UNITS


@UNITS.register("norms")
class Norms:
    """Euclidean norms: of the gradient at the centre, of what the last round moved, and of the parameters."""

    def __init__(self, batches: int = 1, batch_size: int = 256) -> None:
        self.batches, self.batch_size = batches, batch_size

    def measure(self, frame: Frame) -> dict[str, Any]:
        """One per block; the network in evaluation mode."""
        parameters = [p for state in frame.blocks for p in state.parameters]
        total = [torch.zeros_like(p) for p in parameters]
        was = frame.model.training
        frame.model.eval()
        batches = frame.probe(self.batches, self.batch_size)
        examples = sum(len(x) for x, _ in batches)
        for x, y in batches:
            loss = frame.criterion(frame.model(x), y)
            for sum_, g in zip(
                total, torch.autograd.grad(loss, parameters, materialize_grads=True), strict=True
            ):
                sum_ += g * (len(x) / examples)
        frame.model.train(was)
        gradients, sizes, at = [], [], 0
        for state in frame.blocks:
            own = total[at : at + len(state.parameters)]
            at += len(state.parameters)
            gradients.append(_norm(own))
            sizes.append(_norm([p.detach() for p in state.parameters]))
        return {
            "gradient_norm": gradients,
            "update_norm": frame.last.movement if frame.last else None,
            "parameter_norm": sizes,
        }


def _norm(tensors: list[torch.Tensor]) -> float:
    return float(torch.stack([t.square().sum() for t in tensors]).sum().sqrt())
