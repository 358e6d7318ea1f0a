"""What rounding does to a deep network is no fault of the way it is computed; and it hides none."""

from __future__ import annotations

import pytest
import torch

from blockzoo.core.errors import CheckFailed
from blockzoo.models.agreement import MARGIN, compare, nudged

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
    options = {"tolerance": 1e-5, "what": "a network"}
    assert compare("c", stretched, off(stretched, 10 * moved), [X], **options) > 1e-3
    with pytest.raises(CheckFailed, match="allowed"):
        compare("c", stretched, off(stretched, 2 * MARGIN * moved), [X], **options)
    with pytest.raises(CheckFailed, match="allowed 1e-05"):
        compare("c", stretched, off(stretched, moved), [X], again=False, **options)


def test_a_probe_that_shows_nothing_is_passed_over_and_never_all_of_them() -> None:
    options = {"tolerance": 1e-5, "what": "a network"}
    both = [X / 1e12, X]
    assert compare("c", chaotic, lambda x: chaotic(nudged(x)), both, unsure=[1], **options) < 1e-5
    with pytest.raises(CheckFailed, match="on probe 1"):
        compare("c", chaotic, lambda x: chaotic(nudged(x)), both, **options)
    with pytest.raises(CheckFailed, match="on probe 0"):
        compare("c", chaotic, off(chaotic, 0.5), both, unsure=[1], **options)


def test_a_stable_network_is_held_to_the_tolerance() -> None:
    with pytest.raises(CheckFailed, match="allowed 1e-04"):
        compare("c", torch.tanh, off(torch.tanh, 1e-3), [X], tolerance=1e-4, what="a network", unsure=[0])
    with pytest.raises(CheckFailed, match="inf"):
        compare("c", chaotic, lambda x: chaotic(x)[1:], [X], tolerance=1e-4, what="a network", unsure=[0])
