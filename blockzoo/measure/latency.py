"""Times that can be compared: contenders take turns in shuffled rounds, one of them twice."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from blockzoo.core.errors import RequestError

REFERENCE = "reference (A/A)"
"""Name of the second instance of the first contender: equal work, so its distance from 1 is the noise."""


@dataclass(frozen=True)
class Schedule:
    """How long to time. Rounds end at `rounds`, or when `seconds` are spent and `least_rounds` are done."""

    warmup_rounds: int | None = None  # None: until stable, at most `most_warmup_rounds`
    rounds: int | None = None  # None: as many as `seconds` allow
    seconds: float = 10.0
    least_rounds: int = 10
    most_rounds: int = 200
    most_warmup_rounds: int = 30

    def __post_init__(self) -> None:
        if self.warmup_rounds is not None and self.warmup_rounds < 0:
            raise RequestError(f"warm-up runs {self.warmup_rounds}: give 0 or more")
        if self.rounds is not None and self.rounds < 1:
            raise RequestError(f"benchmark runs {self.rounds}: give 1 or more")


class Clock:
    """Milliseconds of one call: the wall clock on a CPU, events on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"

    def time_ms(self, call: Callable[[], object]) -> float:
        """Run `call` once, from an idle device to an idle device."""
        if self._cuda:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize()
            start.record()
            call()
            end.record()
            torch.cuda.synchronize()
            return start.elapsed_time(end)
        begin = time.perf_counter_ns()
        call()
        return (time.perf_counter_ns() - begin) / 1e6


def interleave(
    contenders: Mapping[str, Callable[[], object]], clock: Clock, schedule: Schedule, *, seed: int = 0
) -> dict[str, list[float]]:
    """Samples in milliseconds for every contender; sample i of all comes from round i.

    In each round every contender runs once, in a freshly shuffled order, so that a drift of the machine's speed
    touches all alike and ratios can be taken round by round.
    """
    shuffle = random.Random(seed)

    def one_round() -> dict[str, float]:
        order = list(contenders)
        shuffle.shuffle(order)
        return {name: clock.time_ms(contenders[name]) for name in order}

    _warm_up(one_round, schedule)
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    begin = time.perf_counter()
    for done in range(schedule.rounds or schedule.most_rounds):
        spent = time.perf_counter() - begin
        if schedule.rounds is None and done >= schedule.least_rounds and spent > schedule.seconds:
            break
        for name, milliseconds in one_round().items():
            samples[name].append(milliseconds)
    return samples


def _warm_up(one_round: Callable[[], dict[str, float]], schedule: Schedule) -> None:
    """Rounds that are thrown away, by default until the last three are within 5 % of the three before."""
    if schedule.warmup_rounds is not None:
        for _ in range(schedule.warmup_rounds):
            one_round()
        return
    totals: list[float] = []
    begin = time.perf_counter()
    while len(totals) < schedule.most_warmup_rounds and time.perf_counter() - begin < schedule.seconds:
        totals.append(sum(one_round().values()))
        if len(totals) >= 6:
            before, after = statistics.median(totals[-6:-3]), statistics.median(totals[-3:])
            if abs(after / before - 1) < 0.05:
                return
