"""Cases of one test of which the quick suite runs some and the slow list the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], quick: int | Collection[Any], *, unpacked: bool = False) -> list[Any]:
    """For `parametrize`: all values, those that are not quick marked slow.

    Args:
        values: of the parameter.
        quick: which are quick, or how many: these are spread evenly over all, the first among them.
        unpacked: each value is one of several parameters.
    """
    given = list(values)
    if isinstance(quick, int):
        chosen = {place * len(given) // quick for place in range(quick)}
        kept = [place in chosen for place in range(len(given))]
    else:
        assert all(value in given for value in quick), f"of {list(quick)} not all are cases: {given}"
        kept = [value in quick for value in given]
    return [
        value if keep else pytest.param(*(value if unpacked else [value]), marks=pytest.mark.slow)
        for value, keep in zip(given, kept, strict=True)
    ]
