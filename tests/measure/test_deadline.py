"""Deadlines, on a made-up clock."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from blockzoo.core.began import command
from blockzoo.measure.deadline import Deadline


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr("blockzoo.measure.deadline.time", clock)
    monkeypatch.setattr("blockzoo.core.began.time", clock)
    return clock


def test_it_counts_from_where_it_is_made_and_ends_at_nothing(clock: SimpleNamespace) -> None:
    deadline = Deadline(10)
    clock.now += 4
    assert (deadline.left(), deadline.spent) == (6, 0.4)
    clock.now += 40
    assert (deadline.left(), deadline.spent) == (0, 1)
    assert Deadline(None).left() == math.inf


def test_of_a_command_it_counts_from_its_start(clock: SimpleNamespace) -> None:
    with command(age=3):
        clock.now += 2  # torch
        assert Deadline.of_command(10).left() == 5
        assert Deadline(10).left() == 10
        assert Deadline.of_command(4).left() == 0
        assert Deadline.of_command(None).left() == math.inf
    assert Deadline.of_command(10).left() == 10
