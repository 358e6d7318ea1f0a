"""Predicted against actual descent of the last round: what coupling between blocks costs.

Each block's own step changes the loss by what its worker saw; all steps together change it by that sum and an interplay, which
to second order is sum_(i<j) d_i' H_ij d_j, so at most sum_(i<j) sigma_ij |d_i| |d_j|.
"""

from __future__ import annotations

from typing import Any

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.engines.rounds import distance
from blockzoo.blockwise.run.view import RunView
from blockzoo.core.arguments import check_counts


@UNITS.register("descent")
class Descent:
    """Change of the loss in the last round: block by block, together, and the bound on the difference.

    Args:
        batches, batch_size: on how much of the training data.
        rank, tol: of the coupling map at the round's start.
    """

    needs_previous = True

    def __init__(self, batches: int = 1, batch_size: int = 256, rank: int = 2, tol: float = 1e-2) -> None:
        from blockzoo.blockwise.curvature.options import Searching

        check_counts(batches=batches, batch_size=batch_size)
        Searching(tol=tol, rank=rank)
        self.batches, self.batch_size, self.rank, self.tol = batches, batch_size, rank, tol

    def measure(self, run: RunView) -> dict[str, Any]:
        """Changes of the loss; negative is descent. Nothing before the first round."""
        from blockzoo.blockwise.curvature.coupling import coupling_map

        if run.previous is None:
            return {}
        batches = run.probe(self.batches, self.batch_size)
        now = run.values()
        moved = [distance(a, b) for a, b in zip(now, run.previous, strict=True)]
        after = run.loss_over(batches)
        with run.holding(run.previous):
            before = run.loss_over(batches)
            coupling = coupling_map(
                run.model, run.criterion, batches, run.partition, rank=self.rank, tol=self.tol
            )
        alone = []
        for block, new in enumerate(now):
            with run.holding([*run.previous[:block], new, *run.previous[block + 1 :]]):
                alone.append(run.loss_over(batches) - before)
        went = dict(zip(run.partition.labels, moved, strict=True))
        steps = [went[label] for label in coupling.labels]
        bound = sum(
            float(coupling.upper[i, j]) * steps[i] * steps[j] for i in range(len(steps)) for j in range(i)
        )
        return {
            "predicted_change_loss": sum(alone),
            "actual_change_loss": after - before,
            "interplay_loss": after - before - sum(alone),
            "interplay_bound_loss": bound,
            "block_change_loss": alone,
        }
