"""Is the block any good? In words, as far as the intervals allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blockzoo.card.isolate import ratio
from blockzoo.card.standing import FRONTS, Standing
from blockzoo.core.contracts import POSITIONS
from blockzoo.report.comparison import MARGIN, Difference

NEAR = 0.05
"""Costs that differ by less are said to be alike."""
STAGE = "stage_batch64"


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
        known = [ratio(self.costs, (self.name, self.reference), place, "stage_macs") for place in POSITIONS]
        values = [value for value in known if value is not None]
        return sum(values) / len(values) if values else None


def answer(of: Evidence) -> list[str]:
    """Sentences, the answer first."""
    return [headline(of), *filter(None, (_accuracy(of), _costs(of), _front(of)))]


def headline(of: Evidence) -> str:
    """One sentence: yes, no, it depends, or not known yet."""
    better, worse = of.at("better"), of.at("worse")
    who, other = of.name, of.reference
    price = _price(of)
    if not of.differences:
        known = bool(of.standing.lines)
        why = (
            f"{other} has no training to compare it with"
            if known
            else "it was not trained: nothing fitted the time"
        )
        return f"Not known: {why}."
    if better and worse:
        return f"It depends on where it stands: {who} is better than {other} at {_listed(better)} and worse at {_listed(worse)}{price}."
    if better:
        rest = "" if len(better) == len(of.differences) else ", and nowhere worse as far as can be told"
        return f"Yes, in this test: {who} is more accurate than {other} at {_listed(better)}{rest}{price}."
    if worse:
        if of.macs is not None and of.macs < 1 - NEAR:
            return f"It is a trade: {who} is less accurate than {other} at {_listed(worse)}{price}."
        return f"No, not in this test: {who} is less accurate than {other} at {_listed(worse)}{price}."
    equal = of.at("equal")
    if len(equal) == len(of.differences):
        cheap = of.macs is not None and of.macs < 1 - NEAR
        return f"{'Yes, in this test: ' if cheap else ''}{who} is as accurate as {other} within {100 * MARGIN:g} points{price}."
    needed = [
        one.needed for one in of.differences.values() if one.kind == "unresolved" and one.error is not None
    ]
    seeds = f"; about {min(needed)} seeds would tell where the difference is largest" if needed else ""
    n = max((one.n for one in of.differences.values()), default=0)
    return f"Not decided: {n} seed{'s' * (n != 1)} cannot tell {who} from {other} in accuracy{price}{seeds}."


def _price(of: Evidence) -> str:
    """What it costs beside the reference, as a clause."""
    parts = []
    if of.macs is not None:
        parts.append(
            "equal multiply-adds" if abs(of.macs - 1) < NEAR else f"{of.macs:.2f} times the multiply-adds"
        )
    time = of.ratios.get(STAGE)
    if time and time.get("interval"):
        low, high = time["interval"]
        unsure = low < 1 < high
        parts.append("about the same time" if unsure else f"{time['ratio']:.2f} times the time")
    return f", for {' and '.join(parts)}" if parts else ""


def _accuracy(of: Evidence) -> str:
    """Each position with its difference and interval."""
    said = []
    for place in (*of.differences, "mean"):
        one = of.standing.differences.get(place)
        if one is None:
            continue
        interval = one.interval
        half = "" if interval is None else f" \u00b1 {100 * (interval[1] - one.value):.2f}"
        said.append(
            f"{'on average' if place == 'mean' else place} {100 * one.value:+.2f}{half} points ({one.kind})".replace(
                "-", "\u2212"
            )
        )
    if not said:
        return ""
    counts = sorted({one.n for one in of.differences.values()})
    seeds = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    accuracy = of.standing.of.accuracy if of.standing.of else "accuracy"
    return f"Less {of.reference}, in {accuracy} over {seeds} seeds: {', '.join(said)}."


def _costs(of: Evidence) -> str:
    said = []
    for place in POSITIONS:
        macs, params = (
            ratio(of.costs, (of.name, of.reference), place, f"stage_{what}")
            for what in ("macs", "params_total")
        )
        if macs is not None and params is not None:
            said.append(f"{place} {macs:.2f} and {params:.2f}")
    time = [
        f"{one['ratio']:.2f}{_span(one['interval'])} times the time at batch {name.rpartition('batch')[2]}"
        for name, one in of.ratios.items()
        if name.startswith("stage")
    ]
    if not said:
        return ""
    clock = f". On this machine its stage at mid takes {' and '.join(time)}" if time else ""
    return f"Multiply-adds and parameters of its stage, as multiples of those of {of.reference}: {', '.join(said)}{clock}."


def _span(interval: Any) -> str:
    return f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""


def _front(of: Evidence) -> str:
    """How probably nothing that costs no more is more accurate."""
    said = []
    for cost, ranked in of.standing.ranked.items():
        chances = [f"{one.front:.0%} at {place}" for place, one in ranked.items() if one.front is not None]
        if chances:
            said.append(f"by {FRONTS[cost]} {', '.join(chances)}")
    board = of.standing.board
    if not said or board is None:
        return ""
    return f"Among the {len(board['blocks'])} blocks compared, the probability that none which costs no more is more accurate: {'; '.join(said)}."


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
