"""What rounding does to a deep network is no fault of the way it is computed; and it hides none."""

from __future__ import annotations

import pytest
import torch

from blockzoo.core.errors import CheckFailed
from blockzoo.models.agreement import MARGIN, Claim, compare, nudged

X = torch.linspace(-1, 1, 101)


def stretched(x: torch.Tensor) -> torch.Tensor:
    """Moves by a thousand times what its input moves by."""
    return (x * 1e3).sin()


def chaotic(x: torch.Tensor) -> torch.Tensor:
    return (x.double() * 1e12).sin().float()


def off(function, by: float):
    return lambda x: function(x) + by


def test_what_the_network_moves_by_itself_is_allowed() -> None:
    moved = float((stretched(X) - stretched(nudged(X))).abs().max())
    assert 1e-4 < moved < 1e-3, "of outputs of 1"
    claim = Claim("c", "a network", 1e-5)
    assert compare(claim, stretched, off(stretched, 10 * moved), [X]) > 1e-3
    with pytest.raises(CheckFailed, match="allowed"):
        compare(claim, stretched, off(stretched, 2 * MARGIN * moved), [X])
    with pytest.raises(CheckFailed, match="allowed 1e-05"):
        compare(claim, stretched, off(stretched, moved), [X], again=False)


def test_a_probe_that_shows_nothing_is_passed_over_and_never_all_of_them() -> None:
    claim = Claim("c", "a network", 1e-5)
    both = [X / 1e12, X]
    assert compare(claim, chaotic, lambda x: chaotic(nudged(x)), both, unsure=[1]) < 1e-5
    with pytest.raises(CheckFailed, match="on probe 1"):
        compare(claim, chaotic, lambda x: chaotic(nudged(x)), both)
    with pytest.raises(CheckFailed, match="on probe 0"):
        compare(claim, chaotic, off(chaotic, 0.5), both, unsure=[1])


def test_a_stable_network_is_held_to_the_tolerance() -> None:
    claim = Claim("c", "a network", 1e-4)
    with pytest.raises(CheckFailed, match="allowed 1e-04"):
        compare(claim, torch.tanh, off(torch.tanh, 1e-3), [X], unsure=[0])
    with pytest.raises(CheckFailed, match="inf"):
        compare(claim, chaotic, lambda x: chaotic(x)[1:], [X], unsure=[0])
