"""The coupling map of the centre network, measured along training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.curvature.options import Searching
from blockzoo.blockwise.run.view import RunView
from blockzoo.core.arguments import check_counts
from blockzoo.core.checked import sorted_into, together

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.blockwise.curvature.keywords import SearchingKeywords


@UNITS.register("coupling", aliases=("HessianBlockInteractionMeasurement", "hessian_block_interaction"))
class Coupling:
    """Spectral norms of all blocks of the Hessian, with bounds.

    Args:
        batches, batch_size: on how much of the training data.
        searching: as of `coupling_map`; `max_products` 0 is none, the tolerance decides.
    """

    def __init__(
        self, batches: int = 1, batch_size: int = 256, **searching: Unpack[SearchingKeywords]
    ) -> None:
        check_counts(batches=batches, batch_size=batch_size)
        self.batches, self.batch_size = batches, batch_size
        searching["max_products"] = searching.get("max_products") or None
        (self._searching,) = sorted_into(searching, Searching, what="unit coupling")

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
