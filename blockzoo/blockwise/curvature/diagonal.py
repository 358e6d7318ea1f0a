"""One block's own curvature: extreme eigenvalues, trace, spectral density; and its coupling to all others together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from blockzoo.blockwise.curvature.bounds import least_component
from blockzoo.blockwise.curvature.hessian import Hessian
from blockzoo.blockwise.curvature.lanczos import GolubKahan, Lanczos, Product, random_unit
from blockzoo.blockwise.curvature.options import Searching
from blockzoo.core.errors import UsageError

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Extremes:
    """Smallest and largest eigenvalue of a block, algebraically, each with its residual, and the products it took.

    `converged`: with probability 1 - failure no eigenvalue lies further out than the tolerance allows.
    """

    smallest: float
    largest: float
    residual_smallest: float
    residual_largest: float
    products: int
    converged: bool


def extreme_eigenvalues(
    hessian: Hessian,
    block: int | None = None,
    tol: float = Searching.tol,
    most: int = 100,
    seed: int = 0,
    failure: float = Searching.failure,
) -> Extremes:
    """The two ends of a block's spectrum (of the whole Hessian for `block=None`), by Lanczos with full reorthogonalisation.

    Args:
        hessian: the Hessian, or the Gauss-Newton matrix; its count of products goes up.
        block: number of the block, from 0; None for the whole matrix.
        tol: how far beyond either end the truth may be, relative to the larger in magnitude.
        most: products at most.
        seed: of the random direction in which the process starts.
        failure: probability that it is further away though they have converged.
    """
    product, size = _of(hessian, block)
    if not size:
        return Extremes(0.0, 0.0, 0.0, 0.0, 0, True)
    process = Lanczos(product, random_unit(size, hessian.like, torch.Generator().manual_seed(seed)))
    component = least_component(size, failure)
    before, converged = hessian.products, False
    while hessian.products - before < most and not (converged or process.exhausted):
        process.step()
        converged = process.exhausted or process.ends_within(tol, component)
    return Extremes(
        process.smallest,
        process.largest,
        0.0 if process.exhausted else process.residual_smallest,
        0.0 if process.exhausted else process.residual_largest,
        hessian.products - before,
        converged,
    )


def trace(hessian: Hessian, block: int | None = None, products: int = 60, seed: int = 0) -> float:
    """The trace, by Hutch++: exact on a sketch of the range, estimated on what is left. Exact where `products` reach.

    With S and G random signs and Q an orthonormal basis of H S: tr(Q^T H Q) + tr(G^T (1 - Q Q^T) H (1 - Q Q^T) G) / columns of G.

    Source: Meyer et al., Hutch++, SOSA 2021.

    Examples:
        The Hessian is [[10, 14], [14, 20]], see `exact_hessian`.

        >>> from torch import nn
        >>> x, y = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(2, 1)
        >>> trace(Hessian(nn.Linear(2, 1, bias=False), nn.functional.mse_loss, [(x, y)], "tensor"))
        30.0
    """
    if products < 3:
        raise UsageError(f"products {products}: Hutch++ needs 3 or more")
    product, size = _of(hessian, block)
    if not size:
        return 0.0
    if size <= products:
        unit = torch.eye(size).to(hessian.like)
        return float(sum(product(unit[k])[k].double() for k in range(size)))
    third = products // 3
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (2, third, size), generator=generator).to(hessian.like) * 2 - 1
    sketch = torch.stack([product(s) for s in signs[0]], dim=1)
    basis = torch.linalg.qr(sketch)[0]
    inside = sum(
        float(basis[:, k].double() @ product(basis[:, k].contiguous()).double()) for k in range(third)
    )
    rest = signs[1] - (signs[1] @ basis) @ basis.T
    outside = sum(float(r.double() @ product(r).double()) for r in rest) / third
    return inside + outside


@dataclass(frozen=True)
class Density:
    """A spectral density as weighted points: the share of eigenvalues near each. Weights add up to 1.

    Args:
        points, weights: (N,).
    """

    points: Values
    weights: Values

    def on(self, grid: Values, width: float) -> Values:
        """(len(grid),): the density with every point spread to a normal curve of this width."""
        distance = (grid[:, None] - self.points[None]) / width
        return np.asarray((np.exp(-(distance**2) / 2) * self.weights).sum(1) / (width * np.sqrt(2 * np.pi)))


def spectral_density(
    hessian: Hessian, block: int | None = None, steps: int = 30, repeats: int = 4, seed: int = 0
) -> Density:
    """The density of eigenvalues, by Lanczos quadrature from random directions.

    Source: Ubaru, Chen and Saad, SIAM J. Matrix Anal. 2017; Ghorbani et al., ICML 2019.
    """
    if steps < 1 or repeats < 1:
        raise UsageError(f"steps {steps} and repeats {repeats}: give 1 or more of each")
    product, size = _of(hessian, block)
    if not size:
        raise UsageError(f"block {block} is frozen: it has no spectrum")
    generator = torch.Generator().manual_seed(seed)
    points, weights = [], []
    for _ in range(repeats):
        process = Lanczos(product, random_unit(size, hessian.like, generator))
        while process.steps < steps and not process.exhausted:
            process.step()
        values, vectors = torch.linalg.eigh(process.tridiagonal())
        points.append(values.numpy())
        weights.append(vectors[0].square().numpy() / repeats)
    return Density(np.concatenate(points), np.concatenate(weights))


def row_norm(
    hessian: Hessian,
    block: int,
    tol: float = Searching.tol,
    most: int | None = None,
    seed: int = 0,
    failure: float = Searching.failure,
) -> float:
    """L_i = ||H_i,-i||: how strongly a block is coupled to all others together.

    Args:
        hessian: of the network.
        block: its place in the partition.
        tol: relative error to reach.
        most: products at most; None for as many as the tolerance asks for.
        seed: of the first direction.
        failure: probability that the truth is further away.
    """
    _, size = _of(hessian, block)
    start, total = sum(hessian.sizes[:block]), sum(hessian.sizes)
    end = start + size
    if size in (0, total):
        return 0.0

    def to_others(v: torch.Tensor) -> torch.Tensor:
        column = torch.cat(hessian.column(block, v))
        return torch.cat([column[:start], column[end:]])

    def to_block(u: torch.Tensor) -> torch.Tensor:
        whole = torch.cat([u[:start], u.new_zeros(size), u[start:]])
        return hessian.full(whole)[start:end]

    first = random_unit(size, hessian.like, torch.Generator().manual_seed(seed))
    process = GolubKahan(to_others, to_block, first, (total - size, size))
    component = least_component(size, failure)
    before = hessian.products
    while most is None or hessian.products - before + process.price <= most:
        process.step()
        if process.exhausted or process.within(tol, component) or process.hopeless(tol):
            break
    return process.value


def _of(hessian: Hessian, block: int | None) -> tuple[Product, int]:
    if block is None:
        return hessian.full, sum(hessian.sizes)
    if not 0 <= block < len(hessian.sizes):
        raise UsageError(f"block {block}: this partition has blocks 0 to {len(hessian.sizes) - 1}")
    return (lambda v: hessian.pair(block, block, v)), hessian.sizes[block]
