"""The spread that cells have in common: against scipy, against fits, and on simulated tables whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from blockzoo.report.additive import Table, fitted_to
from blockzoo.report.estimates import student_t
from blockzoo.report.pooled import Pooled, beyond_f, pooled, vary_alike
from blockzoo.report.summaries import average_positions, summarise
from blockzoo.report.tables import results_table

Cells = list[dict[object, float]]


def cells_of(draw: np.random.Generator, count: int, seeds: int, luck: float, rest: float = 0.01) -> Cells:
    of_seeds = draw.normal(0, luck, seeds) if luck else np.zeros(seeds)
    return [{s: float(0.5 + of_seeds[s] + draw.normal(0, rest)) for s in range(seeds)} for _ in range(count)]


def test_probabilities_of_f_are_scipys() -> None:
    draw = np.random.default_rng(0)
    for _ in range(500):
        above, below = int(draw.integers(1, 500)), int(draw.integers(1, 2000))
        value = float(draw.exponential(2))
        assert beyond_f(value, above, below) == pytest.approx(stats.f.sf(value, above, below), abs=1e-11)
    assert beyond_f(0.0, 3, 4) == 1.0 and beyond_f(1e9, 2, 60) < 1e-12


def test_spreads_are_compared_as_scipy_does() -> None:
    draw, said = np.random.default_rng(1), set()
    for _ in range(200):
        cells = [
            list(draw.normal(0.5, 0.01 * (1 + 2 * draw.random()), int(draw.integers(3, 8)))) for _ in range(6)
        ]
        expected = bool(stats.levene(*cells, center="median").pvalue >= 0.05)
        assert vary_alike(cells) == expected
        said.add(expected)
    assert said == {True, False}
    assert vary_alike([[0.5, 0.6]] * 9), "of two values each nothing is seen"


def test_a_whole_table_by_its_mean_squares() -> None:
    """Source: the expected mean squares of a two-way table; Satterthwaite's degrees of freedom of their sum."""
    cells = cells_of(np.random.default_rng(2), 8, 4, luck=0.02)
    y = np.array([[*cell.values()] for cell in cells])
    of_seeds = len(y) * ((y.mean(0) - y.mean()) ** 2).sum() / 3
    left = y - y.mean(1, keepdims=True) - y.mean(0) + y.mean()
    rest = (left**2).sum() / (7 * 3)
    fitted = fitted_to(Table({(f"B{n}", "mid"): cell for n, cell in enumerate(cells)}))
    assert fitted.deviation == pytest.approx(math.sqrt(rest))
    spread = pooled(cells)
    assert spread is not None
    variance = of_seeds / 8 + 7 * rest / 8
    assert spread.deviation == pytest.approx(math.sqrt(variance))
    degrees = variance**2 / ((of_seeds / 8) ** 2 / 3 + (7 * rest / 8) ** 2 / (7 * 3))
    assert spread.degrees == pytest.approx(degrees, abs=0.6)


@pytest.mark.parametrize(("luck", "lost"), [(0.0, 0), (0.01, 0), (0.01, 8), (0.0, 8)])
def test_intervals_of_means_hold_the_truth(luck: float, lost: int) -> None:
    """In 95 % of 600 tables of 20 cells x 4 seeds; 2.5 to 7.7 % misses are what chance makes of 5 in 499 of 500 such tests."""
    draw, missed = np.random.default_rng(3), 0
    for _ in range(600):
        cells = cells_of(draw, 20, 4, luck)
        for number in draw.choice(np.arange(1, 20), lost, replace=False):
            del cells[number][int(draw.integers(4))]
        spread = pooled(cells) or Pooled(math.nan, 1)
        estimate = spread.estimate([*cells[0].values()])
        low, high = estimate.interval or (math.nan, math.nan)
        missed += not low <= 0.5 <= high if not math.isnan(low) else 0
    assert 0.025 * 600 <= missed <= 0.077 * 600, missed


def test_it_is_refused_where_cells_vary_differently_or_say_nothing() -> None:
    draw = np.random.default_rng(4)
    wild = cells_of(draw, 6, 8, 0.0)
    wild[0] = {s: 0.5 + 20 * (value - 0.5) for s, value in wild[0].items()}
    assert pooled(wild) is None
    assert pooled(cells_of(draw, 1, 5, 0.0)) is None and pooled([]) is None
    assert pooled([{0: 0.5, 1: 0.5}, {0: 0.6, 1: 0.6}]) is None, "nothing varies"
    assert pooled([{0: 0.5}, {0: 0.6}, {1: 0.7}]) is None, "one seed each"
    assert pooled(cells_of(draw, 2, 1100, 0.0)) is None, "so many seeds know their own spread"


def test_one_network_that_stands_twice_counts_once() -> None:
    cells = cells_of(np.random.default_rng(5), 4, 3, 0.0)
    assert pooled([*cells, cells[0], cells[0]]) == pooled(cells)


def test_two_seeds_have_no_interval_and_none_is_wider_than_an_accuracy() -> None:
    spread = Pooled(0.01, 20)
    assert spread.estimate([0.5, 0.6]).interval is None
    assert Pooled(1.0, 3).estimate([0.5, 0.6, 0.4]).interval is None
    estimate = spread.estimate([0.99, 1.0, 0.995])
    assert estimate.interval is not None and estimate.interval[1] == 1.0
    assert estimate.half_width == pytest.approx(student_t(20) * 0.01 / math.sqrt(3))


def rows_of(cells: Cells, position: str = "mid") -> list[dict[str, object]]:
    return [
        {"block": f"B{number}", "position": position, "seed": seed, "status": "ok", "test_acc": value}
        for number, cell in enumerate(cells)
        for seed, value in cell.items()
    ]


def test_a_table_of_results_says_by_what_its_intervals_are() -> None:
    cells = cells_of(np.random.default_rng(6), 8, 3, 0.0)
    spread = pooled(cells)
    assert spread is not None
    (table,) = results_table(rows_of(cells))
    half = 100 * student_t(spread.degrees) * spread.deviation / math.sqrt(3)
    assert all(f"± {half:.2f}" in line[2] for line in table.lines)
    assert spread.words in table.caption
    cells[0] = {seed: 0.5 + 300 * (value - 0.5) for seed, value in cells[0].items()}
    cells = [{**cell, **{s + 3: v + 0.001 * s for s, v in enumerate(cell.values())}} for cell in cells]
    (table,) = results_table(rows_of(cells))
    assert "each by its own seeds" in table.caption and len({line[2] for line in table.lines}) == len(cells)


def test_means_over_positions_are_pooled_over_blocks() -> None:
    draw = np.random.default_rng(7)
    early, late = cells_of(draw, 5, 3, 0.0), cells_of(draw, 5, 3, 0.0)
    summaries = average_positions([*rows_of(early, "early"), *rows_of(late, "late")])
    means = [{s: (a[s] + b[s]) / 2 for s in a} for a, b in zip(early, late, strict=True)]
    spread = pooled(means)
    assert spread is not None
    for summary, of in zip(summaries, means, strict=True):
        assert summary.accuracies["test_acc"] == spread.estimate([*of.values()])
    assert summarise(rows_of(early))[0].spreads["test_acc"] == pooled(early)
