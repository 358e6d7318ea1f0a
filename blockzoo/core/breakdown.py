"""Where the time of a network goes, operation by operation, beside that of the whole."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from blockzoo.core.roofline import Group, Timed, together

ADDS_UP = 0.1
"""Of the time of a whole call, how far the sum of its operations' times may be from it."""


@dataclass(frozen=True)
class Breakdown:
    """Where the time of one network (or of its stage under test) goes, at one batch size.

    Args:
        subject: what was timed.
        part: "network" or "stage".
        batch_size: images a call.
        timed: its operations, in their order.
        whole_ms: samples of plain calls, taken in turns with those of `watched_ms`.
        watched_ms: samples of calls whose operations are timed one by one; the clock's own time is in them.
        doubt: why the time of the whole should not be taken as sure.
        checked: how far the form that is timed is from the one that is trained; None: it is that one.
    """

    subject: str
    part: str
    batch_size: int
    timed: tuple[Timed, ...] = field(repr=False)
    whole_ms: tuple[float, ...] = field(repr=False)
    watched_ms: tuple[float, ...] = field(repr=False)
    doubt: str = ""
    checked: float | None = None

    @property
    def all(self) -> Group:
        """All its operations; its time is that of their medians, added up."""
        return together("all", self.timed)

    @property
    def parts(self) -> float:
        """Milliseconds of all its operations in one call: the median over the calls, as that of the whole is."""
        rounds = zip(*(one.samples_ms for one in self.timed), strict=True)
        return statistics.median(map(sum, rounds)) if self.timed else 0.0

    @property
    def whole(self) -> float:
        """Median of its plain calls in milliseconds."""
        return statistics.median(self.whole_ms)

    @property
    def watched(self) -> float:
        """Median of its calls whose operations are timed, in milliseconds."""
        return statistics.median(self.watched_ms)

    @property
    def adds_up(self) -> bool:
        """Do its operations take as long as the whole, within `ADDS_UP`?"""
        return abs(self.parts / self.whole - 1) <= ADDS_UP

    @property
    def steady(self) -> bool:
        """Do the medians of its operations add up to the median of their sums, within `ADDS_UP`? They do not where other work
        takes the processor away once in most calls, and seldom from one operation.
        """
        return abs(self.all.ms / self.parts - 1) <= ADDS_UP

    @property
    def label(self) -> str:
        """The subject, with the batch size."""
        return f"{self.subject}, {self.part}, batch {self.batch_size}"
