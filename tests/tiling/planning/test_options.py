"""What a plan is asked for: in one dataclass, and as keyword arguments of the same names and types."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.tiling.planning.options import PlanKeywords, PlanOptions


def test_keywords_are_the_fields() -> None:
    assert {f.name: f.type for f in fields(PlanOptions)} == {
        name: kind.__forward_arg__ for name, kind in PlanKeywords.__annotations__.items()
    }


def test_all_faults_are_said_at_once() -> None:
    asked: dict[str, Any] = {"dtype": "fp8", "mode": "none", "grid": 2, "batch": 0}
    with pytest.raises(UsageError, match=r"dtype 'fp8'.*mode 'none'.*belong together.*batch 0"):
        PlanOptions(**asked)
