from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from blockzoo.core.times import median_interval, p90, paired_ratio, throughput
from blockzoo.report.charts import charts
from blockzoo.report.comparable import comparables
from blockzoo.report.pareto import cost_accuracy_front
from blockzoo.report.summaries import average_positions, summarise
from blockzoo.report.tables import markdown_table, results_table


def row(block: str, position: str, seed: int, acc: float, **others: object) -> dict:
    return {"block": block, "position": position, "seed": seed, "test_acc": acc, "val_acc": acc - 0.1, "flops": 100,
            "status": "ok", "dataset": "digits", "comparable": "x", **others}  # fmt: skip


def test_only_comparable_rows_meet() -> None:
    rows = [row("A", "mid", 0, 0.5), row("A", "mid", 1, 0.7), row("A", "mid", 0, 0.1, comparable="y")]
    assert sorted((s.accuracies["test_acc"].mean, s.accuracies["test_acc"].n) for s in summarise(rows)) == [
        (0.1, 1),
        (0.6, 2),
    ]
    assert len(results_table(rows)) == 2
    old = [{"block": "A", "position": "mid", "val_acc": 0.5, "epochs": e} for e in (5, 10)]
    assert len(summarise(old)) == 2, "tables without the column are told apart by their settings"


def test_rows_that_went_wrong_count_but_do_not_weigh() -> None:
    rows = [row("A", "mid", 0, 0.5), row("A", "mid", 1, 0.0, status="diverged"), row("A", "mid", 2, math.nan)]
    summary = summarise(rows)[0]
    assert (summary.accuracies["test_acc"].mean, summary.accuracies["test_acc"].n) == (0.5, 1)
    assert summary.not_ok == {"diverged": 1}
    assert "1 (1 diverged)" in markdown_table(rows)
    lost = summarise([row("B", "mid", 0, 0.0, status="failed")])[0]
    assert not lost.accuracies and "B" in markdown_table([row("B", "mid", 0, 0.0, status="failed")])


def test_average_over_positions_is_paired_by_seed() -> None:
    rows = [
        row("A", p, s, 0.1 * i + 0.01 * s) for i, p in enumerate(("early", "mid", "late")) for s in (0, 1)
    ]
    averaged = average_positions(rows)[0]
    assert averaged.position == "" and averaged.accuracies["test_acc"].n == 2
    assert averaged.accuracies["test_acc"].mean == pytest.approx(0.105)
    third = [row("A", p, 2, 0.1 * i + 0.02) for i, p in enumerate(("early", "mid", "late"))]
    three = average_positions([*rows, *third])[0].accuracies["test_acc"]
    assert three.half_width == pytest.approx(stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3))
    incomplete = [*rows, row("A", "mid", 2, 0.9)]
    assert average_positions(incomplete)[0].accuracies["test_acc"].n == 2


def test_a_block_that_lacks_positions_has_no_mean_over_them() -> None:
    places = ("early", "mid", "late")
    rows = [row("A", place, s, 0.1 + 0.01 * s) for place in places for s in (0, 1)]
    assert [s.block for s in average_positions([*rows, row("B", "early", 0, 0.9)])] == ["A"]
    apart = [row("B", place, s, 0.9) for s, place in enumerate(places)]
    assert not average_positions([*rows, *apart])[1].accuracies, "no seed is at every position"
    network = [row("timm:n", None, s, 0.5) for s in (0, 1)]
    assert [s.block for s in average_positions([*rows, *network])] == ["A", "timm:n"]
    rows = [one | {"comparable": "x", "macs": 100} for one in [*rows, row("B", "early", 0, 0.9), *apart]]
    (chart,) = charts(comparables(rows)[0], average=True)
    assert {point.block for panel in chart.panels for point in panel.points} == {"A"}
    assert "no seed of theirs is at all of them: B" in chart.note


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12))
def test_cost_accuracy_front_against_all_pairs(points: list[tuple[float, float]]) -> None:
    def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    expected = {i for i, p in enumerate(points) if not any(beats(q, p) for q in points)}
    assert set(cost_accuracy_front(points)) == expected


def test_interval_of_the_median_covers_it() -> None:
    import random

    chance = random.Random(0)
    hits = 0
    for _ in range(1000):
        low, high = median_interval([chance.expovariate(1) for _ in range(25)]) or (0, 0)
        hits += low <= math.log(2) <= high
    assert 0.94 <= hits / 1000 <= 0.99
    assert median_interval([1, 2, 3, 4, 5]) is None
    assert median_interval([1, 2, 3, 4, 5, 6]) == (1, 6)


def test_small_figures_of_a_series() -> None:
    assert p90(list(range(1, 11))) == 9 and p90([3]) == 3
    assert throughput([10, 20, 30], 256) == 12800
    assert paired_ratio([2, 4, 6], [1, 2, 3]) == (2, None)
