"""What the stage under test may cost, so that no block is better by being larger: which cost, how much, measured by what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from blockzoo.core.contracts import DEFAULT_FILLER
from blockzoo.core.errors import UsageError
from blockzoo.core.subject import Subject
from blockzoo.core.units import exact

if TYPE_CHECKING:
    from blockzoo.core.settings import Budgeting

Track = Literal["native", "iso-params", "iso-macs", "iso-latency"]
HELD = {"iso-params": "params_total", "iso-macs": "macs", "iso-latency": "latency_ms"}
"""The cost that a track holds equal: of the stage under test, in the form that is deployed."""
TOLERANCE = {"iso-params": 0.02, "iso-macs": 0.02, "iso-latency": 0.1}
"""Of the budget, within which it is met."""
COMPARED = 0.1
"""Of the budget: what is farther off is compared with nothing."""
MOST_DEEPENED = 2
"""How many times its usual depth a stage may get."""


@dataclass(frozen=True)
class Budget:
    """How much of one cost. `str(budget)` is its canonical text, `Budget.parse(text)` gives it back.

    Args:
        track: one of iso-params, iso-macs, iso-latency.
        amount: as a multiple of what `against` costs.
        against: the block whose stage costs 1, or a number: of parameters, MACs or milliseconds.

    Examples:
        >>> str(Budget("iso-macs", 0.5))
        'iso-macs 0.5'
        >>> Budget.parse("iso-params 2 of GhostBottleneck").against
        'GhostBottleneck'
    """

    track: Track
    amount: float = 1.0
    against: str = DEFAULT_FILLER

    def __post_init__(self) -> None:
        if self.track not in HELD:
            raise UsageError(f"track {self.track!r}: choose one of {', '.join(HELD)}")
        if not 0 < self.amount < math.inf:
            raise UsageError(
                f"budget {self.amount:g}: give a positive number, 1 for what {self.against} costs"
            )
        if self.absolute is None:
            subject = Subject.parse(self.against)
            if not subject.is_block or subject.position:
                raise UsageError(
                    f"budgets are measured by {self.against!r}: give a block, or a positive number"
                )
            object.__setattr__(self, "against", str(subject))
        elif not 0 < self.absolute < math.inf:
            raise UsageError(f"budgets are measured by {self.against}: give a positive number, or a block")

    @property
    def absolute(self) -> float | None:
        """What costs 1, where it is a number."""
        try:
            return float(self.against)
        except ValueError:
            return None

    @property
    def held(self) -> str:
        """The cost that is held."""
        return HELD[self.track]

    def is_met_by(self, ratio: float) -> bool:
        """Is a cost of so many times the budget near enough?"""
        return abs(ratio - 1) <= TOLERANCE[self.track]

    def is_comparable(self, ratio: float) -> bool:
        """Is it near enough for a verdict, be it marked?"""
        return abs(ratio - 1) <= COMPARED

    def why_not(self, ratio: float | None) -> str:
        """Why a stage does not cost its budget, in words; "" where it does."""
        if ratio is None or self.is_met_by(ratio):
            return ""
        return (
            f"{self}: its stage costs {ratio:.3g} times as much, the nearest that whole channels and up to {MOST_DEEPENED} times "
            "the usual depth give"
        )

    def __str__(self) -> str:
        text = f"{self.track} {exact(self.amount)}"
        return text if self.against == DEFAULT_FILLER else f"{text} of {self.against}"

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read what `str` wrote.

        Raises:
            UsageError: it is not that.
        """
        head, _, against = text.partition(" of ")
        track, _, amount = head.partition(" ")
        try:
            number = float(amount)
        except ValueError:
            raise UsageError(f"budget {text!r}: give a track and an amount, as in 'iso-macs 0.5'") from None
        return cls(cast(Track, track), number, against or DEFAULT_FILLER)


def budgets_of(budgeting: Budgeting) -> list[Budget]:
    """All that is asked for; none on the track `native`.

    Raises:
        UsageError: a track without the budgets that are given, or what a budget raises.
    """
    if budgeting.track != "native":
        return [Budget(budgeting.track, amount, budgeting.against) for amount in budgeting.budgets]
    if (budgeting.budgets, budgeting.against) != ((1.0,), DEFAULT_FILLER):
        raise UsageError("budgets are of a track: give --track iso-params, iso-macs or iso-latency too")
    return []
