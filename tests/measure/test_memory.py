from __future__ import annotations

import pytest
import torch
from torch import nn

from blockzoo.measure.memory import LiveMemory, peak_memory, saved_for_backward

KIB = 1024


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_peak_by_hand(device: str) -> None:
    x = torch.zeros(1, 4, 16, 16, device=device)  # 4 KiB
    conv = nn.Conv2d(4, 8, 1, device=device)  # makes 8 KiB
    assert peak_memory(conv, x) == 8 * KIB
    # the convolution's output dies once the ReLU has made its own
    assert peak_memory(nn.Sequential(conv, nn.ReLU()), x) == 16 * KIB
    assert peak_memory(nn.Sequential(conv, nn.ReLU(inplace=True)), x) == 8 * KIB
    assert peak_memory(nn.Sequential(conv, nn.ReLU(), nn.ReLU(), nn.ReLU()), x) == 16 * KIB
    assert peak_memory(lambda t: t + conv(t)[:, :4], x) == 12 * KIB


def test_pool_indices_are_seen() -> None:
    x = torch.zeros(1, 4, 16, 16)
    assert peak_memory(nn.MaxPool2d(2), x) == 4 * 64 * (4 + 8)  # values and int64 indices


def test_views_count_once_and_memory_is_given_back() -> None:
    with LiveMemory() as memory:
        a = torch.zeros(256)
        b = a.view(16, 16)[3:]
        assert memory.live == KIB
        del a
        assert memory.live == KIB
        del b
        assert memory.live == 0
    assert memory.peak == KIB


class Table(nn.Module):
    """Adds a part of a table that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.zeros(1, 4, 64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.table[..., : x.shape[2], : x.shape[3]]


def test_a_view_of_what_was_there_before_makes_nothing() -> None:
    x = torch.zeros(1, 4, 16, 16)
    assert peak_memory(Table(), x) == 4 * KIB  # the sum alone; the table is 64 KiB


def test_saved_by_hand() -> None:
    x = torch.zeros(1, 4, 16, 16)
    conv = nn.Conv2d(4, 8, 3, padding=1)
    assert saved_for_backward(conv, x) == (0, True, False, False)  # its input, and its weight (not counted)
    assert saved_for_backward(nn.ReLU(), x) == (0, False, True, False)
    # conv -> relu -> conv: the first keeps x, the ReLU its result, which the second needs too: once
    assert saved_for_backward(nn.Sequential(conv, nn.ReLU(), nn.Conv2d(8, 2, 1)), x) == (
        8 * KIB,
        True,
        False,
        False,
    )
    assert saved_for_backward(nn.Identity(), x) == (0, False, False, True)
