"""What is known of an entry of a coupling map: from its columns, and after rounding errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from blockzoo.blockwise.curvature.precision import MARGIN

if TYPE_CHECKING:
    from jaxtyping import Float

ROUNDING = 16
"""Rounding error of the norm of a block that is computed whole, in machine epsilons of its Frobenius norm."""


class Known(NamedTuple):
    """What is known of an entry."""

    value: float = 0.0
    upper: float = 0.0
    residual: float = 0.0
    frobenius: float = 0.0
    converged: bool = True

    def with_error(self, error: float, tol: float, failure: float) -> Known:
        """The same where rounding errors put the entry off by a matrix whose Frobenius norm is estimated as `error`.

        Args:
            error: Frobenius norm of the rounding error, estimated.
            tol: relative to the value; above that it has not converged, and all that is known is what one direction has of it.
            failure: probability that it has less than the bound takes it to have.
        """
        if not error > tol * self.value:
            return self._replace(upper=self.upper + error)
        return self._replace(upper=self.upper + error / (MARGIN * failure), converged=False)


def norms(columns: Float[torch.Tensor, "size other"], symmetric: bool) -> Known:
    """Of a block that was computed whole, (size, size of the other), from its Gram matrix on the smaller side, in float64."""
    matrix = columns.double()
    if symmetric:
        matrix = (matrix + matrix.T) / 2
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    norm = float(torch.linalg.matrix_norm(matrix))
    # symmetric in exact arithmetic; the largest eigenvalue of a Gram matrix has the relative error of its entries
    value = math.sqrt(max(0.0, float(torch.linalg.eigvalsh(gram)[-1])))
    rounding = ROUNDING * torch.finfo(columns.dtype).eps * norm
    return Known(value, value + rounding, 0.0, max(norm, value), True)
