"""What a series of times says: median with its interval, p90, throughput, and the noise of the run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """A distribution-free interval of the median, from order statistics.

    The k-th smallest and k-th largest sample enclose the median with probability 1 - 2 P(Binomial(n, 1/2) < k);
    the largest such k is taken. None below 6 samples, where even the extremes do not reach 95 %.

    Source: Conover, Practical Nonparametric Statistics, 3.2.

    Examples:
        Of 6 samples k is 1, since 2 P(Binomial(6, 1/2) < 1) = 2/64; of 20 it is 6.

        >>> median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
        (1.0, 6.0)
        >>> median_interval(range(1, 21))
        (6, 15)
        >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
        True
    """
    ordered, n = sorted(samples), len(samples)
    tail, k = 0.0, 0
    while k < n // 2:
        tail += math.comb(n, k) / 2**n
        if 2 * tail > 1 - confidence:
            break
        k += 1
    return (ordered[k - 1], ordered[n - k]) if k else None


def p90(samples: Sequence[float]) -> float:
    """The 90th percentile: the smallest sample that at least 90 % of all do not exceed.

    Examples:
        >>> p90(range(1, 11))
        9
    """
    return sorted(samples)[max(0, math.ceil(0.9 * len(samples)) - 1)]


def throughput(samples_ms: Sequence[float], batch_size: int) -> float:
    """Images per second at the median time."""
    return 1000 * batch_size / statistics.median(samples_ms)


def paired_ratio(first: Sequence[float], second: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Median of the round-by-round ratios first / second, with its interval."""
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    return statistics.median(ratios), median_interval(ratios)


WIDE, WILD, OFF = 0.1, 0.25, 0.02
"""Half of an interval, half of the middle half of the samples (shares of the median), distance of the A/A reference from 1: the
least of each that is doubtful."""


def doubts(
    samples: Sequence[float], reference: tuple[float, tuple[float, float] | None] | None = None
) -> list[str]:
    """Why a time should not be taken as sure; nothing where it can.

    Args:
        samples: of one contender.
        reference: of the run: equal work against equal work, the median ratio and its interval.
    """
    reasons, median = [], statistics.median(samples)
    interval = median_interval(samples)
    if interval is None:
        reasons.append(f"only {len(samples)} sample{'s' * (len(samples) != 1)}")
    elif (interval[1] - interval[0]) / 2 > WIDE * median:
        reasons.append(f"interval {(interval[1] - interval[0]) / 2 / median:.0%} of the median to each side")
    if len(samples) >= 4:
        low, _, high = statistics.quantiles(samples, n=4)
        if (high - low) / 2 > WILD * median:
            reasons.append(f"wild samples, {low:.3g} to {high:.3g} ms in the middle half")
    if reference is not None and reference[1] is not None:
        ratio, low, high = reference[0], *reference[1]
        if low > 1 + OFF or high < 1 - OFF:
            reasons.append(f"A/A {ratio:.2f}")
        elif high - low > 2 * WIDE:
            reasons.append(f"A/A {low:.2f} to {high:.2f}")
    return reasons
