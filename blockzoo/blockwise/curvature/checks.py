"""Curvature compared with plainer ways on the spot: products, dense blocks, and an entry of the map."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from blockzoo.blockwise.curvature.bounds import least_component
from blockzoo.blockwise.curvature.lanczos import GolubKahan, Lanczos, Product, random_unit
from blockzoo.blockwise.curvature.widening import AllDouble, computes_in_less
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed, UsageError, reason_of

if TYPE_CHECKING:
    from jaxtyping import Float

    from blockzoo.blockwise.curvature.hessian import Hessian

STEPS = (1e-7, 1e-8, 1e-6, 1e-9, 1e-4)
"""Of differences, one after the other until one agrees: a step may cross a kink, or be lost in rounding."""
ROUGH_STEPS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
"""Where rounding errors are those of float32."""
PRODUCTS, ROUGH, STACKED = 1e-2, 5e-2, 1e-3
"""Relative differences allowed: of products from differences of gradients, in float64 and in float32; of stacked columns from a
plain product."""
PROBED = (4, 32)
"""Examples that products are compared on: so many, or where these show nothing more, or all."""
UNITS = 1000
"""Rounding errors of a product that is computed in another order, in machine epsilons of the largest one."""
DRAWS = 3
"""Of the place and the direction of a comparison in float32, where steps must be large and may cross kinks: two must agree."""


def second_derivatives(hessian: Hessian) -> tuple[float, float]:
    """What `check_second_derivatives` finds: in a copy of float64; where the network or its loss holds or makes numbers of fewer
    bits, with these widened as well; and where that cannot be done either, in the network's own dtype.

    Returns:
        That, and by how much (relative) a product is off because the network computes in fewer bits than its parameters have.

    Raises:
        CheckFailed: as `check_second_derivatives`; or no way to compare.
    """
    reasons = []
    for way in (_in_double, _in_double_throughout, _in_own_dtype):
        try:
            if (deviations := way(hessian)) is not None:
                return deviations
        except (CheckFailed, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a network does that was never asked for this
            reasons.append(reason_of(error))
    raise CheckFailed(
        f"check 'second-derivatives' could not be made: {reasons[-1]} (and in float64: {reasons[0]}). "
        "Without it nothing is known of this map; give a network and a loss that compute in float64, or that have finite second "
        "derivatives near their parameters"
    )


def _in_double(hessian: Hessian) -> tuple[float, float] | None:
    """Nothing where the network computes in fewer bits inside and they do not agree: rounding may be why."""
    other = seen(hessian, wide=True)
    product, plain = _compared(other, STEPS, PRODUCTS)
    if _worst_block(other, product, plain) > PRODUCTS and computes_in_less(other.like.dtype, other.loss):
        return None
    return check_second_derivatives(other, product, plain), _rounded(hessian, other, product)


def _in_double_throughout(hessian: Hessian) -> tuple[float, float]:
    with AllDouble():
        other = seen(hessian, wide=True)
        product, plain = _compared(other, STEPS, PRODUCTS)
        worst = check_second_derivatives(other, product, plain)
    return worst, _rounded(hessian, other, product)


def _rounded(hessian: Hessian, other: Hessian, product: torch.Tensor) -> float:
    """Of a network that computes in fewer bits than its parameters have: its own product against the one in float64."""
    own = hessian.elsewhere(len(other.frozen), wide=False)
    if not computes_in_less(own.like.dtype, own.loss):
        return 0.0
    return check_second_derivatives(other, own.full(_direction(own)).to(product), product)


def _in_own_dtype(hessian: Hessian) -> tuple[float, float]:
    draws = []
    for draw in range(DRAWS):
        other = seen(hessian, wide=False, draw=draw)
        product, plain = _compared(other, ROUGH_STEPS, ROUGH, draw)
        draws.append((_worst_block(other, product, plain), other, product, plain))
    _, other, product, plain = sorted(draws, key=lambda one: one[0])[1]
    return check_second_derivatives(other, product, plain, ROUGH), 0.0


def seen(hessian: Hessian, wide: bool, draw: int = 0) -> Hessian:
    """The matrix for the fewest examples on which every block has a finite gradient that is not 0; else for all."""
    for count in PROBED:
        if count >= len(hessian.frozen):
            break
        try:
            other = hessian.elsewhere(count, wide, draw)
        except UsageError:  # of examples that are all left out of the loss, a gradient is not finite
            continue
        if all(bool(g.any()) for g in other.gradient() if len(g)):
            return other
    return hessian.elsewhere(len(hessian.frozen), wide, draw)


def _direction(hessian: Hessian, draw: int = 0) -> torch.Tensor:
    """As many numbers as there are parameters, about 1 each."""
    size = sum(hessian.sizes)
    return random_unit(size, hessian.like, torch.Generator().manual_seed(draw + 1)) * math.sqrt(size)


def _compared(
    hessian: Hessian, steps: Sequence[float], allowed: float, draw: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """A product along a random direction, and of the differences of gradients those that are nearest to it."""
    v = _direction(hessian, draw)
    product = hessian.full(v)
    least, plain = math.inf, product
    for step in steps:
        differences = hessian.by_differences(v, step)
        now = _worst_block(hessian, product, differences)
        if now < least or not math.isfinite(least):
            least, plain = now, differences
        if least <= allowed / 10:
            break
    return product, plain


@CHECKS.register("second-derivatives")
def check_second_derivatives(
    hessian: Hessian,
    product: Float[torch.Tensor, " parameters"],
    differences: Float[torch.Tensor, " parameters"],
    allowed: float = PRODUCTS,
) -> float:
    """A product with the Hessian (or Gauss-Newton matrix) along a random direction, block by block, with differences of
    gradients, on 4 examples (more, where these leave a block out) in float64 at parameters near by.

    Catches: an operation whose backward pass cannot be differentiated and gives zeros or nonsense (own autograd functions,
    checkpoints), one that is detached or rounds, a loss that is random, a network that computes in too few bits.

    Tolerance: 1e-2 of each block's product, floors of 1e-3 of the whole product and 1e-5 of the gradient added. What is cast to
    fewer bits inside is widened for the comparison, and its own product compared with the wide one; a network or loss that takes
    no float64 at all is compared in its own dtype, to 5e-2. Where nothing can be compared, the map is refused.

    Cost: a product and two gradients of 4 examples, each time a Hessian is made; up to ten gradients near kinks.
    """
    worst = _worst_block(hessian, product, differences)
    if not worst <= allowed:
        raise CheckFailed(
            f"check 'second-derivatives' failed: products differ from differences of gradients by {worst:.1e} (relative; "
            f"allowed {allowed:.0e}): something in this network or loss is detached, rounds, or has no right second derivative"
            + (
                ", or kinks (ReLUs) hide it from float32: give one that computes in float64"
                if allowed == ROUGH
                else ""
            )
        )
    return worst


def _worst_block(hessian: Hessian, product: torch.Tensor, differences: torch.Tensor) -> float:
    floor = 1e-3 * float(product.norm()) + 1e-5 * float(torch.cat(hessian.gradient()).norm())
    parts = list(zip(product.split(hessian.sizes), differences.split(hessian.sizes), strict=True))
    deviations = [float((a - b).norm()) / max(float(a.norm()) + floor, 1e-300) for a, b in parts]
    return math.nan if any(map(math.isnan, deviations)) else max(deviations)


@CHECKS.register("dense-blocks")
def check_dense_blocks(
    hessian: Hessian,
    j: int,
    columns: list[Float[torch.Tensor, "size_j size_i"]],
    v: Float[torch.Tensor, " size_j"],
    plain: list[Float[torch.Tensor, " size_i"]],
    errors: Sequence[float],
) -> float:
    """All columns of a block, computed in stacks, summed along a random direction, with one plain product along it, entry by
    entry.

    Catches: an operation whose stacked backward pass differs from the plain one, columns in a wrong order or left out.

    Tolerance: 1e-3 of each entry's product, with rounding errors (those that were measured, and 1,000 machine epsilons of the
    largest product) added; in networks that compute in fewer bits inside, three times what their products are off.

    Cost: one product for each block that is computed whole.

    Args:
        hessian: whose columns were computed; it names block j, and says how far its products are off by rounding.
        j: number of the block whose columns they are.
        columns: for every i, H_ij' (size of j, size of i).
        v: a unit vector.
        plain: H_ij v for every i.
        errors: by how much rounding errors put H_ij off, Frobenius norms.
    """
    lengths = [float(p.double().norm()) for p in plain]
    least = UNITS * torch.finfo(v.dtype).eps * max(lengths, default=0.0) / STACKED
    worst = 0.0
    for c, p, length, error in zip(columns, plain, lengths, errors, strict=True):
        off = float((c.T @ v - p).double().norm()) - error / math.sqrt(len(v))
        worst = max(worst, off / max(length + least, 1e-300))
    allowed = max(STACKED, 3 * hessian.rounded)
    if not worst <= allowed:
        raise CheckFailed(
            f"check 'dense-blocks' failed: the columns of {hessian.partition.labels[j]!r}, computed in stacks, differ from a "
            f"plain product by {worst:.1e} (relative; allowed {allowed:.0e}): an operation that cannot be stacked, or rounding "
            "errors; give a network that computes in float64"
        )
    return worst


@dataclass(frozen=True)
class ConvergedEntry:
    """An entry (i, j) of the map that is said to have converged.

    Args:
        place: (i, j).
        vector: (size of j,) the right singular vector that was found.
        sigma: the singular value.
    """

    place: tuple[int, int]
    vector: torch.Tensor
    sigma: float


class Sample:
    """One of the entries that are offered, each with the same chance; the others are not even made."""

    def __init__(self, seed: int) -> None:
        self._chance, self._offered = random.Random(seed), 0
        self.kept: ConvergedEntry | None = None

    def offer(self, entry: Callable[[], ConvergedEntry]) -> None:
        """Keep it instead of the one before, by chance."""
        self._offered += 1
        if self._chance.random() * self._offered < 1:
            self.kept = entry()


@CHECKS.register("coupling-entry")
def check_coupling_entry(
    forward: Product,
    backward: Product | None,
    entry: ConvergedEntry,
    rows: int,
    tol: float,
    failure: float,
    generator: torch.Generator,
) -> float:
    """One converged entry of the map, drawn by chance, with a second search from a fresh random direction orthogonal to the
    singular vector that was found.

    Catches: an iteration that settles on the second singular value, one that ends too early, directions that are not random.

    Tolerance: `tol`, the relative error that was asked for, with the failure probability that was asked for.

    Cost: about that of one entry, 2 (k - 1) products for k steps.

    Args:
        forward: v -> H_ij v.
        backward: u -> H_ij' u; None on the diagonal, where the block is symmetric.
        entry: what was found.
        rows: size of i.
        tol: relative error that was asked for.
        failure: probability, at most, that the second search misses a larger singular value.
        generator: draws the direction in which the second search starts.

    Raises:
        CheckFailed: it is more than that.
        Undecided: rounding errors are more than the tolerance; the entry has not converged then.
    """
    vector, sigma = entry.vector, entry.sigma
    size = len(vector)
    limit = sigma / (1 - tol)
    if size == 1:  # there is no other direction: what was found is the norm of the only column, or it is not
        only = float(forward(torch.ones_like(vector)).double().norm())
        if only > limit:
            raise _another(sigma, only)
        return max(0.0, only / sigma - 1)
    vector = vector / vector.norm()

    def aside(v: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            v = v - vector * (vector @ v)
        return v

    start = aside(random_unit(size, vector, generator))
    start = start / start.norm()
    process: GolubKahan | Lanczos
    if backward is None:
        process = Lanczos(lambda v: aside(forward(v)), start)
    else:
        process = GolubKahan(forward, lambda u: aside(backward(u)), start, (rows, size))
    component = least_component(size - 1, failure)
    while True:
        process.step()
        if process.value > limit + process.rounding:
            raise _another(sigma, process.value)
        if process.exhausted or (limit > process.value and process.shows(limit, component)):
            return max(0.0, process.value / sigma - 1)
        if process.steps > 2 and process.rounding > tol * sigma:
            raise Undecided


class Undecided(Exception):
    """Rounding errors hide whether an entry has converged."""


def _another(sigma: float, value: float) -> CheckFailed:
    return CheckFailed(
        f"check 'coupling-entry' failed: an entry was said to have converged to {sigma:.6g}, and a search from another "
        f"direction finds {value:.6g}; try another seed, and report this"
    )
