"""Second derivatives compared with differences of gradients entry by entry, each against the rounding errors of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

from blockzoo.blockwise.curvature.checks import PRODUCTS, seen
from blockzoo.blockwise.curvature.frozen_loss import plain_kernels
from blockzoo.blockwise.curvature.lanczos import random_unit
from blockzoo.blockwise.curvature.widening import AllDouble, computes_in_less
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.models.agreement import tensors

if TYPE_CHECKING:
    from blockzoo.blockwise.curvature.hessian import Hessian

STEPS = (1e-6, 1e-5, 1e-7, 1e-4, 1e-8)
"""Of differences, until rounding errors, and kinks, are small beside all entries."""
NOISE = 5
"""Times the second difference of gradients: what the first one may be off by rounding, or by a kink that the step crosses."""


@CHECKS.register("second-derivatives-by-entry")
def check_entries(hessian: Hessian, columns: bool) -> float | None:
    """Products with each block of the Hessian (or Gauss-Newton matrix) with differences of gradients by that block, on 4 examples
    in float64 at parameters near by, each entry by itself; for a Hessian that no map is made of, rows instead.

    Catches: what `second-derivatives` does, also in a part of the network that is small beside the rest: a residual branch that
    is scaled by 1e-5, a parameter of little influence.

    Tolerance: 1e-2 of each entry's own product, and five times the rounding error of the difference, which the second difference
    measures, with a machine epsilon of the gradient added. Entries with larger rounding errors are left to `second-derivatives`.

    Cost: for each block a product and two gradients of 4 examples, more where entries are tiny or near kinks.

    Args:
        hessian: the matrix whose products are checked.
        columns: each by itself; else their sum.

    Returns:
        The worst relative deviation; none where the network takes no float64.
    """
    for context in (nullcontext(), AllDouble()):
        try:
            with context:
                other = seen(hessian, wide=True)
                if computes_in_less(other.like.dtype, other.loss):
                    continue
                groups = [[j] for j, n in enumerate(other.sizes) if n]
                every = [j for group in groups for j in group]
                units = _units(other)
                by_group = [_worst(other, group, units) for group in (groups if columns else [every])]
        except (CheckFailed, torch.OutOfMemoryError):
            raise
        except Exception:  # whatever a network does with a type that it was not made for
            continue
        worst, where = max(by_group)
        if not worst <= PRODUCTS:
            raise CheckFailed(
                f"check 'second-derivatives-by-entry' failed: products differ from differences of gradients by {worst:.1e} "
                f"(relative; allowed {PRODUCTS:.0e}) at {where}: something there is detached, rounds, or has no right second "
                "derivative"
            )
        return worst
    return None


def _units(hessian: Hessian) -> list[float]:
    """Of the gradient by each block, what an error of one machine epsilon in it, and in the loss's gradient by the outputs, comes
    to: a difference may hide so much though it is exactly 0.
    """
    generator = torch.Generator().manual_seed(0)
    parameters = [p for block in hessian.blocks for p in block]
    with torch.enable_grad(), plain_kernels():
        outputs = [t for _, t in tensors(hessian.frozen.outputs()) if t.requires_grad]
        signs = [torch.randint(0, 2, t.shape, generator=generator).to(t) * 2 - 1 for t in outputs]
        pulled = iter(torch.autograd.grad(outputs, parameters, signs, materialize_grads=True))
    units = []
    for block, gradient in zip(hessian.blocks, hessian.gradient(), strict=True):
        whole = math.hypot(*(float(next(pulled).norm()) for _ in block)) / len(hessian.frozen)
        units.append(torch.finfo(hessian.like.dtype).eps * (whole + float(gradient.norm())))
    return units


def _worst(hessian: Hessian, group: Sequence[int], units: Sequence[float]) -> tuple[float, str]:
    """Of all rows, the worst deviation from differences along a random direction in some blocks, and where it is."""
    generator = torch.Generator().manual_seed(group[0] + 1)
    parts = {
        j: random_unit(n, hessian.like, generator) * math.sqrt(n)
        for j, n in enumerate(hessian.sizes)
        if j in group
    }
    v = torch.cat([parts.get(j, hessian.like.new_zeros(n)) for j, n in enumerate(hessian.sizes)])
    products = hessian.full(v).split(hessian.sizes)
    best = [(math.inf, 0.0)] * len(products)
    for step in STEPS:
        first, second = (d.split(hessian.sizes) for d in hessian.differences(v, step))
        for i, (product, plain, rough, unit) in enumerate(zip(products, first, second, units, strict=True)):
            size = max(float(product.norm()), float(plain.norm()), 1e-300)
            noise = NOISE * (float(rough.norm()) + unit / step) / size
            if noise < best[i][0]:
                best[i] = noise, max(0.0, float((product - plain).norm()) / size - noise)
        if all(noise <= PRODUCTS for noise, _ in best):
            break
    labels = hessian.partition.labels
    column = labels[group[0]] if len(group) == 1 else "all"
    sure = [(off, f"({labels[i]}, {column})") for i, (noise, off) in enumerate(best) if noise <= PRODUCTS]
    return max(sure, default=(0.0, ""))
