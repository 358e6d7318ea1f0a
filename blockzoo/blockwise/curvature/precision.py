"""What rounding hides: small networks are computed in float64, and products in one precision are compared with another's."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

from blockzoo.blockwise.curvature.widening import AllDouble, computes_in_less
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import BlockzooError
from blockzoo.models.agreement import deviation

if TYPE_CHECKING:
    from jaxtyping import Float

    from blockzoo.blockwise.curvature.hessian import Hessian

SMALL = 5_000
"""Parameters up to which a network of float32 is computed in float64."""
EXAMPLES = 256
"""That precisions are compared on: so many, from first to last, or all."""
SAME = 1e-3
"""Of the outputs: how near those in float64 must be, so that it is the same network."""
FINER = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
MARGIN = 16
"""Times what is measured along one random direction: what rounding errors may be."""


def in_double(hessian: Hessian) -> Hessian:
    """The same matrix in float64, of a small network that computes all in float64 where its parameters are; else itself."""
    if hessian.like.dtype == torch.float64 or sum(hessian.sizes) > SMALL or hessian.rounded > 0:
        return hessian
    other = _in_type(hessian, torch.float64, len(hessian.frozen), same=True)
    if other is None:
        return hessian
    other.checked, other.rounded = hessian.checked, 0.0
    return other


class Rounding:
    """How far products are off: those of a network of float32 against float64; of float64, by those of float32, as much less.

    Args:
        hessian: whose products are measured.
        given: the same in another precision, where there is one.
    """

    def __init__(self, hessian: Hessian, given: Hessian) -> None:
        self._own, self._other = hessian, None if given is hessian else given
        self._sampled = False
        if hessian.rounded > 0:
            return  # it says so itself, of every product
        if self._other is None:
            count = min(EXAMPLES, len(hessian.frozen))
            self._sampled = count < len(hessian.frozen)
            fine = hessian.like.dtype == torch.float64
            self._other = _in_type(hessian, torch.float32 if fine else torch.float64, count)
            if self._sampled:
                self._own = _in_type(hessian, None, count) or hessian

    @property
    def measured(self) -> bool:
        """Whether there is something to compare with."""
        return self._other is not None

    def of_column(self, j: int, v: Float[torch.Tensor, " size"], products: list[torch.Tensor]) -> list[float]:
        """Frobenius norms of the errors of H_ij for every i, estimated from products with a random direction; 0 if nobody knows.

        Args:
            j: number of the block that `v` is a direction of.
            v: (size of j,).
            products: with it, of all examples.
        """
        if self._other is not None:
            try:
                mine = self._own.column(j, v) if self._sampled else products
                return measure_rounding(products, mine, self._other.column(j, v.to(self._other.like)), len(v))
            except (BlockzooError, RuntimeError):  # as float32 may be unable to
                self._other = None
        return [0.0 for _ in products]


@CHECKS.register("rounding")
def measure_rounding(
    products: list[torch.Tensor], mine: list[torch.Tensor], others: list[torch.Tensor], size: int
) -> list[float]:
    """Products along a random direction in each block with the same in another precision, entry by entry: float32 with float64,
    on up to 256 examples. Networks of up to 5,000 parameters are computed in float64, and their errors are estimated by those
    of float32.

    Catches: entries that rounding errors hide: of a saturated softmax, of a network that fits its data, of differences of large
    numbers, of parameters that a norm takes out again. They have not converged, and `upper` says how large they may be.

    Tolerance: `tol`, for 16 times the error along the direction; the error is added to `upper`.

    Cost: one product in the other precision for each block.

    Args:
        products: of all examples.
        mine: of those that are compared, in the precision of `products`.
        others: in the other one.
        size: of the direction, a unit vector.

    Returns:
        Frobenius norms of the errors, estimated.
    """
    errors = []
    for whole, own, other in zip(products, mine, others, strict=True):
        error = float((own.double() - other.double()).norm())
        if own.dtype == torch.float64 and other.dtype != torch.float64:
            error *= FINER
        part = float(own.double().norm())
        more = max(1.0, float(whole.double().norm()) / part) if part else 1.0
        errors.append(MARGIN * error * more * math.sqrt(size))
    return errors


def _in_type(hessian: Hessian, dtype: torch.dtype | None, count: int, same: bool = False) -> Hessian | None:
    """The same kind of matrix for some examples in another type, also where the network casts to fewer bits; none if that fails.

    Args:
        hessian: the matrix; it stays as it is.
        dtype: of the parameters of the copy; None for the one they have.
        count: how many examples.
        same: only if all is computed in that type, outputs are the same, and there are products.
    """
    for context in (nullcontext(), AllDouble()) if dtype == torch.float64 else (nullcontext(),):
        try:
            with context:
                other = hessian.in_type(dtype, count)
                if same and computes_in_less(other.like.dtype, other.loss):
                    continue
                outputs = other.frozen.outputs() if same else None
            if same and not deviation(outputs, hessian.frozen.outputs()) <= SAME:
                return None
            other.full(torch.ones(sum(other.sizes)).to(other.like))
            other.products = 0
            return other
        except torch.OutOfMemoryError:
            return None
        except Exception:  # whatever a network does with a type that it was not made for
            continue
    return None
