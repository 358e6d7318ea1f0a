"""The coupling map of the centre network, measured along training."""

from __future__ import annotations

from typing import Any

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.curvature.options import Searching
from blockzoo.blockwise.run.view import RunView
from blockzoo.core.arguments import check_counts
from blockzoo.core.checked import together


@UNITS.register("coupling", aliases=("HessianBlockInteractionMeasurement", "hessian_block_interaction"))
class Coupling:
    """Spectral norms of all blocks of the Hessian, with bounds.

    Args:
        batches, batch_size: on how much of the training data.
        rank, tol, seed, matrix, failure: see `coupling_map`.
        max_products: budget; 0 for none: the tolerance decides.
    """

    def __init__(
        self,
        batches: int = 1,
        batch_size: int = 256,
        rank: int = 2,
        tol: float = 1e-3,
        seed: int = 0,
        matrix: str = "hessian",
        max_products: int = 0,
        failure: float = 1e-4,
    ) -> None:
        check_counts(batches=batches, batch_size=batch_size)
        self.batches, self.batch_size = batches, batch_size
        how: Any = {"rank": rank, "tol": tol, "seed": seed, "matrix": matrix, "failure": failure}
        self._searching = Searching(**how, max_products=max_products or None)

    def measure(self, run: RunView) -> dict[str, Any]:
        """Second derivatives of the loss, (B, B)."""
        from blockzoo.blockwise.curvature.coupling import coupling_map

        coupling = coupling_map(
            run.model,
            run.criterion,
            run.probe(self.batches, self.batch_size),
            run.partition,
            **together(self._searching),
        )
        for check, deviation in coupling.checked.items():
            run.record_check(check, deviation)
        return {
            "sigma": coupling.sigma,
            "lower_bound": coupling.lower_bound,
            "upper": coupling.upper,
            "converged": coupling.converged,
            "frobenius": coupling.frobenius,
            "residual": coupling.residual,
            "products": coupling.products,
            "labels": list(coupling.labels),
        }
