"""Differences after a correction for their number, and of blocks of which trainings diverged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from blockzoo.report.comparison import verdicts
from blockzoo.report.difference import Difference, corrected, holm
from tests.report.test_comparison import rows


def difference(value: float, error: float = 0.001) -> Difference:
    return Difference("A", "B", "mid", (0.6 + value, 0.6), (value,) * 3, None, 0, 0, None).with_error(
        error, 20, 5
    )


def test_equality_is_two_one_sided_tests() -> None:
    draw = np.random.default_rng(0)
    for value in (-0.004, 0.001, 0.0049, 0.02):
        of = difference(value, float(draw.uniform(0.0005, 0.004)))
        assert of.error is not None
        above, below = ((value + sign * 0.005) / of.error for sign in (1, -1))
        assert of.p_equal == pytest.approx(max(stats.t.sf(above, 20), stats.t.cdf(below, 20)))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9]) and holm([]) == []


def test_equality_is_corrected_for_the_number_of_pairs() -> None:
    one = difference(0.0, 0.0028)
    assert one.kind == "equal" and {d.kind for d in corrected([one] * 10)} == {"unresolved"}


def test_blocks_that_differ_by_the_margin_are_called_equal_in_one_table_of_twenty_at_most() -> None:
    """60 tables of 12 blocks, half of them better by just the margin: 3 expected at most; 8 have a probability of 1 %."""
    draw, wrong = np.random.default_rng(1), 0
    for _ in range(60):
        values = {(f"B{b}", "mid"): list(0.6 + 0.005 * (b % 2) + draw.normal(0, 0.003, 8)) for b in range(12)}
        (made,) = verdicts(rows(values))
        wrong += any(
            d.kind == "equal" and (int(d.block[1:]) + int(d.other[1:])) % 2 for d in made.differences
        )
    assert wrong <= 7


@pytest.mark.parametrize(
    ("value", "diverged", "kind"),
    [
        (0.05, ("2 of 3 trainings diverged", ""), "unresolved"),
        (0.05, ("", "2 of 3 trainings diverged"), "better"),
        (-0.05, ("2 of 3 trainings diverged", ""), "worse"),
        (-0.05, ("", "2 of 3 trainings diverged"), "unresolved"),
        (0.0, ("2 of 3 trainings diverged", ""), "unresolved"),
        (0.0001, ("", "2 of 3 trainings diverged"), "unresolved"),
        (0.0, ("", ""), "equal"),
    ],
)
def test_a_block_that_diverged_is_better_than_none_and_equal_to_none(
    value: float, diverged: tuple[str, str], kind: str
) -> None:
    of = replace(difference(value), diverged=diverged)
    assert of.kind == kind and of.the_other_way().kind == {"better": "worse", "worse": "better"}.get(
        kind, kind
    )
    if kind == "unresolved":
        assert of.verdict == of.the_other_way().verdict == "unresolved: 2 of 3 trainings diverged"
        assert of.needed is None, "more seeds would not resolve it"
