"""Every form of a network against the network itself: folded, deployed, planned, in tiles, exported, exported in tiles.

Each agrees, or is refused by an error of this package with a reason; how many must agree is stated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings

from tests.tiling.forms import Truth, drawn, outcome
from tests.tiling.grammar import Program, programs

IN_FILES = ("exported", "file in tiles")


def truth_of(program: Program) -> Truth:
    """The network of a program with random weights, unless PyTorch itself refuses it."""
    x = torch.zeros(1, 3, *program.size, dtype=torch.float64)
    try:
        return Truth(drawn(program.build()), x)
    except (RuntimeError, ValueError):
        assume(False)
        raise


def agreeing(count: int, forms: Sequence[str], folder: Path, *, several: bool) -> Counter[str]:
    """How many of so many programs agree in each form; the first that differs or crashes is made small and printed."""
    tally: Counter[str] = Counter()

    @settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(programs(several=several))
    def agrees(program: Program) -> None:
        truth = truth_of(program)
        for form in forms:
            found = outcome(form, truth, folder)
            tally[form] += found.kind == "agrees"
            assert found.right, f"{form} {found}\n{program}"

    agrees()
    print(dict(tally))
    return tally


@pytest.mark.parametrize("several", [False, True])
def test_random_programs_folded_and_deployed(several: bool, tmp_path: Path) -> None:
    found = agreeing(25, ["folded", "deployed"], tmp_path, several=several)
    assert all(found[form] >= 25 for form in ("folded", "deployed")), found


def test_random_programs_in_files(tmp_path: Path) -> None:
    found = agreeing(2, IN_FILES, tmp_path, several=False)
    assert all(found[form] >= 1 for form in IN_FILES), found
