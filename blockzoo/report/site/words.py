"""Figures of a leaderboard as words, as its page's script writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from blockzoo.core.units import number
from blockzoo.report.accuracies import WORDS
from blockzoo.report.groups import is_number
from blockzoo.report.site.pairs import LETTERS

Value = TypeVar("Value")
NONE = "\u2013"
VERDICTS = {letter: word for word, letter in LETTERS.items()}


@dataclass(frozen=True)
class Line:
    """A block at a position of a leaderboard.

    Args:
        board: see `boards.board_of`.
        place: of it.
        row: of the place.
    """

    board: Mapping[str, Any]
    place: Mapping[str, Any]
    row: int

    def of(self, column: str) -> object:
        """A value of a column."""
        return at(self.place[column], self.row)

    @property
    def n(self) -> int:
        """Seeds."""
        return int(at(self.place["n"], self.row))

    @property
    def block(self) -> str:
        """Its name."""
        return str(self.board["blocks"][self.place["block"][self.row]])

    @property
    def reference(self) -> str | None:
        """The block that it is compared with where nobody chooses another; None where there is none."""
        number = self.board["reference"]
        return None if number is None else str(self.board["blocks"][number])

    @property
    def is_reference(self) -> bool:
        """Whether it is that block."""
        return self.block == self.reference

    @property
    def mean(self) -> float | None:
        """Accuracy in percent."""
        value = self.place["mean"][self.row]
        return None if value is None else float(value)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the mean: the one that holds together with others where there is one, else its own."""
        ends = self.place["together"][self.row] or self.place["alone"][self.row]
        return (ends[0], ends[1]) if ends else None

    @property
    def accuracy(self) -> str:
        """Mean and interval."""
        if self.mean is None:
            return NONE
        if self.interval is None:
            return f"{self.mean:.2f}"
        below, above = self.mean - self.interval[0], self.interval[1] - self.mean
        if abs(below - above) < 0.011:
            return f"{self.mean:.2f} \u00b1 {above:.2f}"
        return f"{self.mean:.2f} ({self.interval[0]:.2f} to {self.interval[1]:.2f})"

    @property
    def of_validation(self) -> str:
        """ "validation accuracy" where it is that; empty where it is the test accuracy, which is the usual one."""
        named = str(self.board["accuracy"])
        return "" if named == WORDS["test_acc"] else named

    @property
    def of_others(self) -> str:
        """How many of its trainings others handed in, and whether a rerun agreed; empty where all are own."""
        tier = at(self.place["tier"], self.row)
        return f"handed in by others: {tier}" if tier else ""

    @property
    def rank(self) -> str:
        """Rank, and the ranks it can have, of how many; empty where it is in no comparison."""
        ranks = self.place["rank"][self.row]
        if not ranks:
            return ""
        spread = f" ({ranks[1]} to {ranks[2]})" if len(ranks) > 1 and ranks[1] != ranks[2] else ""
        return f"{ranks[0]}{spread} of {len(self.place['compared']) or len(self.place['block'])}"

    @property
    def against(self) -> tuple[str, str] | None:
        """The difference from the reference in points, and the verdict; None where there is none."""
        reference, pairs, compared = self.board["reference"], self.place["pairs"], self.place["compared"]
        own = self.place["block"][self.row]
        if not pairs or own == reference or own not in compared or reference not in compared:
            return None
        first, second = compared.index(own), compared.index(reference)
        i, j = sorted((first, second))
        where = i * (2 * len(compared) - i - 1) // 2 + j - i - 1
        sign = 1 if first < second else -1
        value, half = sign * at(pairs["value"], where) / 1000, at(pairs["half"], where)
        word = VERDICTS[pairs["kind"][where]]
        if sign < 0:
            word = {"better": "worse", "worse": "better"}.get(word, word)
        needed = at(pairs["needed"], where)
        if needed is not None:
            word += f": needs {'over 1000' if needed > 1000 else needed} seeds"
        return f"{value:+.2f}".replace("-", "\u2212") + (
            "" if half is None else f" \u00b1 {half / 1000:.2f}"
        ), word

    def cost(self, name: str) -> str:
        """A cost, short."""
        return number(at(self.place["costs"].get(name), self.row)) if name in self.place["costs"] else NONE

    @property
    def time(self) -> str:
        """Milliseconds in the first way."""
        times = self.place["times"][0]["whole"][self.row] if self.place["times"] else None
        if not times:
            return NONE
        half = "" if times[1] is None else f" \u00b1 {max(times[2] - times[0], times[0] - times[1]):.2g}"
        return f"{'' if half else '~'}{times[0]:.3g}{half}{' ?' * (len(times) > 3)}"


def figure(value: object, form: str) -> str:
    """A number in a form such as ".2f"; a dash for what is none, or not finite.

    Examples:
        >>> figure(0.5, ".2f"), figure(None, ".2f")
        ('0.50', '\u2013')
    """
    return f"{value:{form}}" if is_number(value) else NONE


def at(column: Value | list[Value], row: int) -> Value:
    """A value of a column that `alike` wrote."""
    return column[row] if isinstance(column, list) else column
