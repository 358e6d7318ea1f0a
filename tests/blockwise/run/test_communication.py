"""The simulated clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blockzoo.blockwise.run.communication import Network, SimulatedClock
from blockzoo.core.errors import UsageError


def test_the_clock_by_hand() -> None:
    clock = SimulatedClock(Network(delay_s=0.5, step_s=0.1, bandwidth_bytes_per_s=100))
    assert clock.round(0, [2, 3], 400) == pytest.approx(0.3 + 0.5 + 2)
    assert clock.round(1, [2, 3], 400, one_after_the_other=True) == pytest.approx(0.5 + 2 * 0.5 + 4)
    assert clock.now_s == pytest.approx(2.8 + 5.5)
    slow = Network(step_s=1.0, straggler_share=0.5, straggler_factor=10)
    times = [SimulatedClock(slow).round(n, [1, 1], 0) for n in range(3)]
    assert times == [10.0, 10.0, 10.0]
    one = [SimulatedClock(replace(slow, straggler_share=0.25)).round(n, [1, 1, 1, 5], 0) for n in range(20)]
    assert set(one) == {10.0, 50.0} or set(one) == {10.0, 5.0, 50.0}
    for wrong in ({"delay_s": -1}, {"bandwidth_bytes_per_s": 0}, {"straggler_share": 2}, {"step_s": -1}):
        with pytest.raises(UsageError):
            Network(**wrong)
