"""What a plan says that its tiles compute is what they compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from blockzoo import tiling
from blockzoo.measure.macs import count_macs
from blockzoo.tiling.runtime.runner import TiledRunner


def two(padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=padding), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=padding)
    ).eval()


@pytest.mark.parametrize("size", [16, 32, 64])
def test_multiply_adds_are_those_that_the_tiles_make(size: int) -> None:
    network, x = two(0), torch.randn(1, 3, size, size)
    plan = tiling.plan(network, x, mode="exact")
    assert plan.cost.tiles > 1 and plan.macs > count_macs(network, x)
    assert count_macs(TiledRunner(network, plan), x) == plan.macs


def test_beside_a_border_the_kernels_compute_what_is_dropped_and_no_more() -> None:
    """Counted by hand: 2 x 2 tiles of 8 x 8 need 9 x 9 of the first layer; padded at all sides they make 10 x 10 and 9 x 9."""
    network, x = two(1), torch.randn(1, 3, 16, 16)
    plan = tiling.plan(network, x, mode="exact")
    assert plan.cost.tiles == 4
    assert plan.macs == 4 * (9 * 9 * 8 * 27 + 8 * 8 * 4 * 72)
    assert count_macs(TiledRunner(network, plan), x) == 4 * (10 * 10 * 8 * 27 + 9 * 9 * 4 * 72)
