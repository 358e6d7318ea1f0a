"""Is the block any good? In words, as far as the intervals allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blockzoo.card.isolate import ratio
from blockzoo.card.standing import FRONTS, Standing
from blockzoo.core.contracts import POSITIONS
from blockzoo.report.difference import MARGIN, Difference

NEAR = 0.05
"""Costs that differ by less are said to be alike."""
CERTAIN = "stage_macs"
"""A cost that is no measurement."""
TIMES = ("stage_batch64", "stage_batch1")
"""Of which the first that is sure is spoken of."""


@dataclass(frozen=True)
class Evidence:
    """What an answer rests on.

    Args:
        name, reference: of the block and of what it is compared with.
        standing: their accuracies.
        costs: on paper, by block and position.
        ratios: of times, by part and batch, with intervals.
    """

    name: str
    reference: str
    standing: Standing
    costs: Mapping[str, Mapping[str, Any]]
    ratios: Mapping[str, Mapping[str, Any]]

    @property
    def differences(self) -> dict[str, Difference]:
        """At each position, without the mean."""
        return {place: one for place, one in self.standing.differences.items() if place in POSITIONS}

    def at(self, kind: str) -> list[str]:
        """The positions with this verdict."""
        return [place for place, one in self.differences.items() if one.kind == kind]

    @property
    def macs(self) -> float | None:
        """Multiply-adds of the stage as a multiple of the reference's: the mean over positions."""
        ratios = [ratio(self.costs, (self.name, self.reference), place, "stage_macs") for place in POSITIONS]
        values = [value for value in ratios if value is not None]
        return sum(values) / len(values) if values else None

    @property
    def time(self) -> Mapping[str, Any] | None:
        """Of the stage as a multiple of the reference's; None where no such time is sure."""
        ratios = (self.ratios.get(name) for name in TIMES)
        return next((one for one in ratios if one and one["interval"] and not one["doubted"]), None)


def answer(of: Evidence) -> list[str]:
    """Sentences, the answer first."""
    return [headline(of), *filter(None, (_accuracy(of), _costs(of), _front(of)))]


def headline(of: Evidence) -> str:
    """One sentence: yes, no, it depends, or not known yet."""
    better, worse, equal = (of.at(kind) for kind in ("better", "worse", "equal"))
    who, other, price = of.name, of.reference, _price(of)
    if not of.differences:
        untold = (
            f"{other} has no training to compare it with"
            if of.standing.lines
            else "no training of it fitted the time, or ended"
        )
        return f"Not known: {untold}."
    if better and worse:
        both = f"better than {other} at {_listed(better)} and worse at {_listed(worse)}"
        return f"It depends on where it stands: {who} is {both}{price}."
    if better:
        rest = "" if len(better) == len(of.differences) else "; elsewhere it is not told from it, or as good"
        return f"Yes, in this test: {who} is more accurate than {other} at {_listed(better)}{price}{rest}."
    cheaper = of.macs is not None and of.macs < 1 - NEAR
    if worse:
        says = "It is a trade" if cheaper else "No, not in this test"
        return f"{says}: {who} is less accurate than {other} at {_listed(worse)}{price}."
    if len(equal) == len(of.differences):
        says = "Yes, in this test: " if cheaper else ""
        return f"{says}{who} is as accurate as {other} within {100 * MARGIN:g} points{price}."
    return f"Not decided: {_seeds(of)} cannot tell {who} from {other} in accuracy{price}{_needed(of)}."


def _seeds(of: Evidence) -> str:
    n = max((one.n for one in of.differences.values()), default=0)
    return f"{n} seed{'s' * (n != 1)} of each"


def _needed(of: Evidence) -> str:
    """Seeds that would tell, where the difference is largest for its noise; nothing where nobody knows."""
    needed = [n for one in of.differences.values() if (n := one.needed) is not None]
    return f"; about {min(needed)} seeds would tell at one position" if needed and min(needed) <= 1000 else ""


def _price(of: Evidence) -> str:
    """What it costs beside the reference, as a clause."""
    parts = []
    if of.macs is not None:
        parts.append(
            "equal multiply-adds" if abs(of.macs - 1) < NEAR else f"{of.macs:.2f} times the multiply-adds"
        )
    if of.time is not None:
        parts.append(_of_time(of.time))
    return f", for {' and '.join(parts)}" if parts else ""


def _of_time(time: Mapping[str, Any]) -> str:
    """About the same where all of the interval is near 1; where it only holds 1, the interval is said too."""
    low, high = time["interval"]
    if low > 1 - NEAR and high < 1 + NEAR:
        return "about the same time"
    span = f" ({low:.2f} to {high:.2f})" if low <= 1 <= high else ""
    return f"{time['ratio']:.2f}{span} times the time"


def _accuracy(of: Evidence) -> str:
    """Each position with its difference and interval."""
    words = {
        place: difference_words(one)
        for place, one in of.standing.differences.items()
        if place in (*of.differences, "mean")
    }
    if not words:
        return ""
    parts = [f"{place} {words[place]} ({one.kind})" for place, one in of.differences.items()]
    parts += (
        [f"on average {words['mean']} ({of.standing.differences['mean'].kind})"] if "mean" in words else []
    )
    counts = sorted({one.n for one in of.differences.values()})
    seeds = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    accuracy = of.standing.of.accuracy if of.standing.of else "accuracy"
    return f"{accuracy.capitalize()} less that of {of.reference}, in points over {seeds} paired seeds: {', '.join(parts)}."


def difference_words(difference: Difference) -> str:
    """In points, with half of its interval."""
    interval = difference.interval
    half = "" if interval is None else f" \u00b1 {100 * (interval[1] - difference.value):.2f}"
    return f"{100 * difference.value:+.2f}".replace("-", "\u2212") + half


def _costs(of: Evidence) -> str:
    parts = []
    for place in POSITIONS:
        whose = (of.name, of.reference)
        macs, params = (ratio(of.costs, whose, place, f"stage_{what}") for what in ("macs", "params_total"))
        if macs is not None and params is not None:
            parts.append(f"{place} {macs:.2f} and {params:.2f}")
    if not parts:
        return ""
    clock = ""
    if of.time is not None:
        low, high = of.time["interval"]
        clock = (
            f". Deployed on this machine its stage at mid takes {of.time['ratio']:.2f} ({low:.2f} to {high:.2f}) times the time, "
            f"{of.time['batch']} image{'s' * (of.time['batch'] != 1)} a call"
        )
    elif of.ratios:
        clock = ". Its times on this machine are not sure: see below"
    return f"Multiply-adds and parameters of its stage, as multiples of those of {of.reference}: {', '.join(parts)}{clock}."


def _front(of: Evidence) -> str:
    """How probably nothing that costs no more is more accurate, where something does."""
    board = of.standing.board
    if board is None:
        return ""
    parts = []
    for cost, ranked in of.standing.ranked.items():
        if cost != CERTAIN and of.time is None:
            continue
        chances = [
            f"at {place} it is the cheapest"
            if place in of.standing.cheapest(cost)
            else f"{one.front:.0%} at {place}"
            for place, one in ranked.items()
            if one.front is not None
        ]
        if chances:
            parts.append(f"by {FRONTS[cost]} {', '.join(chances)}")
    if not parts:
        return ""
    return (
        f"The front: how probably none of the {len(board['blocks'])} blocks compared is more accurate and costs no more: "
        f"{'; '.join(parts)}."
    )


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
