"""Means of a few values with their intervals, by Student's t; no library of numbers is loaded for them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

LEVEL = 0.05
"""Of tests; intervals leave out so much."""
ROUNDED = 1e-12
"""Of a value: spreads up to here are those of rounding."""
LEAST_SEEDS = 3
"""Seeds that an interval needs. Of two, Student's t makes 6.35 times their distance to each side: that says nothing; of three,
4.30 standard errors. A mean of fewer stands alone."""
FRACTION = (0.0, 1.0)
"""What an accuracy can be."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, with its 95 % interval where there is one: never wider than the quantity can vary.

    Args:
        mean: of the values.
        half_width: of the interval before it is cut; None where there is none.
        n: seeds.
        limits: what the quantity can be.
    """

    mean: float
    half_width: float | None
    n: int
    limits: tuple[float, float] = (-math.inf, math.inf)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Low and high, within the limits."""
        if self.half_width is None:
            return None
        least, most = min(self.limits[0], self.mean), max(self.limits[1], self.mean)
        return max(least, self.mean - self.half_width), min(most, self.mean + self.half_width)

    def text(self, digits: int = 2, scale: float = 1.0, sign: str = "") -> str:
        """ "53.85 ± 3.99"; "98.61 (95.07 to 100.00)" where the limits cut the interval; the mean alone where there is none.

        Args:
            digits: after the point.
            scale: 100 for percent of a fraction.
            sign: "+" to show the sign of the mean.
        """
        mean = f"{scale * self.mean:{sign}.{digits}f}"
        if self.interval is None or self.half_width is None:
            return mean
        low, high = self.interval
        if high - low < 1.999 * self.half_width:
            return f"{mean} ({scale * low:{sign}.{digits}f} to {scale * high:{sign}.{digits}f})"
        return f"{mean} ± {scale * self.half_width:.{digits}f}"


def estimate(values: Sequence[float], limits: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
    """Mean and 95 % interval of independent values, by Student's t with n - 1 degrees of freedom.

    There is no interval of fewer than `LEAST_SEEDS`, nor one that leaves the quantity all it can be.

    Args:
        values: one of each seed.
        limits: what the quantity can be: 0 to 1 for an accuracy.

    Examples:
        Mean ± t s / sqrt(n), here with t = 4.303 and s = 0.02.

        >>> estimate([0.58, 0.60, 0.62], (0, 1)).text(scale=100)
        '60.00 ± 4.97'
        >>> estimate([0.58, 0.62], (0, 1)).interval is None
        True
    """
    n, mean = len(values), statistics.fmean(values)
    if n < LEAST_SEEDS:
        return Estimate(mean, None, n, limits)
    half = student_t(n - 1) * deviation(values) / math.sqrt(n)
    says_nothing = mean - half <= limits[0] and mean + half >= limits[1]
    return Estimate(mean, None if says_nothing else half, n, limits)


@cache
def student_t(degrees: int) -> float:
    """The 97.5 % quantile of Student's t with a whole number of degrees of freedom.

    To load a library for it takes longer than all else that a table of ten thousand rows takes. With t = sqrt(degrees) tan(angle)
    the share within -t and t is a finite sum, which rises with the angle.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """

    def within(angle: float) -> float:
        odd, sine, cosine = degrees % 2, math.sin(angle), math.cos(angle)
        total, term = 0.0, cosine if odd else 1.0
        for power in range(1 + odd, degrees, 2):
            total += term
            term *= power / (power + 1) * cosine**2
        return 2 / math.pi * (angle + sine * total) if odd else sine * total

    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if within(middle) < 0.95 else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of two or more values, 0 where they are equal (the library's is exact, and slow)."""
    apart = [value - values[0] for value in values]
    mean = math.fsum(apart) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in apart) / (len(values) - 1))
