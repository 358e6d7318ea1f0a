"""Whether the parts of a time add up to the whole."""

from __future__ import annotations

from blockzoo.core.breakdown import Breakdown
from blockzoo.core.roofline import Operation, Timed

NORM = Operation("", "aten.native_batch_norm", "norms", 0, 8, 8)


def breakdown(*parts: tuple[float, ...], whole: tuple[float, ...]) -> Breakdown:
    return Breakdown("x", "stage", 1, tuple(Timed(NORM, samples) for samples in parts), whole, whole)


def test_parts_add_up_call_by_call() -> None:
    made = breakdown((1.0, 1.0, 1.0), (2.0, 2.0, 2.0), whole=(3.1, 3.2, 3.3))
    assert (made.parts, made.all.ms, made.whole) == (3.0, 3.0, 3.2)
    assert made.adds_up and made.steady


def test_parts_that_are_not_the_whole_are_told() -> None:
    assert not breakdown((1.0,), (2.0,), whole=(4.0,)).adds_up
    assert not breakdown((1.0,), (2.0,), whole=(2.5,)).adds_up


def test_a_disturbance_of_another_operation_in_each_call_is_told() -> None:
    made = breakdown((9.0, 1.0, 1.0), (1.0, 9.0, 1.0), (1.0, 1.0, 9.0), whole=(11.0, 11.0, 11.0))
    assert (made.parts, made.all.ms) == (11.0, 3.0)
    assert made.adds_up and not made.steady
