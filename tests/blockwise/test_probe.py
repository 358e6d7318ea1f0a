"""The largest batch that fits in memory."""

from __future__ import annotations

import pytest

from blockzoo.blockwise.frame import Frame
from blockzoo.blockwise.probe import largest, largest_batch_size
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


def test_the_probe_runs_real_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """With little memory left, batches are smaller than with much; and the found one's step runs."""
    from blockzoo.blockwise import probe

    frame = Frame.from_config(config(model="cnn", config=(32, 32), image_size=32))
    monkeypatch.setattr(probe, "free_memory", lambda: 200 << 20)
    few = largest_batch_size(frame, 1 << 14)
    monkeypatch.setattr(probe, "free_memory", lambda: 400 << 20)
    more = largest_batch_size(frame, 1 << 14)
    assert 1 <= few < more < 1 << 14
