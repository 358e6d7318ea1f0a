"""Curvature within a time: a step, the checks and spectra are begun only where they would be done by then. On a made-up clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blockzoo.blockwise.curvature import report
from blockzoo.blockwise.curvature.search import OF_CHECKS, Limits
from blockzoo.core.began import command


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    clock.perf_counter = lambda: clock.now
    for module in ("blockzoo.blockwise.curvature.search", "blockzoo.measure.deadline", "blockzoo.core.began"):
        monkeypatch.setattr(f"{module}.time", clock)
    return clock


def test_a_step_that_would_end_too_late_is_not_made(clock: SimpleNamespace) -> None:
    """A second a product: of 20 s, steps of two products go on while they and the checks fit."""
    limits, done = Limits(deadline=20.0), 0
    while not limits.reached(done + 2, done):
        done += 2
        clock.now += 2
    assert limits.reached(done + 2, done) == "max_seconds"
    assert done + OF_CHECKS <= 20 < done + 2 + OF_CHECKS


def test_without_a_pace_only_what_is_over_counts(clock: SimpleNamespace) -> None:
    limits = Limits(deadline=5.0)
    assert limits.reached(10**9) == ""
    clock.now = 5.1
    assert limits.reached(1) == "max_seconds"
    assert Limits().reached(10**9) == "" and Limits(products=3).reached(4) == "max_products"


@dataclass(frozen=True)
class Map:
    """What `measure` asks of a coupling map."""

    labels: list[str]
    sizes: tuple[int, ...]
    seconds: float
    products: int
    stopped: str = ""
    given: dict[str, Any] = field(default_factory=dict)

    def row_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.ones(len(self.labels)), np.ones(len(self.labels))


@pytest.mark.parametrize(
    ("seconds", "spectra_of"), [(1000, "abcd"), (180, "abc"), (130, "a"), (100, ""), (None, "abcd")]
)
def test_spectra_stop_before_the_seconds_are_over(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, seconds: float | None, spectra_of: str
) -> None:
    """Starting takes 10 s, the map what it may up to 70 s (one product 0.25 s), each spectrum 30 s."""
    given: dict[str, Any] = {}

    def coupling_map(*words: Any, **searching: Any) -> Map:
        given.update(searching)
        took = min(70.0, searching.get("max_seconds") or 70.0)
        clock.now += took
        return Map(list("abcd"), (1, 2, 3, 4), took, int(took / 0.25))

    def ends(hessian: Any, i: int) -> SimpleNamespace:
        clock.now += 30
        return SimpleNamespace(smallest=-1.0, largest=2.0, converged=True)

    frame: Any = SimpleNamespace(model=None, criterion=None, partition=None, probe=lambda *words: [])
    monkeypatch.setattr(report, "coupling_map", coupling_map)
    monkeypatch.setattr(report, "extreme_eigenvalues", ends)
    monkeypatch.setattr(report, "trace", lambda hessian, i: 1.0)
    monkeypatch.setattr(report, "MATRICES", {"hessian": lambda *words: object()})
    searching: Any = {} if seconds is None else {"max_seconds": seconds}
    with command(age=10.0):
        measured = report.measure(frame, 1, 1, **searching)
    done = "".join(row["block"] for row in measured.blocks if row["largest"] is not None)
    assert done == spectra_of
    left_out = [label for label in "abcd" if label not in done]
    said = f"no spectra of {', '.join(left_out)} (max_seconds)" if left_out else ""
    assert measured.coupling.stopped == said
    if seconds is not None:
        assert clock.now + 10 <= seconds
        assert given["max_seconds"] == pytest.approx(0.7 * (seconds - 10))
