"""A sweep of many trials on many workers, on paper: how busy is its one supervisor, and how long do workers wait for it?

    python scripts/simulate_sweep.py --trials 100000 --workers 1000

One event at a time: a worker ends, its record waits until the supervisor is free, is stored, and the worker gets its next trial.
Workers die at random times and their trials are tried again, from the last epoch or from the beginning. What storing a record
costs is measured here first, into a store of its own; what handing a trial to the cluster costs is a parameter: an assumption.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store

BACK = -1.0
"""What is left of the trial of a worker that has none."""


@dataclass(frozen=True)
class Setting:
    """What is simulated; seconds.

    Args:
        trials, workers: how many.
        minutes: the median length of a trial; lengths are log-normal, a few of them many times as long.
        spread: standard deviation of their logarithm.
        store, hand: what the supervisor does for each trial that ends, and for each that begins.
        hours_to_death: mean time until a worker dies; it is back after `back` seconds.
        epochs: of a trial, after each of which it is saved; 0 where nothing is shared, and trials begin anew.
    """

    trials: int
    workers: int
    minutes: float
    spread: float = 0.6
    store: float = 0.005
    hand: float = 0.002
    hours_to_death: float = 100.0
    back: float = 300.0
    epochs: int = 10


@dataclass(frozen=True)
class Outcome:
    """What came of it: hours from begin to end, those that could not be beaten, shares, and how many were tried again."""

    hours: float
    ideal_hours: float
    supervisor_busy: float
    workers_waited: float
    longest_wait: float
    again: int


def simulate(setting: Setting, seed: int = 0) -> Outcome:
    """Run the events; workers are alike, the supervisor does one thing at a time, first come, first served."""
    draw = random.Random(seed)
    lengths = [draw.lognormvariate(0, setting.spread) * setting.minutes * 60 for _ in range(setting.trials)]
    waiting = list(reversed(lengths))
    free, busy, waited, longest, again = 0.0, 0.0, 0.0, 0.0, 0
    events: list[tuple[float, float]] = []  # when a worker speaks next, and what is left of its trial then

    def given(now: float) -> tuple[float, float]:
        length = waiting.pop()
        death = draw.expovariate(1 / (setting.hours_to_death * 3600))
        if death >= length:
            return now + length, 0.0
        saved = length * (int(death / length * setting.epochs) / setting.epochs if setting.epochs else 0.0)
        return now + death, length - saved

    for _ in range(min(setting.workers, setting.trials)):
        free += setting.hand
        heapq.heappush(events, given(free))
    end = 0.0
    while events:
        now, left = heapq.heappop(events)
        if left > 0:  # its worker died: the trial waits for any other, the worker is back later
            again += 1
            waiting.append(left)
            heapq.heappush(events, (now + setting.back, BACK))
            continue
        work = (setting.store if left != BACK else 0.0) + (setting.hand if waiting else 0.0)
        begin = max(now, free)
        free, busy = begin + work, busy + work
        waited, longest = waited + free - now, max(longest, free - now)
        end = max(end, free) if left != BACK or waiting else end
        if waiting:
            heapq.heappush(events, given(free))
    ideal = max(sum(lengths) / setting.workers, max(lengths))
    return Outcome(end / 3600, ideal / 3600, busy / end, waited / (end * setting.workers), longest, again)


def seconds_of_storing(records: int = 100) -> float:
    """The median of adding a record of ten epochs, durable, to a store on this machine's temporary folder."""
    trial = TrialSpec(NetworkSpec("ResNetBasicBlock/mid"), threads=1)
    record = Record("trial", trial.fingerprint(), trial.network.subject, trial.to_json())
    record.samples = {name: [0.123456789] * 10 for name in ("train_loss", "val_loss", "val_acc", "seconds")}
    times = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "results.sqlite")
        for number in range(records):
            record.fingerprint = f"{number:016x}"
            began = time.perf_counter()
            store.add(record)
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument(
        "--hand", type=float, default=0.002, help="seconds to hand a trial to the cluster, assumed"
    )
    asked = parser.parse_args()
    store = seconds_of_storing()
    print(
        f"storing a record: {store * 1000:.2f} ms, measured here; handing one out: {asked.hand * 1000:g} ms, assumed"
    )
    print(
        "| median trial | saved | hours | at best | supervisor busy | workers waited | longest wait, s | tried again |"
    )
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    for minutes, epochs in ((1 / 6, 10), (1.0, 10), (10.0, 10), (60.0, 10), (60.0, 0)):
        setting = Setting(asked.trials, asked.workers, minutes, store=store, hand=asked.hand, epochs=epochs)
        sweep = simulate(setting)
        print(
            f"| {minutes * 60:g} s | {'each epoch' if epochs else 'never'} | {sweep.hours:.2f} | {sweep.ideal_hours:.2f} "
            f"| {sweep.supervisor_busy:.1%} | {sweep.workers_waited:.2%} | {sweep.longest_wait:.1f} | {sweep.again} |"
        )


if __name__ == "__main__":
    main()
