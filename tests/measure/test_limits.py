"""Limits of a machine, of small products and copies."""

from __future__ import annotations

import pytest
import torch

from blockzoo.core.roofline import ANY_KIND, KINDS, Operation
from blockzoo.measure import limits


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SIDES", {"cpu": (8, 64)})
    monkeypatch.setattr(limits, "MAPS", {"cpu": (1, 4, 8)})
    monkeypatch.setattr(limits, "BUFFERS", {"cpu": (2**10, 2**14)})
    monkeypatch.setattr(limits, "SAMPLE", 2**15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_limit_has_its_samples(dtype: torch.dtype) -> None:
    machine = limits.measure_machine(torch.device("cpu"), dtype, seconds=20.0, rounds=3)
    assert [limit.amount for limit in machine.products] == [2 * 8**3, 2 * 64**3, 2 * 9 * 4 * 4 * 8 * 8]
    assert [limit.amount for limit in machine.copies] == [2**11, 2**15]
    assert all(len(limit.samples_ms) == 3 for limit in (*machine.products, *machine.copies))
    assert all(len(limit.samples_ms) == limits.SMALLEST for limit in machine.calls.values())
    assert min(machine.compute.rate, machine.memory.rate, *(c.rate for c in machine.calls.values())) > 0
    assert machine.compute.rate == max(limit.rate for limit in machine.products)


def test_a_small_copy_is_timed_by_many() -> None:
    """A sample of a small one is of several, so its time is a share of it."""
    works = {work.amount: work for work in limits._copies(torch.device("cpu"), torch.float32)}
    assert [works[size].times for size in (2**11, 2**15)] == [16, 1]


def test_every_kind_has_a_smallest_operation() -> None:
    machine = limits.measure_machine(torch.device("cpu"), seconds=0.1, rounds=1)
    for kind in KINDS:
        roofs = machine.roofs_ms(Operation("", "aten.x", kind, 0, 0, 0))
        assert roofs["calls"] > 0 and roofs["compute"] == roofs["memory"] == 0
    assert machine.calls[ANY_KIND].what == "sum of two numbers"
