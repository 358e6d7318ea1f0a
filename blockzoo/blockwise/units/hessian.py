"""The exact Hessian of the loss, for networks small enough to hold it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from blockzoo.blockwise.contracts import UNITS
from blockzoo.blockwise.run.view import RunView
from blockzoo.core.arguments import check_counts
from blockzoo.core.errors import UsageError


@UNITS.register("hessian", aliases=("Hessian_measurement", "hessian_measurement"))
class ExactHessian:
    """The Hessian itself, its spectrum, and the spectral norms of its blocks.

    Args:
        batches, batch_size: on how much of the training data.
        most: parameters above which it refuses: the matrix has their square.
    """

    def __init__(self, batches: int = 1, batch_size: int = 256, most: int = 4000) -> None:
        check_counts(batches=batches, batch_size=batch_size, most=most)
        self.batches, self.batch_size, self.most = batches, batch_size, most

    def measure(self, run: RunView) -> dict[str, Any]:
        """Without a unit: second derivatives of the loss by the parameters that are not frozen."""
        from blockzoo.blockwise.curvature.hessian import exact_hessian

        of_blocks = run.partition.parameters(run.model)
        sizes = [sum(p.numel() for p in block if p.requires_grad) for block in of_blocks]
        if sum(sizes) > self.most:
            raise UsageError(
                f"unit hessian: {sum(sizes):,} parameters, at most {self.most:,}; the unit coupling needs no matrix"
            )
        batches = run.probe(self.batches, self.batch_size)
        matrix = exact_hessian(run.model, run.criterion, batches, run.partition).double().cpu().numpy()
        edges = np.cumsum([0, *sizes])
        blocks = [slice(a, b) for a, b in itertools.pairwise(edges)]
        spectrum = np.linalg.eigvalsh(matrix)
        return {
            "hessian": matrix,
            "eigenvalues": spectrum,
            "trace": float(spectrum.sum()),
            "frobenius_norm": float(np.linalg.norm(matrix)),
            "block_spectral_norms": np.array([[_norm(matrix[a, b]) for b in blocks] for a in blocks]),
        }


def _norm(block: np.ndarray[Any, Any]) -> float:
    """The spectral norm; 0 for a block of frozen parameters."""
    return float(np.linalg.norm(block, 2)) if block.size else 0.0
