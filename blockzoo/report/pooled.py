"""The spread between trainings that the cells of a table have in common, for the intervals of their means.

Three seeds of a cell say little about its spread: Student's t makes 2.5 standard deviations of them to each side of their mean.
All cells of a table say it together, unless they are seen to vary differently. No library of numbers is loaded for it: a table of
a hundred thousand rows is read in seconds.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from blockzoo.report.estimates import FRACTION, LEAST_SEEDS, LEVEL, ROUNDED, Estimate, student_t

MOST_PAIRS = 1_000_000
"""Of seeds that cells have: of more, each cell has so many that its own spread is known well."""
MOST_TERMS = 10_000
"""Of a continued fraction; some dozens are needed."""
Cell = Mapping[object, float]
"""The accuracy of each seed."""


@dataclass(frozen=True)
class Pooled:
    """A spread that cells have in common.

    Args:
        deviation: standard deviation of one training, the luck of its seed included.
        degrees: of freedom of it.
    """

    deviation: float
    degrees: int

    def estimate(self, values: Sequence[float]) -> Estimate:
        """The mean of a cell with its 95 % interval; there is none of fewer than `LEAST_SEEDS` values."""
        mean, n = statistics.fmean(values), len(values)
        half = student_t(self.degrees) * self.deviation / math.sqrt(n)
        says_nothing = n < LEAST_SEEDS or (mean - half <= FRACTION[0] and mean + half >= FRACTION[1])
        return Estimate(mean, None if says_nothing else half, n, FRACTION)

    @property
    def words(self) -> str:
        """How intervals are known, as a clause."""
        return (
            f"by what all cells here have in common: {100 * self.deviation:.2f} points in each training, the luck of its seed "
            f"included, {self.degrees} degrees of freedom"
        )


def pooled(cells: Sequence[Cell]) -> Pooled | None:
    """The spread of these cells; None where there are fewer than two of two seeds, or they are seen to vary differently.

    With y = cell + seed + rest, the mean square within cells is of the variance of a seed's luck and of the rest together. As
    cells share seeds it has fewer degrees of freedom than values: with N = sum(n - 1), the equations M of the seeds' effects and
    the variances v of luck and w of the rest, those of a chi-square with the same mean and variance, N^2 (v + w)^2 / (N w^2 +
    2 N v w + v^2 |M|^2); v and w follow from the squares within cells, and of the sums over cells of each seed.

    Source: Satterthwaite, Biometrics Bulletin 2, 1946.

    Args:
        cells: comparable trainings of one network each; one that is given twice, value by value, counts once.

    Examples:
        >>> spread = pooled([{0: 0.50, 1: 0.52, 2: 0.54}, {0: 0.60, 1: 0.63, 2: 0.60}, {0: 0.70, 1: 0.69, 2: 0.71}])
        >>> round(spread.deviation, 4), spread.degrees
        (0.0163, 6)
    """
    several = list({frozenset(cell.items()): cell for cell in cells if len(cell) > 1}.values())
    sets = Counter(frozenset(cell) for cell in several)
    if len(several) < 2 or sum(len(seeds) ** 2 for seeds in sets) > MOST_PAIRS:
        return None
    apart = [_apart(cell) for cell in several]
    size = sum(len(cell) - 1 for cell in several)
    within = math.fsum(value**2 for cell in apart for value in cell.values()) / size
    largest = max(abs(value) for cell in several for value in cell.values())
    if within <= (ROUNDED * largest) ** 2 or not vary_alike([list(cell.values()) for cell in several]):
        return None
    sums: dict[object, float] = {}
    for cell in apart:
        for seed, value in cell.items():
            sums[seed] = sums.get(seed, 0.0) + value
    of_sums = math.fsum(value**2 for value in sums.values()) / size
    squares = _squared_equations(sets) / size
    luck = min(max(of_sums - within, 0.0) / (squares - 1), within) if squares > 1 + 1e-9 else 0.0
    rest = within - luck
    degrees = size * within**2 / (rest**2 + 2 * luck * rest + luck**2 * squares)
    return Pooled(math.sqrt(within), max(1, round(degrees)))


def _apart(cell: Cell) -> dict[object, float]:
    mean = statistics.fmean(cell.values())
    return {seed: value - mean for seed, value in cell.items()}


def _squared_equations(sets: Mapping[frozenset[object], int]) -> float:
    """Of the entries of M, added up: for each cell with both seeds -1/n, on the diagonal 1 - 1/n."""
    entries: dict[tuple[object, object], float] = {}
    for seeds, count in sets.items():
        share = count / len(seeds)
        for one in seeds:
            for other in seeds:
                entries[one, other] = entries.get((one, other), 0.0) - share + count * (one is other)
    return math.fsum(entry**2 for entry in entries.values())


def vary_alike(cells: Sequence[Sequence[float]]) -> bool:
    """Are the spreads of cells one, by Brown and Forsythe's test (5 %)? Cells of three values and more count, if there are three.

    Source: Brown and Forsythe, Journal of the American Statistical Association 69, 1974.
    """
    away = [
        [abs(value - middle) for value in cell]
        for cell in cells
        if len(cell) >= LEAST_SEEDS
        for middle in [statistics.median(cell)]
    ]
    if len(away) < 3:
        return True
    total = sum(map(len, away))
    mean = math.fsum(value for cell in away for value in cell) / total
    means = [statistics.fmean(cell) for cell in away]
    between = math.fsum(len(cell) * (own - mean) ** 2 for cell, own in zip(away, means, strict=True))
    within = math.fsum((value - own) ** 2 for cell, own in zip(away, means, strict=True) for value in cell)
    if within <= (ROUNDED * max(mean, ROUNDED)) ** 2:
        return between <= within
    groups, others = len(away) - 1, total - len(away)
    return beyond_f(between / groups / (within / others), groups, others) >= LEVEL


def beyond_f(value: float, above: int, below: int) -> float:
    """Probability that an F of so many degrees of freedom is larger.

    The regularised incomplete beta function of below / (below + above F), as a continued fraction.

    Source: NIST Digital Library of Mathematical Functions, 8.17.22 and 8.17.23.

    Examples:
        >>> round(beyond_f(3.0, 2, 10), 6), round(beyond_f(0.5, 29, 60), 6)
        (0.095367, 0.978208)
    """
    if value <= 0:
        return 1.0
    x, a, b = below / (below + above * value), below / 2, above / 2
    if x > (a + 1) / (a + b + 2):  # the fraction of the other side converges
        return 1.0 - _beta(1 - x, b, a)
    return _beta(x, a, b)


def _beta(x: float, a: float, b: float) -> float:
    if x <= 0:
        return 0.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    up, down = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1))
    fraction = down
    for m in range(1, MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for numerator in (even, odd):
            down = 1.0 / _not_zero(1.0 + numerator * down)
            up = _not_zero(1.0 + numerator / up)
            fraction *= down * up
        if abs(down * up - 1.0) < 1e-15:
            break
    return front * fraction / a


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
