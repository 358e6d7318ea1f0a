"""Effects by least squares: which of them trainings tell."""

from __future__ import annotations

import numpy as np
import pytest

from blockzoo.report.effects_fit import Design, Fit, Training

LATIN = [((a, b, c), s) for s in (0, 1) for a, b, c in ("AAA", "ABB", "BAB", "BBA")]
"""Half of all networks of two blocks, twice."""


def fitted(networks: list[tuple[tuple[str, str, str], int]]) -> Fit:
    worth = {"A": 0.02, "B": -0.02}
    return Fit.to([Training(n, s, 0.5 + s / 100 + sum(worth[b] for b in n)) for n, s in networks])


def test_what_is_told_is_what_was_planted() -> None:
    fit = fitted(LATIN)  # type: ignore[arg-type]
    assert not len(fit.design.untold) and fit.degrees == 8 - 5
    for place in range(3):
        value, error = fit.of("A", place) or (0.0, 1.0)
        assert value == pytest.approx(0.02) and error < 1e-9
    assert fit.predicted(("B", "A", "A")) == pytest.approx(0.505 + 0.02)
    assert fit.predicted(("B", "A", "C")) is None


def test_blocks_that_never_stand_apart_are_not_told_apart() -> None:
    """With A at early there is A at late: only the sum of their effects is told, and networks that keep them together."""
    networks = [((a, b, a), s) for s in (0, 1) for a in "AB" for b in "AB"]
    fit = fitted(networks)
    assert len(fit.design.untold) == 1 and fit.degrees == 8 - 4
    assert fit.of("A", 0) is None and fit.of("A", 2) is None
    assert (fit.of("A", 1) or (0.0, 0.0))[0] == pytest.approx(0.02)
    assert (
        fit.predicted(("A", "B", "A")) == pytest.approx(0.505 + 0.02)
        and fit.predicted(("A", "B", "B")) is None
    )
    everything = fit.all_predicted
    assert np.isnan(everything[0, :, 1]).all() and np.isnan(everything[1, :, 0]).all()
    assert everything[0, 1, 0] == pytest.approx(0.505 + 0.02)


def test_sums_are_those_of_single_networks() -> None:
    design = Design.of([((a, b, c), 0) for a in "AB" for b in "ABC" for c in "ABCD"])
    effects = np.random.default_rng(0).normal(size=design.matrix.shape[1])
    for place in np.ndindex(2, 3, 4):
        network = tuple("ABCD"[i] for i in place)
        assert design.sums(effects)[place] == pytest.approx(design.of_network(network) @ effects)
