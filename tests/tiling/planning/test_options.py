"""What a plan is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.tiling.planning.options import Planning


def test_all_faults_are_said_at_once() -> None:
    asked: dict[str, Any] = {"dtype": "fp8", "mode": "none", "grid": 2, "batch": 0}
    with pytest.raises(UsageError, match=r"dtype 'fp8'.*mode 'none'.*belong together.*batch 0"):
        Planning(**asked)
