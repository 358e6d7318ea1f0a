"""Paired tests of searches: probabilities by enumeration, corrections by hand, order and verdicts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from blockzoo.nas.search.paired import holm, interval, paired, paired_table, regret_table, signed_ranks
from blockzoo.nas.search.simulate import Comparison


def by_enumeration(differences: list[float]) -> float:
    """Share of all ways to give the ranks signs in which the sum is as far from its mean as the one that is seen."""
    order = np.argsort(np.abs(differences))
    ranks = np.empty(len(differences))
    ranks[order] = np.arange(1, len(differences) + 1)
    seen = ranks[np.array(differences) > 0].sum()
    middle = ranks.sum() / 2
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s)
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    return float(np.mean([abs(one - middle) >= abs(seen - middle) - 1e-12 for one in sums]))


@pytest.mark.parametrize("seed", range(6))
def test_signed_ranks_are_those_of_all_signs(seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.4, 1, 5 + seed)
    assert signed_ranks(differences) == pytest.approx(by_enumeration(differences.tolist()))


def test_ends_of_the_test() -> None:
    assert signed_ranks(np.zeros(5)) == 1.0
    assert signed_ranks(np.ones(2)) is None and interval(np.ones(2)) == (None, None)
    assert interval(np.ones(4)) == (1.0, 1.0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.02, 0.9]) == pytest.approx([0.03, 0.04, 0.9])
    assert holm([0.4, 0.5, 0.04]) == pytest.approx([0.8, 0.8, 0.12])
    assert holm([]) == []


def made_of(**ends: list[float]) -> Comparison:
    curves = {name: np.array([[9.0, 5.0, end] for end in values]) for name, values in ends.items()}
    return Comparison(np.array([1.0, 5.0, 10.0]), curves, "trainings", "made up", "numbers of nobody")


def test_pairs_are_ordered_by_regret_and_judged_together() -> None:
    steps = np.linspace(0, 0.5, 12)
    made = made_of(worse=(3 + steps).tolist(), good=(1 + steps**2).tolist(), same=(1 + steps**2).tolist())
    pairs = paired(made)
    assert [(one.algorithm, one.other) for one in pairs] == [
        ("good", "same"),
        ("good", "worse"),
        ("same", "worse"),
    ]
    first, second, _ = pairs
    assert (first.difference, first.p, first.equal, first.verdict) == (0, 1.0, 12, "open")
    assert second.difference == pytest.approx(float(np.mean(1 + steps**2 - 3 - steps)))
    assert (
        second.low is not None
        and second.high is not None
        and second.low < second.difference < second.high < 0
    )
    assert second.p_of_all == pytest.approx(3 * 2 / 2**12) and second.verdict == "better"
    assert (second.smaller, second.equal, second.n) == (12, 0, 12)


def test_two_seeds_say_nothing_and_that_is_said() -> None:
    (one,) = paired(made_of(a=[1.0, 2.0], b=[3.0, 4.0]))
    assert (one.p, one.p_of_all, one.low, one.verdict) == (None, None, None, "too few seeds")


def test_tables_say_what_the_numbers_are() -> None:
    made = made_of(a=[1.0, 2.0, 1.5], b=[3.0, 4.0, 2.5])
    for table in (regret_table(made), paired_table(made, paired(made))):
        assert "simulated searches on made up: numbers of nobody" in table.title
        assert all(len(line) == len(table.columns) for line in table.lines)
    assert paired_table(made, paired(made)).lines[0][:3] == ("a", "b", "-1.67")
