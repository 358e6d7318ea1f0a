"""Every quantity says what it is, without torch, and adds up as it says. One file is enough: tests/test_contributing.py."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from blockzoo.core.quantity import Form, OnPaper, OnTheClock, Quantity, quantities
from blockzoo.core.table import COLUMNS
from blockzoo.measure.memory import Saved
from blockzoo.measure.quantities.activations import Kept, Peak
from blockzoo.profile import profile_block

ALL = quantities()


@pytest.mark.parametrize("quantity", ALL.values(), ids=ALL)
def test_each_says_what_it_is(quantity: Quantity) -> None:
    assert quantity.unit and quantity.sentence and quantity.better in ("lower", "higher")
    assert not quantity.sentence.endswith(".")
    assert (quantity.name in COLUMNS) == quantity.stored
    assert (f"stage_{quantity.name}" in COLUMNS) == (quantity.stored and quantity.of_stage)
    assert quantity.stored or not (quantity.axis or quantity.heading[0]), "shown from rows that lack it"
    if isinstance(quantity, OnPaper):
        assert quantity.label and quantity.form in get_args(Form)


def test_they_are_told_without_torch() -> None:
    code = "import sys; from blockzoo.core.quantity import quantities; assert quantities() and 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_profile_has_those_on_paper_in_their_order() -> None:
    costs = vars(profile_block("ResNetBasicBlock/mid", num_blocks=1, base_channels=4).network)
    paper = [name for name, quantity in ALL.items() if isinstance(quantity, OnPaper)]
    assert list(costs) == [*paper, "uncounted_operations"]
    fast = vars(profile_block("EdgeResidual/mid", num_blocks=1, base_channels=4, memory=False).network)
    missing = {name for name, value in fast.items() if value is None}
    assert missing == {"peak_activation_bytes", "saved_activation_bytes"}
    assert {name for name, quantity in ALL.items() if isinstance(quantity, OnTheClock)}.isdisjoint(costs)


def test_a_peak_holds_the_input_of_its_part_but_not_of_the_network() -> None:
    peak = ALL["peak_activation_bytes"]
    assert isinstance(peak, OnPaper)
    assert peak.total([Peak(10, 100), Peak(5, 3)]) == 10
    assert peak.total([Peak(10, 100), Peak(5, 8)]) == 13


def test_what_is_kept_between_two_parts_counts_once() -> None:
    kept = ALL["saved_activation_bytes"]
    assert isinstance(kept, OnPaper)
    both = Saved(inside=10, input=True, output=True, passes_through=False)
    neither = Saved(inside=10, input=False, output=False, passes_through=False)
    assert kept.total([Kept(both, 7), Kept(both, 5)]) == 10 + 7 + 10 + 5
    assert kept.total([Kept(neither, 7), Kept(both, 5)]) == 10 + 7 + 10 + 5
    assert kept.total([Kept(neither, 7), Kept(neither, 5)]) == 20
