"""Curvature compared with plainer ways on the spot: products, dense blocks, and an entry of the map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from blockzoo.blockwise.curvature.bounds import least_component
from blockzoo.blockwise.curvature.lanczos import GolubKahan, Lanczos, Product, random_unit
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed

if TYPE_CHECKING:
    from blockzoo.blockwise.curvature.hessian import Hessian

STEPS = (1e-7, 1e-8, 1e-6, 1e-9, 1e-4)
"""Of differences, one after the other until one agrees: a step may cross a kink, or be lost in rounding."""
PRODUCTS, STACKED = 1e-2, 1e-3
"""Relative differences allowed: of products from differences of gradients, of stacked columns from a plain product."""


def second_derivatives(hessian: Hessian) -> float:
    """What `check_second_derivatives` finds; NaN where there is no comparison, for the network cannot compute in float64."""
    try:
        other = hessian.elsewhere()
        generator = torch.Generator().manual_seed(1)
        size = sum(other.sizes)
        v = random_unit(size, other.like, generator) * math.sqrt(size)
        product = other.full(v)
    except Exception:  # whatever a network does that was never asked for float64
        return math.nan
    found, plain = math.inf, product
    for step in STEPS:
        differences = other.by_differences(v, step)
        if (now := _worst_block(other, product, differences)) < found:
            found, plain = now, differences
        if found <= PRODUCTS / 10:
            break
    if found > PRODUCTS and _computes_in_less(other):
        return math.nan
    return check_second_derivatives(other, product, plain)


@CHECKS.register("second-derivatives")
def check_second_derivatives(hessian: Hessian, product: torch.Tensor, differences: torch.Tensor) -> float:
    """A product with the Hessian (or Gauss-Newton matrix) along a random direction, block by block, with differences of
    gradients, on 4 examples in float64 at parameters near by.

    Catches: an operation whose backward pass cannot be differentiated and gives zeros or nonsense (own autograd functions,
    checkpoints), one that is detached or rounds, a loss that is random.

    Tolerance: 1e-2 of each block's product, floors of 1e-3 of the whole product and 1e-5 of the gradient added. Networks that
    cannot compute in float64 are not compared, and the record says NaN.

    Cost: a product and two gradients of 4 examples, each time a Hessian is made; up to ten gradients near kinks.
    """
    found = _worst_block(hessian, product, differences)
    if not found <= PRODUCTS:
        raise CheckFailed(
            f"check 'second-derivatives' failed: products differ from differences of gradients by {found:.1e} (relative; "
            f"allowed {PRODUCTS:.0e}): something in this network or loss is detached, rounds, or has no right second derivative"
        )
    return found


def _worst_block(hessian: Hessian, product: torch.Tensor, differences: torch.Tensor) -> float:
    floor = 1e-3 * float(product.norm()) + 1e-5 * float(torch.cat(hessian.gradient()).norm())
    parts = zip(product.split(hessian.sizes), differences.split(hessian.sizes), strict=True)
    return max(float((a - b).norm()) / max(float(a.norm()) + floor, 1e-300) for a, b in parts)


class _Types(TorchDispatchMode):
    """Notes the types of floating numbers that are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[torch.dtype] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = function(*args, **(kwargs or {}))
        for t in made if isinstance(made, tuple | list) else (made,):
            if isinstance(t, torch.Tensor) and t.is_floating_point():
                self.found.add(t.dtype)
        return made


def _computes_in_less(hessian: Hessian) -> bool:
    """Whether a network of float64 parameters has numbers of fewer bits inside."""
    with _Types() as seen:
        hessian.loss()
    return seen.found > {torch.float64}


@CHECKS.register("dense-blocks")
def check_dense_blocks(hessian: Hessian, j: int, columns: list[torch.Tensor], v: torch.Tensor) -> float:
    """All columns of a block, computed in stacks, summed along a random direction, with one plain product along it.

    Catches: an operation whose stacked backward pass differs from the plain one, columns in a wrong order or left out.

    Tolerance: 1e-3 of the largest product of a block row.

    Cost: one product for each block that is computed whole.

    Args:
        columns: for every i, H_ij' (size of j, size of i).
    """
    plain = hessian.column(j, v)
    most = max((float(p.double().norm()) for p in plain), default=0.0)
    found = max(float((c.T @ v - p).double().norm()) for c, p in zip(columns, plain, strict=True)) / max(
        most, 1e-300
    )
    if not found <= STACKED:
        raise CheckFailed(
            f"check 'dense-blocks' failed: the columns of {hessian.partition.labels[j]!r}, computed in stacks, differ from a "
            f"plain product by {found:.1e} (relative; allowed {STACKED:.0e})"
            "; give max_products, so that fewer blocks are computed whole"
        )
    return found


@CHECKS.register("coupling-entry")
def check_coupling_entry(
    forward: Product,
    backward: Product | None,
    vector: torch.Tensor,
    rows: int,
    sigma: float,
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
        forward, backward: products with H_ij and its transpose; no `backward` on the diagonal.
        vector: (size of j,) the right singular vector that was found.
        rows: size of i.
        sigma: what was found.
    """
    size = len(vector)
    if size == 1:
        return 0.0
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
    limit = sigma / (1 - tol)
    while True:
        process.step()
        if process.value > limit + process.rounding:
            raise CheckFailed(
                f"check 'coupling-entry' failed: an entry was said to have converged to {sigma:.6g}, and a search from another "
                f"direction finds {process.value:.6g}; try another seed, and report this"
            )
        if process.exhausted or process.hopeless(tol):
            break
        if limit > process.value and process.shows(limit, component):
            break
    return max(0.0, process.value / sigma - 1)
