"""How large a matrix may still be, given a Krylov process that started in a random direction.

A direction drawn uniformly from the unit sphere of n dimensions is within `c` of orthogonal to a given vector (the singular
vector that is looked for) with probability at most c sqrt(2 n / pi). If it is not, that vector has a component in every later
direction of the process, known up to its size: a polynomial of the singular value, from the recurrence's own coefficients. All
directions are orthonormal, so these components cannot exceed 1 together; a singular value for which they would is impossible.
Above the largest Ritz value the polynomials grow fast: the bound closes within a few steps of convergence, and needs no gap.

Sources: Kuczynski and Wozniakowski, SIAM J. Matrix Anal. 13 (1992), of what a random start is worth; van Dorsselaer,
Hochstenbach and van der Vorst, SIAM J. Matrix Anal. 22 (2000), and Hochstenbach, J. Sci. Comput. 57 (2013), of this bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

BISECTIONS = 40
"""Of an interval whose upper end is at most twice the lower one: a relative width of 2^-40, about 1e-12, is left."""


def least_component(size: int, failure: float) -> float:
    """What |<v, s>| is at least, with probability 1 - failure, for a unit vector v and a random direction s of `size` numbers."""
    return 1.0 if size == 1 else failure * math.sqrt(math.pi / (2 * size))


def bidiagonal_shows(sigma: float, alphas: Sequence[float], betas: Sequence[float], component: float) -> bool:
    """Whether a singular value of `sigma` or more would have shown itself in a Golub-Kahan process.

    Args:
        sigma: more than the largest Ritz value.
        alphas: the diagonal of its bidiagonal matrix; none is 0.
        betas: the coefficients beside the diagonal, as many as `alphas` or one fewer; none is 0.
        component: of the start along the right singular vector, at least.
    """
    most = 1 / component**2
    right, left, before = 1.0, 0.0, 0.0
    rights, lefts = 1.0, 0.0
    for k, alpha in enumerate(alphas):
        left = (sigma * right - before * left) / alpha
        lefts += left * left
        if k < len(betas):
            before = betas[k]
            right = (sigma * left - alpha * right) / before
            rights += right * right
        if max(rights, lefts) > most:
            return True
    return False


def tridiagonal_shows(
    eigenvalue: float, diagonal: Sequence[float], off_diagonal: Sequence[float], component: float
) -> bool:
    """Whether this eigenvalue, or one further out, would have shown itself in a Lanczos process; see `bidiagonal_shows`."""
    most = 1 / component**2
    earlier, now, before, squares = 0.0, 1.0, 0.0, 1.0
    for a, b in zip(diagonal, off_diagonal, strict=False):
        earlier, now = now, ((eigenvalue - a) * now - before * earlier) / b
        before = b
        squares += now * now
        if squares > most:
            return True
    return False


def least_impossible(shows: Callable[[float], bool], above: float) -> float:
    """The smallest value above `above` that would have shown itself, from above; infinite where even huge ones would not."""
    if above <= 0:
        return 0.0
    low, high = above, 2 * above
    while not shows(high):
        low, high = high, 2 * high
        if high > 1e12 * above:
            return math.inf
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high
