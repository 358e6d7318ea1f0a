"""Times of contenders at one batch size: taken in turns, judged, and taken again where they are doubtful."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from blockzoo.core.times import doubts, median_interval, p90, paired_ratio, throughput
from blockzoo.measure.deadline import Deadline

if TYPE_CHECKING:
    from blockzoo.measure.contenders import Contender, Failure, Setting
    from blockzoo.measure.interleaving import Clock, Schedule

ATTEMPTS = 3
"""Times that a run is made, where its reference is off or its samples are wild and there is time."""
PROBE = 16
"""A large batch is timed if a round of it fits; that is known from batches so many times smaller."""
LEAST_SAMPLES = 6
"""Of which a median has an interval."""


@dataclass(frozen=True)
class Timing:
    """Times of one network (or of its stage under test) at one batch size, with all samples in milliseconds.

    Args:
        part: "network" or "stage".
        noise: the A/A reference: median ratio and its 95 % interval.
        doubt: why it should not be taken as sure, after all attempts.
        checked: how far the form that is timed is from the one that is trained; None: it is that one.
    """

    subject: str
    part: str
    batch_size: int
    samples_ms: list[float] = field(repr=False)
    noise: tuple[float, tuple[float, float] | None]
    doubt: str = ""
    checked: float | None = None

    @property
    def latency_ms(self) -> float:
        """Median time of one call."""
        return statistics.median(self.samples_ms)

    def columns(self) -> dict[str, Any]:
        """One flat row of derived figures."""
        interval = median_interval(self.samples_ms) or (None, None)
        return {
            "subject": self.subject,
            "part": self.part,
            "batch_size": self.batch_size,
            "latency_ms": self.latency_ms,
            "latency_low_ms": interval[0],
            "latency_high_ms": interval[1],
            "latency_p90_ms": p90(self.samples_ms),
            "latency_std": statistics.stdev(self.samples_ms) if len(self.samples_ms) > 1 else 0.0,
            "throughput": throughput(self.samples_ms, self.batch_size),
            "n": len(self.samples_ms),
            "aa_ratio": self.noise[0],
            "doubt": self.doubt,
            "checked": self.checked,
        }


def round_seconds(setting: Setting, contenders: list[Contender], clock: Clock, enough: float) -> float:
    """What one call of each at this batch size takes, from one call of each at a `PROBE`th of it; 0 for small batches.

    Ends where it has come to more than `enough`.
    """
    import torch

    seconds = 0.0
    if setting.batch_size < PROBE or enough == float("inf"):
        return seconds
    small = replace(setting, batch_size=setting.batch_size // PROBE)
    with torch.inference_mode():
        for contender in contenders:
            try:
                seconds += clock.time_ms(small.call(contender)) * PROBE / 1e3
            except Exception:  # `timings_of` says it
                continue
            if seconds > enough:
                break
    return seconds


def timings_of(
    setting: Setting,
    contenders: list[Contender],
    clock: Clock,
    schedule: Schedule,
    deadline: Deadline,
    failures: list[Failure] | None = None,
) -> list[Timing]:
    """Times of all contenders in one setting that can be called in it; why the others cannot is added to `failures`, or raised
    where this is None.
    """
    from blockzoo.measure.contenders import ContenderFailed, Failure

    running = list(contenders)
    while running:
        try:
            return _in_turns(setting, running, clock, schedule, deadline)
        except ContenderFailed as fault:
            failed = fault.contender
            if failures is None:
                raise fault.error from None
            failures.append(Failure(failed.subject, failed.part, setting.batch_size, fault.error))
            running = [contender for contender in running if contender is not failed]
    return []


def _in_turns(
    setting: Setting, contenders: list[Contender], clock: Clock, schedule: Schedule, deadline: Deadline
) -> list[Timing]:
    """All contenders in one setting, and a second instance of the first as the noise.

    They are timed again, up to `ATTEMPTS` times in all, where the reference is off or samples are wild and time is left; the
    attempt with the fewest doubts counts.
    """
    import torch

    from blockzoo.measure.contenders import naming
    from blockzoo.measure.interleaving import REFERENCE, interleave

    def ready(contender: Contender) -> Callable[[], Any]:
        return naming(contender, naming(contender, lambda: setting.call(contender))())

    calls = {f"{c.subject}\n{c.part}": ready(c) for c in contenders} | {REFERENCE: ready(contenders[0])}
    best: list[Timing] = []
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for attempt in range(ATTEMPTS):
        before = deadline.left()
        share = before if attempt == ATTEMPTS - 1 else before / 2
        go_on = 0 < len(samples[REFERENCE]) < LEAST_SAMPLES  # slow calls: more of them, not others
        asked = replace(schedule, seconds=share, warmup_rounds=0 if go_on else schedule.warmup_rounds)
        with torch.inference_mode():
            new = interleave(calls, clock, asked, seed=setting.seed + attempt)
        samples = {name: samples[name] + new[name] for name in calls} if go_on else new
        noise = paired_ratio(samples[REFERENCE], samples[next(iter(calls))])
        timings = _judged(setting, contenders, samples, noise)
        if not best or go_on or _doubtful(timings) < _doubtful(best):
            best = timings
        took = before - deadline.left() if deadline.seconds < float("inf") else 0.0
        asked_for_few = schedule.rounds is not None and schedule.rounds < LEAST_SAMPLES
        slowest = sum(max(times) for times in samples.values()) / 1e3
        enough = deadline.left() < (slowest if len(samples[REFERENCE]) < LEAST_SAMPLES else took)
        if not _doubtful(timings) or asked_for_few or enough:
            break
    return best


def _doubtful(timings: list[Timing]) -> int:
    return sum(bool(timing.doubt) for timing in timings)


def _judged(
    setting: Setting,
    contenders: list[Contender],
    samples: dict[str, list[float]],
    noise: tuple[float, tuple[float, float] | None],
) -> list[Timing]:
    """Timings with what speaks against each."""
    timings = []
    for c in contenders:
        own = samples[f"{c.subject}\n{c.part}"]
        reasons = doubts(own, noise)
        whole = samples.get(f"{c.subject}\nnetwork")
        if c.part == "stage" and whole and statistics.median(own) > statistics.median(whole):
            reasons.append("slower than the network it is part of")
        timings.append(
            Timing(c.subject, c.part, setting.batch_size, own, noise, ", ".join(reasons), c.checked)
        )
    return timings
