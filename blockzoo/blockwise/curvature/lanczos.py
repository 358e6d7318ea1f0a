"""Lanczos processes with full reorthogonalisation, one step at a time, each with its own residual.

Two-sided (Golub-Kahan) for the largest singular value of a rectangular matrix known by its products with vectors, and
one-sided for the extreme eigenvalues of a symmetric one. What they report is a Ritz value: never more than the truth, and
within the residual of some true value.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Product = Callable[[torch.Tensor], torch.Tensor]
BREAKDOWN = 1e-10
"""A new direction shorter than this, relative to the largest value so far, is none: the subspace is invariant."""


class GolubKahan:
    """The largest singular value of A, from products with A and A'.

    Starting from v, step k appends u_k = A v_k and v_(k+1) = A' u_k, both made orthogonal to their predecessors. A restricted
    to these spaces is bidiagonal. A step takes two products.

    Args:
        forward, backward: v -> A v and u -> A' u.
        start: a unit vector on the side of v.
        shape: (rows, columns) of A.
    """

    def __init__(
        self, forward: Product, backward: Product, start: torch.Tensor, shape: tuple[int, int]
    ) -> None:
        self._forward, self._backward, self._shape = forward, backward, shape
        self._right, self._left = [start], []  # type: ignore[var-annotated]
        self._alphas: list[float] = []
        self._betas: list[float] = []
        self.value, self.residual, self.gap = 0.0, float("inf"), 0.0
        self.exhausted = False

    @property
    def steps(self) -> int:
        """Steps so far."""
        return len(self._alphas)

    def step(self) -> None:
        """Two products; afterwards `value` and `residual` are those of the larger space."""
        if self.exhausted:
            return
        u = self._forward(self._right[-1])
        alpha = _orthogonalised(u, self._left)
        self._alphas.append(alpha)
        if alpha <= BREAKDOWN * max(self.value, alpha, 1e-300):
            self._left.append(torch.zeros_like(u))
            self._finish(0.0)
            return
        self._left.append(u / alpha)
        v = self._backward(self._left[-1])
        beta = _orthogonalised(v, self._right)
        if beta <= BREAKDOWN * max(self.value, alpha):
            self._finish(0.0)
            return
        if (
            len(self._left) == self._shape[0]
        ):  # the whole left side: what leads on to the next v is all there is
            self._finish(beta)
            return
        self._betas.append(beta)
        self._right.append(v / beta)
        self._ritz(beta)

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The singular vectors of `value`, on the side of u and on that of v."""
        return tuple(
            sum((float(c) * b for c, b in zip(coefficients, basis, strict=False)), torch.zeros_like(basis[0]))
            for coefficients, basis in zip(self._top, (self._left, self._right), strict=True)
        )  # type: ignore[return-value]

    def _finish(self, beta: float) -> None:
        self._ritz(beta, whole=True)
        self.residual, self.exhausted = 0.0, True

    def _ritz(self, beta: float, whole: bool = False) -> None:
        k = len(self._alphas)
        bidiagonal = torch.zeros(k, k + 1, dtype=torch.float64)
        bidiagonal.diagonal().copy_(torch.tensor(self._alphas, dtype=torch.float64))
        above = [*self._betas[: k - 1], beta if whole else 0.0]
        bidiagonal.diagonal(1).copy_(torch.tensor(above, dtype=torch.float64))
        left, values, right = torch.linalg.svd(bidiagonal, full_matrices=False)
        self._top = left[:, 0], right[0]
        self.value = float(values[0])
        self.residual = beta * abs(float(left[-1, 0]))
        self.gap = float(values[0] - values[1]) if k > 1 else 0.0


class Lanczos:
    """The extreme eigenvalues of a symmetric matrix, from products with it. A step takes one product.

    Args:
        product: v -> A v.
        start: a unit vector.
    """

    def __init__(self, product: Product, start: torch.Tensor) -> None:
        self._product, self.vectors = product, [start]
        self.diagonal: list[float] = []
        self.off_diagonal: list[float] = []
        self.largest = self.smallest = self.gap = 0.0
        self.residual_largest = self.residual_smallest = float("inf")
        self.exhausted = False

    @property
    def steps(self) -> int:
        """Steps so far."""
        return len(self.diagonal)

    @property
    def value(self) -> float:
        """The spectral norm: the larger of the two extremes in magnitude."""
        return max(abs(self.largest), abs(self.smallest))

    @property
    def residual(self) -> float:
        """That of the extreme that `value` is."""
        return self.residual_largest if abs(self.largest) >= abs(self.smallest) else self.residual_smallest

    def step(self) -> None:
        """One product."""
        if self.exhausted:
            return
        v = self.vectors[-1]
        w = self._product(v)
        self.diagonal.append(float(torch.dot(v.double(), w.double())))
        beta = _orthogonalised(w, self.vectors)
        last = len(self.vectors) >= len(v) or beta <= BREAKDOWN * max(
            self.value, abs(self.diagonal[-1]), 1e-300
        )
        self._ritz(0.0 if last else beta)
        if last:
            self.exhausted = True
            return
        self.off_diagonal.append(beta)
        self.vectors.append(w / beta)

    def vector(self) -> torch.Tensor:
        """The eigenvector of `value`."""
        pairs = zip(self._top, self.vectors, strict=False)
        return sum((float(c) * b for c, b in pairs), torch.zeros_like(self.vectors[0]))

    def tridiagonal(self) -> torch.Tensor:
        """The matrix restricted to the space so far, float64."""
        k = len(self.diagonal)
        matrix = torch.diag(torch.tensor(self.diagonal, dtype=torch.float64))
        if k > 1:
            off = torch.tensor(self.off_diagonal[: k - 1], dtype=torch.float64)
            matrix.diagonal(1).copy_(off)
            matrix.diagonal(-1).copy_(off)
        return matrix

    def _ritz(self, beta: float) -> None:
        values, vectors = torch.linalg.eigh(self.tridiagonal())
        self.smallest, self.largest = float(values[0]), float(values[-1])
        self._top = vectors[:, int(values.abs().argmax())]
        magnitudes = values.abs().sort(descending=True).values
        self.gap = float(magnitudes[0] - magnitudes[1]) if len(values) > 1 else 0.0
        self.residual_smallest = beta * abs(float(vectors[-1, 0]))
        self.residual_largest = beta * abs(float(vectors[-1, -1]))


def relative_residual(process: GolubKahan | Lanczos) -> float:
    """Residual over value; 0 where the space is exhausted, infinite before the first step."""
    if process.exhausted:
        return 0.0
    return process.residual / process.value if process.value > 0 else float("inf")


def _orthogonalised(w: torch.Tensor, basis: list[torch.Tensor]) -> float:
    """Make `w` orthogonal to an orthonormal basis, in place and twice; its length afterwards."""
    if basis:
        matrix = torch.stack(basis)
        for _ in range(2):
            w -= matrix.T @ (matrix @ w)
    return float(torch.linalg.vector_norm(w.double()))


def random_unit(size: int, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A uniformly drawn direction; drawn on the processor, so that every device has the same."""
    v = torch.randn(size, generator=generator, dtype=torch.float64)
    return (v / v.norm()).to(like)
