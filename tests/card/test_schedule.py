"""The order of parts, their estimates and the time, by a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from blockzoo.card.options import seconds_of
from blockzoo.card.schedule import Made, Outcome, Schedule, TimeIsUp, left_out
from blockzoo.core.errors import UsageError


@dataclass
class Hand:
    """A clock, and what was done by it."""

    at: float = 0.0
    done: list[str] = field(default_factory=list)

    def __call__(self) -> float:
        return self.at


@dataclass
class Piece:
    """A part that takes so long, and says so before."""

    name: str
    takes: float
    worth: float = 1.0
    after: tuple[str, ...] = ()
    says: float | None = None
    error: Exception | None = None

    @property
    def title(self) -> str:
        return f"part {self.name}"

    def seconds(self, desk: Hand) -> float:
        return self.takes if self.says is None else self.says

    def make(self, desk: Hand, within: float) -> Made:
        desk.at += min(self.takes, within)
        if self.takes > within:
            raise TimeIsUp
        if self.error:
            raise self.error
        desk.done.append(self.name)
        return Made({"took": self.takes}, n={"things": 2})


def made(pieces: list[Piece], budget: float, began: float = 0.0) -> tuple[Hand, dict[str, Outcome]]:
    hand = Hand()
    schedule = Schedule(pieces, budget, began, reserve_s=2.0, clock=hand)
    return hand, {one.part: one for one in schedule.run(hand)}


def test_what_is_worth_most_for_its_seconds_comes_first() -> None:
    hand, _ = made([Piece("slow", 10, worth=20), Piece("dear", 1, worth=5), Piece("cheap", 1, worth=1)], 60)
    assert hand.done == ["dear", "slow", "cheap"]


def test_what_does_not_fit_is_left_out_with_what_it_needs_and_smaller_things_are_done() -> None:
    hand, outcomes = made(
        [Piece("small", 5), Piece("large", 50, worth=1000), Piece("later", 3, worth=0.1)], 20
    )
    assert hand.done == ["small", "later"] and hand.at <= 18
    assert outcomes["large"].status == "no time" and outcomes["large"].estimated_s == 50
    assert "50 s" in outcomes["large"].why and "of 20 s" in outcomes["large"].why


def test_the_time_counts_from_when_the_command_began() -> None:
    hand, outcomes = made([Piece("one", 5)], 20, began=-15.0)
    assert hand.done == [] and outcomes["one"].status == "no time" and outcomes["one"].took_s is None


def test_a_part_that_takes_longer_than_it_said_ends_with_the_time() -> None:
    hand, outcomes = made([Piece("liar", 100, worth=50, says=1), Piece("next", 1)], 20)
    assert hand.at == 18 and hand.done == []
    assert outcomes["liar"].status == "no time" and "was not done after 18 s" in outcomes["liar"].why
    assert outcomes["next"].status == "no time"


def test_what_waits_for_a_part_comes_after_it_whatever_became_of_it() -> None:
    waits = [
        Piece("a", 1, worth=0.1),
        Piece("b", 1, worth=100, after=("a",)),
        Piece("c", 1, after=("huge",)),
        Piece("huge", 999),
    ]
    hand, outcomes = made(waits, 20)
    assert hand.done[:2] == ["a", "b"] and "c" in hand.done and outcomes["huge"].status == "no time"


@pytest.mark.parametrize("error", [UsageError("it has no map"), RuntimeError("broken")])
def test_what_cannot_be_says_why_and_costs_the_others_nothing(error: Exception) -> None:
    hand, outcomes = made([Piece("bad", 1, worth=9, error=error), Piece("good", 1)], 20)
    assert hand.done == ["good"] and outcomes["bad"].status == "cannot" and str(error) in outcomes["bad"].why


def test_parts_of_one_kind_are_left_out_together() -> None:
    outcomes = [Outcome("accuracy", f"seed {n}", "no time", "needs much", 30.0) for n in range(3)]
    outcomes += [Outcome("accuracy", "seed 9", "done"), Outcome("tiles", "tiles", "cannot", "no map")]
    (title, why), other = left_out(outcomes)
    assert title == "accuracy, 3 of 4 pairs of trainings (seed 0 to seed 2)" and "1 min 30 s" in why
    assert other == ("tiles", "no map")


@pytest.mark.parametrize("text", ["", "ten", "-5s", "0m", "5d", "1m30s"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give a time such as"):
        seconds_of(text)
