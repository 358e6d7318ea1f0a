"""Schedules (a door): a factor over the rounds, for learning rates, K, or the share of active workers.

In text: `constant`, `cosine`, `linear:0.1` (from 1 to 0.1), `step:0.5@30,60` (times 0.5 after rounds 30 and 60), `warmup:10`.
"""

from __future__ import annotations

import math

from blockzoo.blockwise.contracts import SCHEDULES, Schedule


def make_schedule(text: str) -> Schedule:
    """The schedule a text describes.

    Raises:
        UsageError: no such schedule, or an argument it cannot use.
    """
    return SCHEDULES.make(text)


def _share(text: str) -> float:
    """A factor in text: a number of 0 or more."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError
    return value


@SCHEDULES.register("constant")
class Constant:
    """`constant`: 1 in every round."""

    def __init__(self, argument: str = "") -> None: ...

    def factor(self, round: int, rounds: int) -> float:
        """1."""
        return 1.0


@SCHEDULES.register("cosine")
class Cosine:
    """`cosine` or `cosine:0.01`: half a cosine from 1 to 0, or to that share, at the last round."""

    def __init__(self, argument: str = "") -> None:
        self.end = _share(argument or "0")

    def factor(self, round: int, rounds: int) -> float:
        """The cosine at the beginning of the round."""
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * round / rounds)) / 2


@SCHEDULES.register("linear")
class Linear:
    """`linear:0.1`: a straight line from 1 to 0.1."""

    def __init__(self, argument: str) -> None:
        self.end = _share(argument)

    def factor(self, round: int, rounds: int) -> float:
        """The line at the beginning of the round."""
        return 1 + (self.end - 1) * round / rounds


@SCHEDULES.register("step")
class Step:
    """`step:0.5@30,60`: times 0.5 from rounds 30 and 60 on."""

    def __init__(self, argument: str) -> None:
        by, _, places = argument.partition("@")
        self.by, self.places = _share(by), [int(place) for place in places.split(",")]

    def factor(self, round: int, rounds: int) -> float:
        """As many times as rounds are passed."""
        return float(self.by ** sum(round >= place for place in self.places))


@SCHEDULES.register("warmup")
class Warmup:
    """`warmup:10`: a straight line up to 1 over the first 10 rounds."""

    def __init__(self, argument: str) -> None:
        self.length = int(argument)
        if self.length < 1:
            raise ValueError

    def factor(self, round: int, rounds: int) -> float:
        """The line at the end of the round, so that the first is not lost."""
        return min(1.0, (round + 1) / self.length)
