"""Which rows are compared, and at which budget."""

from __future__ import annotations

from typing import Any

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.report.comparison import compare
from blockzoo.report.groups import Spent, name_of
from blockzoo.report.tables import tables


def row(
    block: str, ratio: float | None = None, *, seed: int = 0, accuracy: float = 0.5, **cells: Any
) -> dict[str, Any]:
    own = {
        "block": block,
        "position": "mid",
        "seed": seed,
        "status": "ok",
        "test_acc": accuracy,
        "comparable": "x",
    }
    return own | {"num_blocks": 3, "active_blocks": 3, "active_width": 1.0, "budget_ratio": ratio} | cells


def at(block: str, ratio: float, budget: str = "iso-macs 1", **cells: Any) -> dict[str, Any]:
    return row(block, ratio, budget=budget, **cells)


def test_widths_and_depths_of_ones_own_are_other_networks() -> None:
    assert name_of(row("A")) == "A"
    assert name_of(row("A", active_width=0.5)) == "A x0.5"
    assert name_of(row("A", active_width=2, active_blocks=1)) == "A x2 (1 blocks)"
    assert name_of(at("A", 1.0, active_width=0.5)) == "A"
    rows = [row(name, seed=s, accuracy=a + s / 50, active_width=w)
            for name, w, a in (("A", 1, 0.5), ("A", 0.5, 0.4), ("B", 1, 0.4)) for s in range(3)]  # fmt: skip
    (same,) = compare(rows, "A x0.5", "B")
    assert same.differences[0].value == pytest.approx(0.0)


def test_what_misses_its_budget_is_marked_and_by_far_in_no_verdict() -> None:
    rows = [at(name, ratio, seed=s, accuracy=0.5 + s / 100)
            for name, ratio in (("ResNetBasicBlock", 1.0), ("Near", 1.019), ("Some", 0.93), ("Far", 1.3))
            for s in range(3)]  # fmt: skip
    (made,) = tables(rows)
    title, lines, told = made.title, made.lines, made.caption
    assert {line[0] for line in lines} == {
        "ResNetBasicBlock",
        "Near",
        "Some !",
        "Far !",
    } and "iso-macs 1" in title
    assert "is in no verdict: Far/mid 1.3" in told and "its budget: Some/mid 0.93" in told
    compare(rows, "Near", "ResNetBasicBlock")
    compare(rows, "Some", "ResNetBasicBlock")
    with pytest.raises(UsageError, match="there are Near, ResNetBasicBlock, Some"):
        compare(rows, "Far", "ResNetBasicBlock")


def test_budgets_are_groups_of_their_own() -> None:
    rows = [row("A"), at("A", 1.0), at("A", 1.0, "iso-macs 2"), row("B")]
    assert [len(made.lines) for made in tables(rows)] in ([2, 1, 1], [1, 1, 2], [1, 2, 1])


def test_a_time_is_that_of_all_beside_one_another() -> None:
    """A width that was right beside the reference alone, and is not among the others."""
    reference = at("ResNetBasicBlock", 1.0, "iso-latency 2", stage_latency_ms=2.0)
    other = at("A", 1.0, "iso-latency 2", stage_latency_ms=2.6)
    assert Spent([reference, other]).off(other) == pytest.approx(1.3)
    assert Spent([reference, other]).off(reference) is None
    assert Spent([other]).off(other) is None  # nothing to compare with
    absolute = at("A", 1.0, "iso-latency 2 of 0.5", stage_latency_ms=2.6)
    assert Spent([absolute]).off(absolute) == pytest.approx(2.6)
    assert Spent([]).off(at("A", 1.2, "iso-latency 1")) == pytest.approx(1.2)


def test_trainings_of_two_dtypes_are_not_compared() -> None:
    rows = [row("A", seed=s, dtype="float32") for s in range(3)] + [
        row("B", seed=s, dtype="bfloat16") for s in range(3)
    ]
    assert [made for made in tables(rows) if "bfloat16" in made.title] and len(list(tables(rows))) == 2
    with pytest.raises(UsageError):
        compare(rows, "A", "B")
