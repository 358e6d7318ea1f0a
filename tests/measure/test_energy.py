"""Joules per image under a made clock and a made counter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from blockzoo.benchmark import benchmark_block
from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from blockzoo.measure.contenders import Contender, Setting
from blockzoo.measure.deadline import Deadline
from blockzoo.measure.energy import consumptions
from blockzoo.measure.interleaving import Clock, Schedule
from blockzoo.measure.meters import Rapl, Reading
from blockzoo.measure.timings import timings_of


class Machine:
    """A clock and a counter: 10 W idle, and what a call says it takes in watts, for 0.1 s."""

    what, least = "a made counter", 0.1

    def __init__(self, works: bool = True) -> None:
        self.now, self.microjoules, self.works, self.order = 0.0, 0.0, works, list[float]()

    def wait(self, seconds: float) -> None:
        self.pass_by(seconds, 10)

    def time_ms(self, call: Callable[[], Any]) -> float:
        watts = float(call())
        self.order.append(watts)
        self.pass_by(0.1, watts)
        return 100.0

    def pass_by(self, seconds: float, watts: float) -> None:
        self.now += seconds
        self.microjoules += 1e6 * seconds * watts * self.works

    def read(self) -> Reading:
        return Reading((round(self.microjoules),), self.now)

    def joules(self, before: Reading, after: Reading) -> float:
        return (after.counters[0] - before.counters[0]) / 1e6


def test_joules_are_shared_among_the_images_of_all_calls() -> None:
    machine: Any = Machine()
    calls = {"one": (lambda: 30, 1), "batch": (lambda: 50, 8)}
    made, idle = consumptions(calls, machine, machine, 5.0, wait=machine.wait)
    assert idle == pytest.approx(10) and machine.now == pytest.approx(5, abs=0.7)
    assert made["one"].per_image == pytest.approx([3.0] * 3)
    assert made["batch"].per_image == pytest.approx([5 / 8] * 3)
    assert made["one"].watts == pytest.approx(30) and made["batch"].images == [40] * 3
    assert {machine.order[i] for i in (0, 10, 20)} == {30, 50}, "they take turns"


def test_too_little_time_and_counters_that_stand_still_give_no_number() -> None:
    machine: Any = Machine()
    with pytest.raises(UsageError, match=r"take 2\.3 s or more .*--seconds"):
        consumptions({"one": (lambda: 30, 1)}, machine, machine, 2.2, wait=machine.wait)
    still: Any = Machine(works=False)
    with pytest.raises(UsageError, match="did not move in 1 s"):
        consumptions({"one": (lambda: 30, 1)}, still, still, 9.0, wait=still.wait)


def test_a_time_has_its_energy_and_what_equal_work_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blockzoo.measure.energy.IDLE", 0.01)
    place = torch.device("cpu")

    class Steps(Machine):
        """Counts a joule each time it is read."""

        def read(self) -> Reading:
            self.microjoules += 1e6
            return Reading((round(self.microjoules),), 0.0)

    net = Contender("net", "network", nn.Conv2d(3, 2, 3).eval(), (1, 3, 4, 4))
    meter: Any = Steps()
    given: Any = [Setting(place)], [net], Clock(place), Schedule(0, 6), Deadline(2.0)
    (timing,) = timings_of(*given, None, meter)
    row = timing.columns()
    assert timing.energy is not None and timing.energy.what == "a made counter"
    assert 0 < row["joules_low"] <= row["joules_per_image"] <= row["joules_high"] < 1
    assert row["idle_watts"] > 0 and math.isfinite(row["energy_aa_ratio"])
    (short,) = timings_of([Setting(place)], [net], Clock(place), Schedule(0, 6), Deadline(0.4), None, meter)
    assert short.energy is None and "joules_per_image" not in short.columns(), "no time left for it"


def test_where_it_cannot_be_read_times_are_shown_and_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("blockzoo.measure.meters.meter_of", lambda device: Rapl(tmp_path / "none"))
    small: dict[str, Any] = {"base_channels": 4, "num_blocks": 1, "batch_sizes": (1,), "benchmark_runs": 1,
                             "device": "cpu", "stage": False, "energy": True}  # fmt: skip
    timed = benchmark_block("ResNetBasicBlock", **small)
    assert timed.timings[0].energy is None and "containers and virtual machines" in caplog.text
    with pytest.raises(UsageError, match="containers and virtual machines"):
        benchmark_block("ResNetBasicBlock", **small, strict=True)


@pytest.mark.slow
def test_the_command_has_a_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine()
    monkeypatch.setattr("blockzoo.measure.meters.meter_of", lambda device: machine)
    monkeypatch.setattr("blockzoo.measure.energy.IDLE", 0.01)
    monkeypatch.setattr(machine, "joules", lambda before, after: 2.0)
    words = "--base-channels 4 --num-blocks 1 --no-stage --device cpu --batch-sizes 1 --seconds 4 --energy".split()
    assert main(["benchmark", "ResNetBasicBlock", *words]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "J/image" in text
        and "Energy at batch 1: a made counter" in text
        and "idle power in it: 200 W" in text
    )
