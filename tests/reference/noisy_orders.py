"""True values of two noisy orders, drawn by Metropolis steps: slow, and with nothing integrated by formula."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def metropolis(
    seen: Float[np.ndarray, "2 things"], errors: Float[np.ndarray, " 2"], random: np.random.Generator
) -> Float[np.ndarray, " draws"]:
    """Kendall's tau of true values, from the model of `blockzoo/report/agreement.py`, in standard deviations of what is seen.

    Args:
        seen: values.
        errors: standard errors of the two orders.
        random: for steps.
    """
    spread = seen.std(1, ddof=1)
    z, noise = (seen - seen.mean(1, keepdims=True)) / spread[:, None], errors / spread
    things = z.shape[1]
    # true values, two means, two logarithms of widths, and t as the sine of a free number
    state: Any = [*z.ravel().tolist(), 0.0, 0.0, math.log(0.8), math.log(0.8), 0.3]
    steps = [0.5 * noise[0]] * things + [0.5 * noise[1]] * things + [0.3, 0.3, 0.4, 0.4, 0.8]
    pairs = list(itertools.combinations(range(things), 2))

    def log_density(s: Any) -> float:
        one, other = np.array(s[:things]), np.array(s[things : 2 * things])
        first, second, a, b, free = s[2 * things :]
        widths = math.exp(a), math.exp(b)
        if not all(0.01 <= width <= 3.5 for width in widths):
            return -math.inf
        t = math.sin(free)
        r = math.sin(math.pi * t / 2)
        rest = max(1 - r * r, 1e-6)
        u, v = (one - first) / widths[0], (other - second) / widths[1]
        value = -(((z[0] - one) / noise[0]) ** 2).sum() / 2 - (((z[1] - other) / noise[1]) ** 2).sum() / 2
        value -= ((u * u - 2 * r * u * v + v * v) / (2 * rest)).sum()
        value -= things * (a + b + 0.5 * math.log(rest))
        value += (
            a + b - math.log(1 + widths[0] ** 2) - math.log(1 + widths[1] ** 2)
        )  # half Cauchy, in logarithms
        return float(value + math.log(abs(math.cos(free)) + 1e-12))  # t alike from -1 to 1

    density, taus = log_density(state), []
    for sweep in range(2000):
        for place, step in enumerate(steps):
            changed = list(state)
            changed[place] += step * random.standard_normal()
            other_density = log_density(changed)
            if math.log(random.random()) < other_density - density:
                state, density = changed, other_density
        if sweep >= 500 and sweep % 2 == 0:
            order = [(state[i] - state[j]) * (state[things + i] - state[things + j]) for i, j in pairs]
            taus.append(sum(1 if value > 0 else -1 for value in order) / len(pairs))
    return np.array(taus)
