"""Which of two searches comes nearer to the best: regrets at the end, paired by seed, tested, corrected for many pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.typeset import HIGH, KEY, LOW, TextTable, name, number
from blockzoo.nas.search.simulate import SHARES, Comparison
from blockzoo.report.estimates import LEAST_SEEDS

LEVEL = 0.05
DRAWS = 2000
"""Of the bootstrap."""


@dataclass(frozen=True)
class Pair:
    """Two algorithms.

    Args:
        algorithm, other: their names; the first has the smaller mean regret.
        difference: mean over seeds of the regret of the first minus that of the other, in points of test accuracy.
        low, high: 95 % bootstrap interval of it over seeds; None with fewer seeds than one needs.
        smaller, equal: seeds in which the first has the smaller regret, or the same.
        n: seeds.
        p: probability of signed ranks so far apart between equal algorithms (Wilcoxon); None with too few seeds.
        p_of_all: the same after Holm's correction over all pairs.
    """

    algorithm: str
    other: str
    difference: float
    low: float | None
    high: float | None
    smaller: int
    equal: int
    n: int
    p: float | None
    p_of_all: float | None = None

    @property
    def verdict(self) -> str:
        """What may be said at 5 % for all pairs together."""
        if self.p_of_all is None:
            return "too few seeds"
        return "better" if self.p_of_all < LEVEL else "open"

    def row(self) -> dict[str, Any]:
        """For a table."""
        return {**vars(self), "verdict": self.verdict}


def paired(made: Comparison) -> list[Pair]:
    """Every pair of algorithms, in the order of their mean regrets.

    The searches of one seed share the seed of the benchmark's trainings, so regrets are paired by it.

    Source: Wilcoxon, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1945 (differences of zero are ranked and then
    left out: Pratt, JASA 1959); Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics
    1979.
    """
    ordered = [row["algorithm"] for row in made.rows()]
    pairs = [_pair(made, *names) for names in combinations(ordered, 2)]
    p_values = [pair.p for pair in pairs if pair.p is not None]
    adjusted = iter(holm(p_values))
    return [pair if pair.p is None else Pair(**{**vars(pair), "p_of_all": next(adjusted)}) for pair in pairs]


def _pair(made: Comparison, algorithm: str, other: str) -> Pair:
    differences = made.curves[algorithm][:, -1] - made.curves[other][:, -1]
    low, high = interval(differences)
    return Pair(
        algorithm,
        other,
        float(differences.mean()),
        low,
        high,
        int((differences < 0).sum()),
        int((differences == 0).sum()),
        len(differences),
        signed_ranks(differences),
    )


def interval(values: npt.NDArray[np.float64], seed: int = 0) -> tuple[float, float] | tuple[None, None]:
    """A 95 % bootstrap interval of the mean of (n,) values; none with fewer than one needs."""
    if len(values) < LEAST_SEEDS:
        return None, None
    drawn = np.random.default_rng(seed).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return float(low), float(high)


def signed_ranks(differences: npt.NDArray[np.float64]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test of (n,) differences; 1 where all are zero, None with fewer than one needs.

    Examples:
        Of five differences of one sign, 2 of 32 ways to give signs are so far apart.

        >>> signed_ranks(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
        0.0625
    """
    if len(differences) < LEAST_SEEDS:
        return None
    if not differences.any():
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences, zero_method="pratt").pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Probabilities after Holm's correction: below a level where the hypothesis falls, with all of them together at that level.

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, largest = [0.0] * len(values), 0.0
    for place, which in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[which]))
        adjusted[which] = largest
    return adjusted


def paired_table(made: Comparison, pairs: Sequence[Pair]) -> TextTable:
    """As people read it."""
    lines = [
        (
            one.algorithm,
            one.other,
            f"{one.difference:+.2f}",
            "-" if one.low is None else f"{one.low:+.2f} to {one.high:+.2f}",
            f"{one.smaller} / {one.equal} / {one.n - one.smaller - one.equal}",
            _probability(one.p),
            _probability(one.p_of_all),
            one.verdict,
        )
        for one in pairs
    ]
    columns = (
        name("algorithm", KEY),
        name("against", KEY),
        number("difference", importance=KEY),
        number("95 % interval", importance=HIGH),
        number("smaller / equal / larger", importance=LOW),
        number("p"),
        number("p of all pairs", importance=HIGH),
        name("verdict", KEY),
    )
    title = f"differences of regret after {made.budget:g} {made.unit}, paired by seed; {made.heading}"
    caption = (
        "difference of mean regrets in points of test accuracy, bootstrap over seeds; Wilcoxon's signed ranks, Holm's "
        f"correction over {len(pairs)} pairs; smaller / equal / larger: seeds"
    )
    return TextTable(title, columns, lines, caption)


def regret_table(made: Comparison) -> TextTable:
    """Regret at a tenth, at half and at the end of the budget, as people read it."""
    lines = [
        (
            row["algorithm"],
            *("-" if row[share] is None else f"{row[share]:.2f}" for share in (*SHARES, "regret")),
            "-" if row["regret_low"] is None else f"{row['regret_low']:.2f} to {row['regret_high']:.2f}",
            str(row["n"]),
        )
        for row in made.rows()
    ]
    columns = (
        name("algorithm"),
        *(number(f"at {100 * share:g} %", importance=LOW) for share in SHARES.values()),
        number("at the end", importance=KEY),
        number("95 % interval", importance=KEY),
        number("n", importance=HIGH),
    )
    title = f"regret in points of test accuracy, budget {made.budget:g} {made.unit}; {made.heading}"
    return TextTable(title, columns, lines, "")


def _probability(value: float | None) -> str:
    return "-" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
