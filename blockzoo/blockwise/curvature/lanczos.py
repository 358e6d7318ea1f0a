"""Lanczos processes with full reorthogonalisation, one step at a time, each with bounds on both sides.

Two-sided (Golub-Kahan) for the largest singular value of a rectangular matrix known by its products with vectors, and
one-sided for the extreme eigenvalues of a symmetric one. `value` is a Ritz value: never more than the truth, and within
`residual` of some true value - which may be the second one. `upper` is what the first one may be, by `bounds`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from blockzoo.blockwise.curvature.basis import Basis
from blockzoo.blockwise.curvature.bounds import bidiagonal_shows, least_impossible, tridiagonal_shows

if TYPE_CHECKING:
    from jaxtyping import Float


Product = Callable[[torch.Tensor], torch.Tensor]
BREAKDOWN = 1e-10
"""A new direction shorter than this, relative to the largest value so far, is none: the subspace is invariant."""


class Process(ABC):
    """What both have in common."""

    def __init__(self, start: Float[torch.Tensor, " size"]) -> None:
        self._unit = 8 * torch.finfo(start.dtype).eps
        self.exhausted = False
        self.noise = 0.0
        """By how much, at most, products have missed what symmetry says that they are: their rounding errors."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Steps so far."""

    @property
    @abstractmethod
    def price(self) -> int:
        """Products that the next step takes."""

    @property
    @abstractmethod
    def value(self) -> float:
        """The spectral norm, from below."""

    @property
    @abstractmethod
    def residual(self) -> float:
        """Some true value lies within this of `value`: infinite before the first step, 0 where the space is all there is."""

    @abstractmethod
    def step(self) -> None:
        """Make the space larger; nothing where it cannot be."""

    @abstractmethod
    def shows(self, sigma: float, component: float) -> bool:
        """Whether a spectral norm of `sigma`, more than `value`, would have shown itself, were the start's component so large."""

    @abstractmethod
    def frobenius(self) -> float:
        """An estimate of the Frobenius norm."""

    @abstractmethod
    def vector(self) -> Float[torch.Tensor, " size"]:
        """The singular vector of `value`, on the side of the start."""

    @property
    def rounding(self) -> float:
        """What rounding errors can add to a bound."""
        return 2 * self.noise * math.sqrt(max(1, self.steps)) + self._unit * self.value

    def upper(self, component: float) -> float:
        """What the spectral norm is at most, if the start's component along its singular vector is at least so large."""
        if self.exhausted:
            return self.value + self.rounding
        if not self.steps:
            return math.inf
        return least_impossible(lambda sigma: self.shows(sigma, component), self.value) + self.rounding

    def within(self, tol: float, component: float) -> bool:
        """Whether `value` is at least (1 - tol) `upper(component)`."""
        if self.exhausted:
            return self.rounding <= tol * self.value
        most = self.value / (1 - tol) - self.rounding
        return self.steps > 0 and most > self.value and self.shows(most, component)

    def hopeless(self, tol: float) -> bool:
        """Whether rounding errors keep the bounds further apart than this: more steps would not help."""
        return self.steps > 2 and self.rounding > tol * self.value


class GolubKahan(Process):
    """The largest singular value of A, from products with A and A'.

    Starting from v, step k appends u_k = A v_k and v_(k+1) = A' u_k, both made orthogonal to their predecessors. A restricted
    to these spaces is bidiagonal.

    Args:
        forward, backward: v -> A v and u -> A' u.
        start: a unit vector on the side of v.
        shape: (rows, columns) of A.
        first: A times the start, where it is known.
    """

    def __init__(
        self,
        forward: Product,
        backward: Product,
        start: Float[torch.Tensor, " size"],
        shape: tuple[int, int],
        first: Float[torch.Tensor, " rows"] | None = None,
    ) -> None:
        super().__init__(start)
        self._forward, self._backward, self._shape, self._first = forward, backward, shape, first
        self._right, self._left = Basis(start), Basis(start.new_zeros(shape[0]), empty=True)
        self._alphas: list[float] = []
        self._betas: list[float] = []
        self._value = 0.0

    @property
    def steps(self) -> int:
        """Steps so far."""
        return len(self._alphas)

    @property
    def price(self) -> int:
        """See `Process`."""
        return 2 if self._first is None else 1

    @property
    def value(self) -> float:
        """The largest singular value, from below."""
        return self._value

    def step(self) -> None:
        """Two products, or one where the first was known."""
        if self.exhausted:
            return
        u = self._forward(self._right[-1]) if self._first is None else self._first.clone()
        self._first = None
        if self._left:
            self.noise = max(self.noise, abs(_inner(u, self._left[-1]) - self._betas[-1]))
        alpha = self._left.orthogonalise(u)
        if alpha <= BREAKDOWN * max(self._value, alpha, 1e-300):
            self._finish()  # all of A that the right side reaches is in the left one
            return
        self._alphas.append(alpha)
        self._left.append(u / alpha)
        v = self._backward(self._left[-1])
        self.noise = max(self.noise, abs(_inner(v, self._right[-1]) - alpha))
        beta = self._right.orthogonalise(v)
        if len(self._right) == self._shape[1] or beta <= BREAKDOWN * max(self._value, alpha):
            self._finish()
            return
        self._betas.append(beta)
        self._right.append(v / beta)
        if len(self._left) == self._shape[0]:  # the whole left side: A' on it is all there is
            self._finish()
            return
        self._ritz()

    def shows(self, sigma: float, component: float) -> bool:
        """See `Process`."""
        return bidiagonal_shows(sigma, self._alphas, self._betas, component)

    def frobenius(self) -> float:
        """Of A on the spaces so far: at most that of A."""
        return math.hypot(*self._alphas, *self._betas)

    def vector(self) -> Float[torch.Tensor, " size"]:
        """The right singular vector of `value`."""
        top = np.linalg.svd(self._bidiagonal())[2][0] if self._alphas else np.ones(1)
        return self._right.combined(torch.from_numpy(top))

    @property
    def residual(self) -> float:
        """See `Process`: that of the Ritz value on equal spaces, and what `value` is more than it."""
        if self.exhausted or not self._alphas:
            return 0.0 if self.exhausted else math.inf
        left, values, _ = np.linalg.svd(self._bidiagonal()[:, :-1])
        return self._betas[-1] * abs(float(left[-1, 0])) + self._value - float(values[0])

    def _finish(self) -> None:
        self._ritz()
        self.exhausted = True

    def _ritz(self) -> None:
        if self._alphas:
            self._value = float(np.linalg.svd(self._bidiagonal(), compute_uv=False)[0])

    def _bidiagonal(self) -> npt.NDArray[np.float64]:
        """A' on the left space, whose image is in the right one: (k, k + 1), or (k, k) where that is all."""
        k = len(self._alphas)
        matrix = np.zeros((k, len(self._right)))
        matrix[range(k), range(k)] = self._alphas
        above = range(len(self._betas))
        matrix[above, range(1, len(above) + 1)] = self._betas
        return matrix


class Lanczos(Process):
    """The extreme eigenvalues of a symmetric matrix, from products with it.

    Args:
        product: v -> A v.
        start: a unit vector.
        first: A times the start, where it is known.
    """

    def __init__(
        self,
        product: Product,
        start: Float[torch.Tensor, " size"],
        first: Float[torch.Tensor, " size"] | None = None,
    ) -> None:
        super().__init__(start)
        self._product, self._first, self.vectors = product, first, Basis(start)
        self.diagonal: list[float] = []
        self.off_diagonal: list[float] = []
        self.largest = self.smallest = 0.0
        self.residual_largest = self.residual_smallest = math.inf

    @property
    def steps(self) -> int:
        """Steps so far."""
        return len(self.diagonal)

    @property
    def price(self) -> int:
        """See `Process`."""
        return 1 if self._first is None else 0

    @property
    def residual(self) -> float:
        """See `Process`: that of the extreme that `value` is."""
        if self.exhausted:
            return 0.0
        return self.residual_largest if abs(self.largest) >= abs(self.smallest) else self.residual_smallest

    @property
    def value(self) -> float:
        """The spectral norm: the larger of the two extremes in magnitude."""
        return max(abs(self.largest), abs(self.smallest))

    def step(self) -> None:
        """One product, or none where `first` was known."""
        if self.exhausted:
            return
        v = self.vectors[-1]
        w = self._product(v) if self._first is None else self._first.clone()
        self._first = None
        if self.off_diagonal:
            self.noise = max(self.noise, abs(_inner(w, self.vectors[-2]) - self.off_diagonal[-1]))
        self.diagonal.append(_inner(v, w))
        beta = self.vectors.orthogonalise(w)
        last = len(self.vectors) >= len(v) or beta <= BREAKDOWN * max(
            self.value, abs(self.diagonal[-1]), 1e-300
        )
        self._ritz(0.0 if last else beta)
        if last:
            self.exhausted = True
            return
        self.off_diagonal.append(beta)
        self.vectors.append(w / beta)

    def shows(self, sigma: float, component: float) -> bool:
        """See `Process`: at both ends."""
        return all(
            tridiagonal_shows(end, self.diagonal, self.off_diagonal, component) for end in (sigma, -sigma)
        )

    def ends_within(self, tol: float, component: float) -> bool:
        """Whether an eigenvalue beyond either end by more than `tol` times the spectral norm would have shown itself."""
        reach = tol * self.value - self.rounding
        return reach > 0 and all(
            tridiagonal_shows(end, self.diagonal, self.off_diagonal, component)
            for end in (self.largest + reach, self.smallest - reach)
        )

    def frobenius(self) -> float:
        """Of A on the space so far: at most that of A."""
        return math.hypot(*self.diagonal, *(math.sqrt(2) * b for b in self.off_diagonal))

    def vector(self) -> Float[torch.Tensor, " size"]:
        """The eigenvector of `value`."""
        return self.vectors.combined(self._top)

    def tridiagonal(self) -> Float[torch.Tensor, "steps steps"]:
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
        self.residual_smallest = beta * abs(float(vectors[-1, 0]))
        self.residual_largest = beta * abs(float(vectors[-1, -1]))


def _inner(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.dot(a.double(), b.double()))


def random_unit(size: int, like: torch.Tensor, generator: torch.Generator) -> Float[torch.Tensor, " size"]:
    """A uniformly drawn direction; drawn on the processor, so that every device has the same."""
    v = torch.randn(size, generator=generator, dtype=torch.float64)
    unit: torch.Tensor = v / v.norm()
    return unit.to(like)
