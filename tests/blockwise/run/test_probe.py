"""The largest batch that fits in memory."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from blockzoo.blockwise.run import probe
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.probe import largest, largest_batch_size
from blockzoo.core.errors import OutOfMemory
from tests.blockwise.runs import config


@pytest.mark.parametrize("limit", [1, 2, 3, 17, 64, 100, 127, 128])
def test_the_probe_bisects(limit: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    assert largest(fits, 128) == limit and len(tried) <= 16
    with pytest.raises(OutOfMemory):
        largest(lambda size: False, 128)


@pytest.mark.slow
def test_the_probe_runs_real_steps() -> None:
    """With little memory left, batches are smaller than with much. In a process of its own: what another test freed, and
    the allocator kept, would count as memory that is there."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        few, more = pool.submit(_with_little_and_with_much_memory).result()
    assert 1 <= few < more < 1 << 14


def _with_little_and_with_much_memory() -> list[int]:
    frame = Frame.from_config(config(model="cnn", config=(32, 32), image_size=32))
    sizes = []
    for megabytes in (200, 400):
        probe.free_memory = lambda free=megabytes << 20: free
        sizes.append(largest_batch_size(frame, 1 << 14))
    return sizes
