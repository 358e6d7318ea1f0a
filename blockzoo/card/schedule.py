"""Which parts of a card are made within its time: what is worth most for its seconds first; what does not fit is left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from blockzoo.core.errors import reason_of
from blockzoo.core.progress import working

Clock = Callable[[], float]
Desk = TypeVar("Desk")
Of = TypeVar("Of", contravariant=True)
Status = Literal["done", "no time", "cannot"]


class TimeIsUp(Exception):
    """A part took longer than there was time; what it has done so far is kept where it can be gone on from."""


@dataclass(frozen=True)
class Made:
    """What a part came to.

    Args:
        figures: by name, units in the names.
        says: sentences.
        n: how often each thing was measured, by what it is.
        command: that makes these figures alone.
        pictures: for the page alone.
    """

    figures: dict[str, Any] = field(default_factory=dict)
    says: list[str] = field(default_factory=list)
    n: dict[str, int] = field(default_factory=dict)
    command: str = ""
    pictures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a part.

    Args:
        part: its name.
        title: in words.
        status: done; no time: its estimate did not fit, or it ran out of time; cannot: the subject cannot, see `why`.
        why: it is not there.
        estimated_s: before it.
        took_s: what it did take; None where it was not begun.
        made: what it came to.
    """

    part: str
    title: str
    status: Status
    why: str = ""
    estimated_s: float | None = None
    took_s: float | None = None
    made: Made = field(default_factory=Made)

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values, pictures left out."""
        values = asdict(self)
        values["made"].pop("pictures")
        return values


class CardPart(Protocol[Of]):
    """A part of a card."""

    @property
    def name(self) -> str:
        """Equal names are one thing on the page."""
        ...

    @property
    def title(self) -> str:
        """In words."""
        ...

    @property
    def worth(self) -> float:
        """Beside other parts."""
        ...

    @property
    def after(self) -> tuple[str, ...]:
        """Names or titles of parts that come before it, whatever they come to."""
        ...

    def seconds(self, desk: Of) -> float:
        """What it will take, by what is known now.

        Raises:
            BlockzooError: it cannot be made.
            TimeIsUp: not even that can be found out in the time that is left.
        """
        ...

    def make(self, desk: Of, within: float) -> Made:
        """Do it.

        Args:
            desk: what the parts share.
            within: seconds that are left.

        Raises:
            BlockzooError: the subject cannot; says why.
            TimeIsUp: it took longer than that.
        """
        ...


@dataclass
class Schedule(Generic[Desk]):
    """The parts of a card, and the time for them.

    Args:
        parts: all of them.
        budget_s: of the whole command.
        began: on the clock, when the command did: see `core.began`.
        reserve_s: for what comes after the parts.
        clock: in seconds.
    """

    parts: Sequence[CardPart[Desk]]
    budget_s: float
    began: float
    reserve_s: float = 2.0
    clock: Clock = time.perf_counter

    @property
    def left(self) -> float:
        """Seconds for parts."""
        return max(0.0, self.budget_s - self.reserve_s - (self.clock() - self.began))

    def run(self, desk: Desk, heard: Callable[[Outcome], None] = lambda outcome: None) -> list[Outcome]:
        """Make what fits.

        Args:
            desk: what the parts share.
            heard: told of each outcome.

        Returns:
            What became of each part, in the order in which that was known.
        """
        waiting, outcomes = list(self.parts), list[Outcome]()

        def known(outcome: Outcome) -> None:
            outcomes.append(outcome)
            heard(outcome)

        with working("card", len(waiting), "parts") as task:
            while waiting:
                ready = [part for part in waiting if not self._waits(part, waiting)]
                estimates = dict[str, float]()
                for part in ready:
                    try:
                        estimates[_key(part)] = max(part.seconds(desk), 1e-3)
                    except TimeIsUp:
                        waiting.remove(part)
                        why = f"{in_words(self.left)} of {in_words(self.budget_s)} were left, too little to estimate it"
                        known(Outcome(part.name, part.title, "no time", why))
                    except Exception as error:
                        waiting.remove(part)
                        known(Outcome(part.name, part.title, "cannot", reason_of(error)))
                fitting = [part for part in ready if estimates.get(_key(part), float("inf")) <= self.left]
                if not fitting:  # nor will they later; what waits for them may
                    for part in (one for one in ready if one in waiting):
                        waiting.remove(part)
                        known(self._left_out(part, estimates[_key(part)]))
                    continue
                part = max(fitting, key=lambda one: one.worth / estimates[_key(one)])
                waiting.remove(part)
                known(self._made(part, desk, estimates[_key(part)]))
                task.at(len(self.parts) - len(waiting))
        return outcomes

    def _waits(self, part: CardPart[Desk], waiting: Sequence[CardPart[Desk]]) -> bool:
        return any({other.name, other.title} & set(part.after) for other in waiting if other is not part)

    def _made(self, part: CardPart[Desk], desk: Desk, estimate: float) -> Outcome:
        begin, left = self.clock(), self.left
        label = (part.name, part.title)
        try:
            findings = part.make(desk, left)
        except TimeIsUp as over:
            took = self.clock() - begin
            why = f"estimated at {in_words(estimate)}, it was not done after {in_words(took)}; the same command goes on with it"
            return Outcome(*label, "no time", str(over) or why, estimate, took)
        except Exception as error:
            return Outcome(*label, "cannot", reason_of(error), estimate, self.clock() - begin)
        return Outcome(*label, "done", "", estimate, self.clock() - begin, findings)

    def _left_out(self, part: CardPart[Desk], needs: float) -> Outcome:
        why = f"needs about {in_words(needs)}, and {in_words(self.left)} of {in_words(self.budget_s)} were left for it"
        return Outcome(part.name, part.title, "no time", why, needs)


def _key(part: CardPart[Any]) -> str:
    return f"{part.name}\n{part.title}"


def in_words(seconds: float) -> str:
    """A time.

    Examples:
        >>> in_words(42.2), in_words(600), in_words(90)
        ('42 s', '10 min', '1 min 30 s')
    """
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    return f"{whole} s" if not minutes else f"{minutes} min" + (f" {rest} s" if rest else "")


def left_out(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """What is not there and why, in words, parts of one kind together."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        if one.status != "done":
            groups.setdefault((one.part, one.status if one.status == "no time" else one.why), []).append(one)
    return [_together(of, sum(other.part == of[0].part for other in outcomes)) for of in groups.values()]


def _together(of: Sequence[Outcome], total: int) -> tuple[str, str]:
    first, last = of[0], of[-1]
    if len(of) == 1:
        return first.title, first.why
    title = f"{first.part}, {len(of)} of {total} pairs of trainings ({first.title} to {last.title})"
    estimates = [one.estimated_s for one in of if one.estimated_s is not None]
    if first.status != "no time" or not estimates:
        return title, first.why
    return title, f"together they need about {in_words(sum(estimates))}; the first of them {first.why}"
