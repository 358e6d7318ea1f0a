"""Fronts and hypervolumes against looking at every pair and at random points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blockzoo.report.pareto import hypervolume, pareto_front


def points(objectives: int) -> st.SearchStrategy[np.ndarray]:
    row = st.lists(st.integers(0, 6), min_size=objectives, max_size=objectives)
    return st.lists(row, max_size=25).map(lambda rows: np.array(rows, float).reshape(-1, objectives))


@settings(max_examples=200, deadline=None)
@given(st.one_of(points(2), points(3), points(4)))
def test_front_against_every_pair(rows: np.ndarray) -> None:
    want = [i for i, p in enumerate(rows) if not any((q <= p).all() and (q < p).any() for q in rows)]
    assert pareto_front(rows).tolist() == want


@settings(max_examples=100, deadline=None)
@given(st.one_of(points(1), points(2), points(3)))
def test_volume_against_counting_unit_cubes(rows: np.ndarray) -> None:
    """Whole coordinates: the dominated region is a set of unit cubes."""
    corner = np.full(rows.shape[1], 6.0)
    cubes = np.indices((6,) * rows.shape[1]).reshape(rows.shape[1], -1).T
    counted = sum(any((p <= cube).all() for p in rows) for cube in cubes)
    assert hypervolume(rows, corner) == pytest.approx(counted)


def test_nothing_has_no_front() -> None:
    assert pareto_front(np.zeros((0, 2))).tolist() == [] and hypervolume(np.zeros((0, 2)), [1, 1]) == 0


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_what_is_not_known_is_on_no_front_and_changes_none(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    points = rng.integers(0, 6, (40, objectives)).astype(float)
    unknown = rng.random(40) < 0.3
    points[unknown, rng.integers(0, objectives, unknown.sum())] = np.nan
    kept = np.flatnonzero(~unknown)
    assert pareto_front(points).tolist() == kept[pareto_front(points[kept])].tolist()
    assert pareto_front(np.full((2, objectives), np.nan)).tolist() == []
