"""Schedules by hand, and what they do to a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockzoo.blockwise.contracts import SCHEDULES
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.blockwise.schedules import make_schedule
from blockzoo.core.errors import UsageError
from tests.blockwise.runs import config


def test_schedules_by_hand(tmp_path: Path) -> None:
    at = {text: [round(make_schedule(text).factor(r, 4), 3) for r in range(4)] for text in (
        "constant", "cosine", "linear:0.2", "step:0.5@1,3", "warmup:2"
    )}  # fmt: skip
    assert at == {
        "constant": [1, 1, 1, 1],
        "cosine": [1, 0.854, 0.5, 0.146],
        "linear:0.2": [1, 0.8, 0.6, 0.4],
        "step:0.5@1,3": [1, 0.5, 0.5, 0.25],
        "warmup:2": [0.5, 1, 1, 1],
    }
    assert set(SCHEDULES) == {text.partition(":")[0] for text in at}
    for wrong in ("linear", "linear:nan", "linear:-1", "cosine:inf", "step:nan@3", "step:0.5@x", "warmup:0"):
        with pytest.raises(UsageError, match=wrong.partition(":")[0]):
            make_schedule(wrong)
    run = run_blockwise(config(k_schedule="linear:0.5", step_schedule="step:0.1@2"), None)
    assert run.frame is not None
    assert [s.steps for s in run.frame.blocks] == [round(2 * (1 - 0.5 * 3 / 4))] * 3
    assert run.frame.blocks[0].optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
