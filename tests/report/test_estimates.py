from __future__ import annotations

import re
import statistics
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from blockzoo.report.estimates import FRACTION, LEAST_SEEDS, deviation, estimate, student_t


def test_quantiles_are_those_of_a_library() -> None:
    for degrees in [*range(1, 60), 99, 100, 1000, 5001]:
        assert student_t(degrees) == pytest.approx(float(stats.t.ppf(0.975, degrees)), rel=1e-10), degrees


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_deviations_are_those_of_the_exact_sum(values: list[float]) -> None:
    assert deviation(values) == pytest.approx(statistics.stdev(values), rel=1e-12, abs=1e-160)
    assert deviation([values[0]] * 6) == 0


def test_a_table_needs_no_library_of_numbers() -> None:
    """numpy and scipy take longer to load than a table of ten thousand rows to read."""
    code = "import blockzoo.report.tables, sys; print({'numpy', 'scipy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_interval_is_students() -> None:
    values = [0.5, 0.6, 0.55, 0.52]
    got = estimate(values)
    low, high = stats.t.interval(0.95, 3, statistics.fmean(values), stats.sem(values))
    assert got.n == 4
    assert (got.mean - got.half_width, got.mean + got.half_width) == pytest.approx((low, high))  # type: ignore[operator]
    assert estimate([0.5]).half_width is None and estimate([0.5, 0.6]).interval is None
    assert estimate([0.5, 0.6]).mean == 0.55 and estimate([0.5, 0.6], FRACTION).text(2, 100) == "55.00"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_no_interval_is_wider_than_an_accuracy_can_vary(values: list[float]) -> None:
    estimated = estimate(values, FRACTION)
    assert estimated.n == len(values) and (estimated.interval is None or len(values) >= LEAST_SEEDS)
    if estimated.interval is not None:
        low, high = estimated.interval
        assert (
            0 <= low <= estimated.mean + 1e-12
            and estimated.mean - 1e-12 <= high <= 1
            and (low, high) != (0, 1)
        )
        expected = stats.t.interval(0.95, len(values) - 1, statistics.fmean(values), stats.sem(values))
        if statistics.stdev(values) > 1e-9:
            assert (low, high) == pytest.approx((max(0, expected[0]), min(1, expected[1])))
    elif len(values) >= LEAST_SEEDS:
        low, high = stats.t.interval(0.95, len(values) - 1, statistics.fmean(values), stats.sem(values))
        assert low <= 0 and high >= 1, "left out although it says something"
    assert all(0 <= float(number) <= 100 for number in re.findall(r"[\d.]+", estimated.text(2, 100)))


def test_an_interval_that_the_limits_cut_is_written_as_its_ends() -> None:
    assert estimate([0.97, 0.99, 0.998], FRACTION).text(2, 100) == "98.60 (95.02 to 100.00)"
    assert estimate([0.5, 0.52, 0.54], FRACTION).text(2, 100) == "52.00 ± 4.97"
    assert estimate([-3.0, 1.0, -1.0], (-100, 100)).text(1, sign="+") == "-1.0 ± 5.0"
    assert estimate([0.1, 0.9, 0.5], FRACTION).interval is None, "0 to 1 says nothing"
    assert estimate([0.1, 0.9, 0.5]).interval is not None
