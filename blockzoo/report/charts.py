"""Accuracy against cost: what there is to draw of one comparable group."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from blockzoo.core.contracts import POSITIONS
from blockzoo.core.quantity import quantities
from blockzoo.report.comparable import Comparable
from blockzoo.report.front import Spread, spread_of
from blockzoo.report.summaries import Summary, Time, average_positions, summarise

AXES = {name: quantity for name, quantity in quantities().items() if quantity.axis}
"""What can stand on the horizontal axis."""


@dataclass(frozen=True)
class Point:
    """One mark of a picture.

    Args:
        block: which.
        position: where; empty for a mean over positions or a whole network.
        cost: in the unit of its axis.
        accuracy: its mean, a fraction.
        interval: of the accuracy; None where there is none.
        front: probability that none that costs no more is more accurate; None where it is not known.
        time: where the cost is a latency.
        off_budget: its stage misses its budget.
    """

    block: str
    position: str
    cost: float
    accuracy: float
    interval: tuple[float, float] | None = None
    front: float | None = None
    time: Time | None = None
    off_budget: bool = False


@dataclass(frozen=True)
class Panel:
    """All marks of one position against one cost, and the band of the front: (cost, low, high), ordered by cost."""

    title: str
    cost: str
    points: list[Point]
    band: list[tuple[float, float, float]]


@dataclass(frozen=True)
class Chart:
    """One picture.

    Args:
        name: how its files end.
        question: that it answers.
        group: what its rows have in common.
        axis: beside the vertical axis.
        note: how to read it.
        panels: side by side.
    """

    name: str
    question: str
    group: str
    axis: str
    note: str
    panels: list[Panel]


def charts(of: Comparable, *, average: bool = False) -> list[Chart]:
    """For each cost of the rows one with a panel for each position; of means over positions one with a panel for each cost."""
    everywhere = [s for s in average_positions(of.rows) if of.column in s.accuracies] if average else []
    at_places = [s for s in summarise(of.rows) if of.column in s.accuracies]
    shown = everywhere if average else at_places
    by_position: dict[str, list[Summary]] = defaultdict(list)
    for summary in shown:
        by_position[summary.position].append(summary)
    places = [p for p in (*POSITIONS, *sorted(set(by_position) - set(POSITIONS))) if p in by_position]
    spreads = {place: spread_at(of, by_position[place], average=average) for place in places}
    panels: dict[str, list[Panel]] = defaultdict(list)
    for cost, quantity in AXES.items():
        if any(quantity.instead_of in s.costs for s in shown):
            continue
        for place in places:
            if panel := panel_of(of, place, cost, by_position[place], spreads[place]):
                panels[cost].append(panel)
    of_front = _note_of_front(of, [s for s, _ in spreads.values() if s is not None])
    if average and panels:
        means = {s.block for s in everywhere}
        lacking = ", ".join(dict.fromkeys(s.block for s in at_places if s.block not in means))
        note = "; ".join(
            part
            for part in (
                of_front,
                *(_note(shown, cost_panels) for cost_panels in panels.values()),
                lacking and f"no mean over positions, as no seed of theirs is at all of them: {lacking}",
                of.remarks,
            )
            if part
        )
        question = f"What accuracy costs: {of.accuracy}, mean over positions, against each cost"
        side_by_side = [panel for cost_panels in panels.values() for panel in cost_panels]
        return [Chart("averaged", question, of.words, f"{of.accuracy}, %", note, side_by_side)]
    return [
        Chart(
            AXES[cost].picture or cost,
            f"What accuracy costs: {of.accuracy} against {AXES[cost].axis}",
            of.words,
            f"{of.accuracy}, %",
            "; ".join(part for part in (of_front, _note(shown, cost_panels), of.remarks) if part),
            cost_panels,
        )
        for cost, cost_panels in panels.items()
    ]


Spreads = tuple[Spread | None, list[Summary]]


def spread_at(of: Comparable, summaries: list[Summary], *, average: bool = False) -> Spreads:
    """Of those of one panel that are in the table."""
    table, fitted = of.everything
    cells = [
        [cell for cell in table if cell[0] == s.block] if average else [(s.block, s.position)]
        for s in summaries
    ]
    eligible = [(s, at) for s, at in zip(summaries, cells, strict=True) if at and all(c in table for c in at)]
    eligible = [(s, at) for s, at in eligible if s.off_budget is None]
    return spread_of(table, fitted, [at for _, at in eligible]), [s for s, _ in eligible]


def panel_of(
    of: Comparable, place: str, cost: str, summaries: list[Summary], spreads: Spreads
) -> Panel | None:
    """What there is to draw of one position against one cost; None where no summary has the cost.

    Args:
        of: the group.
        place: the title.
        cost: of `AXES`.
        summaries: of the position.
        spreads: of them, see `spread_at`.
    """
    there = [s for s in summaries if cost in s.costs]
    if not there:
        return None
    spread, eligible = spreads
    sign = 1.0 if AXES[cost].better == "lower" else -1.0
    judged: dict[str, tuple[float, tuple[float, float], float | None]] = {}
    band: list[tuple[float, float, float]] = []
    if spread is not None:
        chances: list[float | None] = [None] * len(eligible)
        if all(cost in s.costs for s in eligible):  # else a cheaper one may be missing
            costs = [sign * s.costs[cost] for s in eligible]
            low, high = spread.band(costs)
            band = sorted(zip((s.costs[cost] for s in eligible), low.tolist(), high.tolist(), strict=True))
            chances = spread.probabilities(costs).tolist() if len(eligible) > 1 else chances
        for s, mean, half, chance in zip(eligible, spread.means, spread.half_widths, chances, strict=True):
            interval = max(0.0, float(mean - half)), min(1.0, float(mean + half))
            judged[s.block] = float(mean), interval, chance
    points = []
    for s in there:
        own, off = s.accuracies[of.column], s.off_budget is not None
        alone = None if spread is not None else own.interval
        mean, interval_of, chance = judged.get(s.block, (own.mean, alone, None))
        points.append(
            Point(s.block, s.position, s.costs[cost], mean, interval_of, chance, s.times.get(cost), off)
        )
    return Panel(place, cost, points, band)


def _note_of_front(of: Comparable, spreads: list[Spread]) -> str:
    if not spreads:
        return (
            "the front's uncertainty is not known, so none is drawn: "
            "one seed of each says nothing of the spread between trainings, or the cells do not vary alike"
        )
    deviation = (
        f" of the whole table ({100 * of.everything[1].deviation:.2f} points)"
        if of.everything[1].deviation
        else ""
    )
    return (
        f"intervals of a panel hold together in 95 % of tables, with the spread between trainings{deviation}; so does the band, "
        "which holds the front: the best true accuracy of what costs no more, costs being as they were measured"
    )


def _note(summaries: list[Summary], panels: list[Panel]) -> str:
    points = [point for panel in panels for point in panel.points]
    times = [point.time for point in points if point.time]
    facts = []
    if times:
        ways = dict.fromkeys(s.timed_on for s in summaries if s.timed_on)
        facts += [f"latency: {', '.join(ways)}"] if ways else []
        if without := sum(time.interval is None for time in times):
            facts.append(f"{without} of {len(times)} times without an interval")
        if doubtful := sum(bool(time.doubt) for time in times):
            facts.append(f"hollow: {doubtful} doubtful times")
    if off := sum(point.off_budget for point in points):
        facts.append(f"crosses: {off} that miss their budget, and are not compared")
    return "; ".join(facts)
