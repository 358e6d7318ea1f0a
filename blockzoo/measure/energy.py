"""Joules per image: what a counter of energy says of calls in a row, in shuffled rounds, and of the machine when it idles."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from blockzoo.measure.interleaving import Clock
    from blockzoo.measure.meters import Meter

ROUNDS = 3
LONGEST = 2.0
"""Seconds that a contender runs in each round, where there is time."""
IDLE = 1.0
"""Seconds of idling before and after the rounds."""


@dataclass(frozen=True)
class Energy:
    """What one network takes by the counters, all of it: what the machine takes when it idles too, and whatever else runs.

    Args:
        joules_per_image: median over rounds.
        low, high: the least and the largest of them.
        watts: while it ran, median over rounds.
        idle_watts: with nothing to compute, before and after.
        aa_ratio: of the reference of its way to the first network, which is equal work: its distance from 1 is the noise.
        what: is in the counters.
    """

    joules_per_image: float
    low: float
    high: float
    watts: float
    idle_watts: float
    aa_ratio: float
    what: str

    def columns(self) -> dict[str, Any]:
        """One flat row."""
        return {
            "joules_per_image": self.joules_per_image,
            "joules_low": self.low,
            "joules_high": self.high,
            "watts": self.watts,
            "idle_watts": self.idle_watts,
            "energy_aa_ratio": self.aa_ratio,
            "energy_of": self.what,
        }


@dataclass(frozen=True)
class Consumption:
    """Joules and seconds of the calls of one contender in each round, and how many images these were."""

    joules: list[float]
    seconds: list[float]
    images: list[int]

    @property
    def per_image(self) -> list[float]:
        return [joules / images for joules, images in zip(self.joules, self.images, strict=True)]

    @property
    def watts(self) -> float:
        return statistics.median(j / s for j, s in zip(self.joules, self.seconds, strict=True))


def consumptions(
    calls: Mapping[str, tuple[Callable[[], object], int]],
    clock: Clock,
    meter: Meter,
    seconds: float,
    *,
    seed: int = 0,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, Consumption], float]:
    """Of contenders that take turns in shuffled rounds, each running again and again for its share of the time.

    Args:
        calls: by name, each with the images in a call.
        clock: of the device that they run on.
        meter: of that device.
        seconds: for all of it, but for the last call of each round.
        seed: of the order in each round.
        wait: idles for so many seconds.

    Returns:
        What each took, and the watts of the idle machine.

    Raises:
        UsageError: there is too little time for the counters to show a difference, or they show none.
    """
    share = min(LONGEST, (seconds - 2 * IDLE) / (ROUNDS * max(1, len(calls))))
    if share < meter.least:
        least = 2 * IDLE + meter.least * ROUNDS * len(calls)
        raise UsageError(
            f"energies take {least:.2g} s or more at each batch size, as long as the times: give more --seconds"
        )

    def used(work: Callable[[], float]) -> tuple[float, float]:
        before = meter.read()
        spent = work()
        after = meter.read()
        joules = meter.joules(before, after)
        if joules <= 0:
            raise UsageError(
                f"the counters ({meter.what}) did not move in {spent:.2g} s, so they count nothing here"
            )
        return joules, spent

    def idle() -> float:
        wait(IDLE)
        return IDLE

    shuffle, idled = random.Random(seed), [used(idle)]
    consumed = {name: Consumption([], [], []) for name in calls}
    for _ in range(ROUNDS):
        order = list(calls)
        shuffle.shuffle(order)
        for name in order:
            call, images = calls[name]
            count = 0

            def work(call: Callable[[], object] = call) -> float:
                nonlocal count
                spent = 0.0
                while spent < share:
                    spent += clock.time_ms(call) / 1e3
                    count += 1
                return spent

            joules, spent = used(work)
            consumed[name].joules.append(joules)
            consumed[name].seconds.append(spent)
            consumed[name].images.append(count * images)
    idled.append(used(idle))
    return consumed, sum(joules for joules, _ in idled) / sum(spent for _, spent in idled)
