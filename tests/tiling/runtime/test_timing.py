"""Times of a plan against its network."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from torch import nn

from blockzoo import tiling
from blockzoo.tiling.runtime import timing
from blockzoo.tiling.runtime.timing import PlanTimes, time_plan


def a_network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)]
    return nn.Sequential(*layers).eval()


def test_both_are_timed_in_turns_and_know_what_they_are() -> None:
    network = a_network()
    times = time_plan(network, tiling.plan(network, torch.zeros(1, 3, 32, 32)), seconds=0.5)
    assert len(times.tiled_ms) == len(times.whole_ms) >= 1 and min(times.tiled_ms + times.whole_ms) > 0
    assert network[1].weight is not None, "the network stays as it is"


def test_a_plan_that_takes_longer_is_seen_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of the runner is delayed by 20 ms; the network, which takes far less, is not."""

    class Delayed(timing.TiledRunner):
        def forward(self, *inputs: torch.Tensor) -> Any:
            time.sleep(0.02)
            return super().forward(*inputs)

    monkeypatch.setattr(timing, "TiledRunner", Delayed)
    network = a_network()
    times = time_plan(network, tiling.plan(network, torch.zeros(1, 3, 16, 16)), seconds=1)
    assert min(times.tiled_ms) > 20 and times.ratio[0] > 2


def test_words() -> None:
    times = PlanTimes([2.0] * 8, [1.0] * 8)
    assert times.ratio == (2.0, (2.0, 2.0)) and "2.00 times as long (2.00 to 2.00, n = 8)" in str(times)
    few = PlanTimes([2.0], [1.0])
    assert few.ratio == (2.0, None) and "n = 1, doubtful: only 1 sample" in str(few)
