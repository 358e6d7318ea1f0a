"""Budgets as texts, and what is no budget."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockzoo.core.budget import HELD, Budget, budgets_of
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Budgeting
from blockzoo.core.spec import NetworkSpec, TrialSpec


@pytest.mark.parametrize(
    "text", ["iso-macs 0.5", "iso-params 1 of GhostBottleneck", "iso-latency 2 of 0.25", "iso-macs 1 of 2e6"]
)
def test_a_text_is_the_text_of_its_budget(text: str) -> None:
    assert str(Budget.parse(text)) == text


@given(
    st.sampled_from(sorted(HELD)),
    st.floats(0, exclude_min=True, allow_infinity=False),
    st.sampled_from(["ResNetBasicBlock", "GhostBottleneck", "0.01", "2e6"]),
)
def test_a_budget_of_any_number_of_digits_is_read_as_it_was(track: Any, amount: float, against: str) -> None:
    budget = Budget(track, amount, against)
    assert Budget.parse(str(budget)) == budget


def test_the_reference_is_not_written_where_it_is_the_usual_one() -> None:
    assert str(Budget.parse("iso-macs 1 of ResNetBasicBlock")) == "iso-macs 1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("iso-flops 1", "choose one of iso-params, iso-macs, iso-latency"),
        ("native 1", "choose one of"),
        ("iso-macs", "a track and an amount"),
        ("iso-macs one", "a track and an amount"),
        ("iso-macs -1", "positive number"),
        ("iso-macs inf", "positive number"),
        ("iso-macs 1 of 0", "positive number"),
        ("iso-macs 1 of NoSuchBlock", "NoSuchBlock"),
        ("iso-macs 1 of timm:resnet18", "give a block"),
    ],
)
def test_what_is_no_budget(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Budget.parse(text)


def test_budgets_without_a_track() -> None:
    assert budgets_of(Budgeting()) == []
    with pytest.raises(UsageError, match="give --track"):
        budgets_of(Budgeting(budgets=(0.5, 1.0)))
    with pytest.raises(UsageError, match="track"):
        Budgeting(track="iso-flops")  # type: ignore[arg-type]


def test_a_budget_is_part_of_the_request_and_not_of_its_times() -> None:
    native, given = NetworkSpec(), NetworkSpec(budget="iso-macs 1", budget_ratio=1.0)
    assert TrialSpec(native).fingerprint() != TrialSpec(given).fingerprint()
    assert TrialSpec(native).comparable() != TrialSpec(given).comparable()
    assert native.timing_key(32) == given.timing_key(32)
    other_ratio = NetworkSpec(budget="iso-macs 1", budget_ratio=0.99)
    assert TrialSpec(given).fingerprint() == TrialSpec(other_ratio).fingerprint()
    assert given.label == "ResNetBasicBlock/mid (iso-macs 1)"
