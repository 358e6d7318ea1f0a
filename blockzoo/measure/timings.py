"""Times of contenders at one batch size: taken in turns, judged, and taken again where they are doubtful."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from blockzoo.core.errors import UsageError
from blockzoo.core.progress import followed
from blockzoo.core.times import doubts, median_interval, p90, paired_ratio, throughput
from blockzoo.measure.deadline import Deadline
from blockzoo.measure.energy import Energy, consumptions
from blockzoo.measure.timing_options import Way

if TYPE_CHECKING:
    from blockzoo.measure.contenders import Contender, Failure, Made, Setting
    from blockzoo.measure.interleaving import Clock, Schedule
    from blockzoo.measure.meters import Meter
    from blockzoo.measure.onnx_files import Files

log = logging.getLogger(__name__)

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
        noise: the A/A reference of its way: median ratio and its 95 % interval.
        doubt: why it should not be taken as sure, after all attempts.
        checked: how far the form that is timed is from the one that is trained; None: it is that one.
        way: by which runtime, in which dtype.
        from_eager: how far what the runtime gives is from eager PyTorch in the same dtype; None: it is that.
        energy: what it takes; None: not asked for, or it could not be read.
    """

    subject: str
    part: str
    batch_size: int
    samples_ms: list[float] = field(repr=False)
    noise: tuple[float, tuple[float, float] | None]
    doubt: str = ""
    checked: float | None = None
    way: Way = Way()
    from_eager: float | None = None
    energy: Energy | None = None

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
            **self.way._asdict(),
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
            "from_eager": self.from_eager,
            **(self.energy.columns() if self.energy else {}),
        }


def round_seconds(
    settings: Sequence[Setting], contenders: list[Contender], clock: Clock, enough: float
) -> float:
    """What one call of each at this batch size takes, by eager PyTorch in the dtype of each, from one call of each at a `PROBE`th
    of it; 0 for small batches.

    Ends where it has come to more than `enough`.
    """
    import torch

    seconds, durations = 0.0, {}
    if settings[0].batch_size < PROBE or enough == float("inf"):
        return seconds
    with torch.inference_mode():
        for setting in settings:
            small = replace(setting, batch_size=setting.batch_size // PROBE, runtime="eager")
            for place, contender in enumerate(contenders):
                try:
                    if (small.dtype, place) not in durations:
                        durations[small.dtype, place] = clock.time_ms(small.call(contender)) * PROBE / 1e3
                except Exception:  # `timings_of` says it
                    continue
                seconds += durations[small.dtype, place]
                if seconds > enough:
                    return seconds
    return seconds


@dataclass(frozen=True)
class Entrant:
    """A contender in one setting, ready to be called; `reference`: a second instance, whose times show the noise of its way."""

    setting: Setting
    contender: Contender
    made: Made
    reference: bool = False

    @property
    def name(self) -> str:
        """By which its samples are kept."""
        from blockzoo.measure.interleaving import REFERENCE

        whose = REFERENCE if self.reference else f"{self.contender.subject}\n{self.contender.part}"
        return f"{self.setting.way}\n{whose}"

    def call(self) -> object:
        """What is timed.

        Raises:
            EntrantFailed: it cannot be done.
        """
        try:
            return self.made.call()
        except Exception as error:
            raise EntrantFailed(self, error) from error


class EntrantFailed(Exception):
    """A call failed: whose, and how."""

    def __init__(self, entrant: Entrant, error: Exception) -> None:
        super().__init__(entrant.name, error)
        self.entrant, self.error = entrant, error


def timings_of(
    settings: Sequence[Setting],
    contenders: list[Contender],
    clock: Clock,
    schedule: Schedule,
    deadline: Deadline,
    failures: list[Failure] | None = None,
    meter: Meter | None = None,
) -> list[Timing]:
    """Times of all contenders in all settings that can be called in them, all in turns; why the others cannot is added to
    `failures`, or raised where this is None. The settings differ in their way alone.
    With a meter the second half of the time is for their energies.
    """
    from blockzoo.measure.contenders import Failure

    def fails(setting: Setting, contender: Contender, error: Exception) -> None:
        if failures is None:
            raise error from None
        failures.append(Failure(contender.subject, contender.part, setting.batch_size, error, setting.way))

    ready = Ready(settings, contenders, fails)
    if deadline.left() < deadline.seconds / 2:
        log.warning(
            "making the networks ready for batch %d took %.2g of %.2g s: give more --seconds for surer times",
            settings[0].batch_size, deadline.seconds - deadline.left(), deadline.seconds,
        )  # fmt: skip
    while ready.entrants:
        try:
            half = Deadline(deadline.left() / 2) if meter else deadline
            timings = _in_turns(ready.everyone, clock, schedule, half)
            return timings if meter is None else _with_energy(timings, ready.everyone, clock, meter, deadline)
        except EntrantFailed as fault:
            fails(fault.entrant.setting, fault.entrant.contender, fault.error)
            ready.without(fault.entrant)
    return []


class Ready:
    """All contenders in all settings, as far as they can be made, and a second instance of the first in each way.

    Args:
        settings: that differ in their way alone.
        contenders: each is made in each.
        fails: hears of each that cannot be made.
    """

    def __init__(
        self,
        settings: Sequence[Setting],
        contenders: Sequence[Contender],
        fails: Callable[[Setting, Contender, Exception], None],
    ) -> None:
        self._fails = fails
        self._files: dict[int, Files] = {id(contender): {} for contender in contenders}
        every = [(setting, contender) for setting in settings for contender in contenders]
        making = followed(every, "making networks ready", len(every), "networks")
        candidates = [self._made(setting, contender) for setting, contender in making]
        self.entrants = [entrant for entrant in candidates if entrant is not None]
        self._references: dict[Way, Entrant] = {}
        self._refer()

    @property
    def everyone(self) -> list[Entrant]:
        """Those that are timed, and the references behind them."""
        return [*self.entrants, *self._references.values()]

    def without(self, failed: Entrant) -> None:
        """Leave one out, and where the reference was its second instance, take that of another."""
        way = failed.setting.way
        self.entrants = [
            one for one in self.entrants if (one.setting.way, one.contender) != (way, failed.contender)
        ]
        if self._references[way].contender is failed.contender:
            del self._references[way]
        self._refer()

    def _made(self, setting: Setting, contender: Contender, *, reference: bool = False) -> Entrant | None:
        try:
            prepared = setting.made(contender, self._files[id(contender)], check=not reference)
        except Exception as error:
            self._fails(setting, contender, error)
            return None
        return Entrant(setting, contender, prepared, reference)

    def _refer(self) -> None:
        for entrant in list(self.entrants):
            way = entrant.setting.way
            if way not in self._references:
                reference = self._made(entrant.setting, entrant.contender, reference=True)
                if reference is None:
                    self.entrants.remove(entrant)
                else:
                    self._references[way] = reference


def _in_turns(
    entrants: Sequence[Entrant], clock: Clock, schedule: Schedule, deadline: Deadline
) -> list[Timing]:
    """All entrants in turns; those that are references give the noise of their way.

    They are timed again, up to `ATTEMPTS` times in all, where a reference is off or samples are wild and time is left; the
    attempt with the fewest doubts counts.
    """
    import torch

    from blockzoo.measure.interleaving import interleave

    calls = {entrant.name: entrant.call for entrant in entrants}
    seed, one = entrants[0].setting.seed, entrants[0].name
    best: list[Timing] = []
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for attempt in range(ATTEMPTS):
        before = deadline.left()
        share = before if attempt == ATTEMPTS - 1 else before / 2
        go_on = 0 < len(samples[one]) < LEAST_SAMPLES  # slow calls: more of them, not others
        adjusted = replace(schedule, seconds=share, warmup_rounds=0 if go_on else schedule.warmup_rounds)
        with torch.inference_mode():
            new = interleave(calls, clock, adjusted, seed=seed + attempt)
        samples = {name: samples[name] + new[name] for name in calls} if go_on else new
        timings = _judged(entrants, samples)
        if not best or go_on or _doubtful(timings) < _doubtful(best):
            best = timings
        took = before - deadline.left() if deadline.seconds < float("inf") else 0.0
        asked_for_few = schedule.rounds is not None and schedule.rounds < LEAST_SAMPLES
        slowest = sum(max(times) for times in samples.values()) / 1e3
        enough = deadline.left() < (slowest if len(samples[one]) < LEAST_SAMPLES else took)
        if not _doubtful(timings) or asked_for_few or enough:
            break
    return best


def _with_energy(
    timings: list[Timing], entrants: Sequence[Entrant], clock: Clock, meter: Meter, deadline: Deadline
) -> list[Timing]:
    """The same with what each took, as far as it can be read; why it cannot is logged."""
    import torch

    calls = {one.name: (one.call, one.setting.batch_size) for one in entrants}
    try:
        with torch.inference_mode():
            used, idle = consumptions(calls, clock, meter, deadline.left(), seed=entrants[0].setting.seed)
    except UsageError as error:
        log.warning("no energy at batch %d: %s", entrants[0].setting.batch_size, error)
        return timings
    annotated, first = [], _firsts(entrants)
    noise = {
        one.setting.way: statistics.median(used[one.name].per_image)
        / statistics.median(used[first[one.setting.way]].per_image)
        for one in entrants
        if one.reference
    }
    for timing, entrant in zip(timings, (one for one in entrants if not one.reference), strict=True):
        joules = used[entrant.name].per_image
        watts, ratio = used[entrant.name].watts, noise[timing.way]
        median = statistics.median(joules)
        energy = Energy(median, min(joules), max(joules), watts, idle, ratio, meter.what)
        annotated.append(replace(timing, energy=energy))
    return annotated


def _firsts(entrants: Sequence[Entrant]) -> dict[Way, str]:
    """The name of the first entrant of each way, of which the reference is a second instance."""
    return {entrant.setting.way: entrant.name for entrant in reversed(entrants) if not entrant.reference}


def _doubtful(timings: list[Timing]) -> int:
    return sum(bool(timing.doubt) for timing in timings)


def _judged(entrants: Sequence[Entrant], samples: dict[str, list[float]]) -> list[Timing]:
    """Timings with what speaks against each."""
    first = _firsts(entrants)
    noise = {
        one.setting.way: paired_ratio(samples[one.name], samples[first[one.setting.way]])
        for one in entrants
        if one.reference
    }
    timings = []
    for entrant in entrants:
        if entrant.reference:
            continue
        c, way = entrant.contender, entrant.setting.way
        own = samples[entrant.name]
        reasons = doubts(own, noise[way])
        whole = samples.get(f"{way}\n{c.subject}\nnetwork")
        if c.part == "stage" and whole and statistics.median(own) > statistics.median(whole):
            reasons.append("slower than the network it is part of")
        batch, doubt = entrant.setting.batch_size, ", ".join(reasons)
        timings.append(
            Timing(c.subject, c.part, batch, own, noise[way], doubt, c.checked, way, entrant.made.from_eager)
        )
    return timings
