"""How large gradients and updates are, block by block."""

from __future__ import annotations

from typing import Any

import torch

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.engines.rounds import distance
from blockzoo.blockwise.local import gradients_of
from blockzoo.blockwise.run.losses import no_reentrant_checkpoints, parts_of_loss
from blockzoo.blockwise.run.view import RunView
from blockzoo.core.arguments import check_counts


@UNITS.register("norms")
class Norms:
    """Euclidean norms: of the gradient at the centre, of what the last round moved, and of the parameters."""

    def __init__(self, batches: int = 1, batch_size: int = 256) -> None:
        check_counts(batches=batches, batch_size=batch_size)
        self.batches, self.batch_size = batches, batch_size

    def measure(self, run: RunView) -> dict[str, Any]:
        """One per block, of what is trained; the network in evaluation mode."""
        parameters = [p for state in run.blocks for p in state.parameters]
        total = [torch.zeros_like(p) for p in parameters]
        was = run.model.training
        run.model.eval()
        batches = run.probe(self.batches, self.batch_size)
        examples = sum(len(x) for x, _ in batches)
        with no_reentrant_checkpoints():
            for loss, size in parts_of_loss(run.model, run.criterion, batches):
                for sum_, g in zip(total, gradients_of(loss, parameters), strict=True):
                    sum_ += g * (size / examples)
        run.model.train(was)
        norms, sizes, at = [], [], 0
        for state in run.blocks:
            own = total[at : at + len(state.parameters)]
            at += len(state.parameters)
            norms.append(_norm(own))
            sizes.append(_norm([p.detach() for p in state.parameters]))
        return {
            "gradient_norm": norms,
            "update_norm": run.last.movement if run.last else None,
            "parameter_norm": sizes,
        }


def _norm(tensors: list[torch.Tensor]) -> float:
    return distance(tensors, [torch.zeros_like(t) for t in tensors])
