"""Times that can be compared: contenders take turns in shuffled rounds, one of them twice."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.progress import working
from blockzoo.measure.deadline import Deadline

REFERENCE = "reference (A/A)"
"""Name of the second instance of the first contender: equal work, so its distance from 1 is the noise."""


@dataclass(frozen=True)
class Schedule:
    """How long to time. Rounds end at `rounds`, or when `seconds` are spent: these bound everything, the warm-up too.

    Only the first round is always made, so that there is a number at all.
    """

    warmup_rounds: int | None = None  # None: until stable, for at most a quarter of the time
    rounds: int | None = None  # None: as many as `seconds` allow
    seconds: float = 10.0
    most_rounds: int = 200
    most_warmup_rounds: int = 30

    def __post_init__(self) -> None:
        if self.warmup_rounds is not None and self.warmup_rounds < 0:
            raise UsageError(f"warm-up runs {self.warmup_rounds}: give 0 or more")
        if self.rounds is not None and self.rounds < 1:
            raise UsageError(f"benchmark runs {self.rounds}: give 1 or more")


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
            return float(start.elapsed_time(end))
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
    shuffle, deadline = random.Random(seed), Deadline(schedule.seconds)
    longest: dict[str, float] = {}

    def one_round(*, needed: bool = False) -> dict[str, float] | None:
        """Times of one round; None where the time does not suffice for the rest of it, unless it is needed."""
        order, times = list(contenders), {}
        shuffle.shuffle(order)
        for place, name in enumerate(order):
            rest = sum(longest.get(other, 0.0) for other in order[place:]) / 1e3
            if not needed and deadline.left() <= rest:
                return None
            times[name] = clock.time_ms(contenders[name])
            longest[name] = max(longest.get(name, 0.0), times[name])
        return times

    samples: dict[str, list[float]] = {name: [] for name in contenders}
    rounds = schedule.rounds or schedule.most_rounds
    with working("timing", 1.0, steady=True) as task:
        cold = _warm_up(one_round, schedule, Deadline(schedule.seconds / 4))
        _take(samples, one_round, cold, rounds, lambda done: task.at(max(done / rounds, deadline.spent)))
    return samples


def _take(
    samples: dict[str, list[float]],
    one_round: Callable[..., dict[str, float] | None],
    cold: dict[str, float] | None,
    rounds: int,
    report: Callable[[int], None],
) -> None:
    """Add the times of the rounds to the samples, as long as there is time."""
    for done in range(rounds):
        report(done)
        measured = one_round(needed=done == 0 and cold is None)
        if measured is None and done == 0:
            measured = cold  # one cold call of each is all that fits
        if measured is None:
            break
        for name, milliseconds in measured.items():
            samples[name].append(milliseconds)
        if measured is cold:
            break


def _warm_up(
    one_round: Callable[..., dict[str, float] | None], schedule: Schedule, deadline: Deadline
) -> dict[str, float] | None:
    """Rounds that are thrown away, by default until the last three are within 5 % of the three before; the last of them."""
    most = schedule.most_warmup_rounds if schedule.warmup_rounds is None else schedule.warmup_rounds
    totals: list[float] = []
    last = None
    while len(totals) < most and (not totals or schedule.warmup_rounds is not None or deadline.left()):
        times = one_round(needed=not totals)
        if times is None:
            break
        last = times
        totals.append(sum(times.values()))
        if schedule.warmup_rounds is None and len(totals) >= 6:
            before, after = statistics.median(totals[-6:-3]), statistics.median(totals[-3:])
            if abs(after / before - 1) < 0.05:
                break
    return last
