"""One block's own curvature: extreme eigenvalues, trace, spectral density; and its coupling to all others together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from blockzoo.blockwise.curvature.hessian import Hessian
from blockzoo.blockwise.curvature.lanczos import GolubKahan, Lanczos, Product, random_unit, relative_residual
from blockzoo.core.errors import RequestError

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Extremes:
    """Smallest and largest eigenvalue of a block, algebraically, each with its residual, and the products it took."""

    smallest: float
    largest: float
    residual_smallest: float
    residual_largest: float
    products: int


def extreme_eigenvalues(
    hessian: Hessian, block: int | None = None, tol: float = 1e-3, most: int = 100, seed: int = 0
) -> Extremes:
    """The two ends of a block's spectrum (of the whole Hessian for `block=None`), by Lanczos with full reorthogonalisation.

    Args:
        tol: residual of both ends, relative to the larger in magnitude.
        most: products at most.
    """
    product, size = _of(hessian, block)
    process = Lanczos(product, random_unit(size, hessian.like, torch.Generator().manual_seed(seed)))
    before = hessian.products
    while hessian.products - before < most and not process.exhausted:
        process.step()
        worst = max(process.residual_smallest, process.residual_largest)
        if process.steps > 2 and worst <= tol * process.value:
            break
    return Extremes(
        process.smallest,
        process.largest,
        0.0 if process.exhausted else process.residual_smallest,
        0.0 if process.exhausted else process.residual_largest,
        hessian.products - before,
    )


def trace(hessian: Hessian, block: int | None = None, products: int = 60, seed: int = 0) -> float:
    """The trace, by Hutch++: exact on a sketch of the range, estimated on what is left. Exact where `products` reach.

    Source: Meyer et al., Hutch++, SOSA 2021.
    """
    if products < 3:
        raise RequestError(f"products {products}: Hutch++ needs 3 or more")
    product, size = _of(hessian, block)
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
        raise RequestError(f"steps {steps} and repeats {repeats}: give 1 or more of each")
    product, size = _of(hessian, block)
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


def row_norm(hessian: Hessian, block: int, tol: float = 1e-3, most: int = 60, seed: int = 0) -> float:
    """L_i = ||H_i,-i||: how strongly a block is coupled to all others together."""
    sizes = hessian.sizes
    places = np.cumsum([0, *sizes])
    total, start, end = int(places[-1]), int(places[block]), int(places[block + 1])
    if total == sizes[block]:
        return 0.0

    def forward(v: torch.Tensor) -> torch.Tensor:
        whole = torch.cat([v[:start], torch.zeros(sizes[block]).to(v), v[start:]])
        return hessian.full(whole)[start:end]

    def backward(u: torch.Tensor) -> torch.Tensor:
        column = torch.cat(hessian.column(block, u))
        return torch.cat([column[:start], column[end:]])

    first = backward(random_unit(sizes[block], hessian.like, torch.Generator().manual_seed(seed)))
    length = float(first.norm())
    if length == 0:
        return 0.0
    process = GolubKahan(forward, backward, first / length, (sizes[block], total - sizes[block]))
    before = hessian.products
    while hessian.products - before + 2 <= most and relative_residual(process) > tol:
        process.step()
    return process.value


def _of(hessian: Hessian, block: int | None) -> tuple[Product, int]:
    if block is None:
        return hessian.full, sum(hessian.sizes)
    if not 0 <= block < len(hessian.sizes):
        raise RequestError(f"block {block}: this partition has blocks 0 to {len(hessian.sizes) - 1}")
    return (lambda v: hessian.pair(block, block, v)), hessian.sizes[block]
