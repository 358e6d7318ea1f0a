"""The page of a search space: how accurate its networks are, what searches on it found, how well added-up times predict it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from blockzoo.core.table import Row
from blockzoo.core.text import plain
from blockzoo.core.units import number
from blockzoo.report.comparable import Comparable
from blockzoo.report.groups import describe_group, is_number
from blockzoo.report.site.markup import EMPTY, Markup, joined, table, tag
from blockzoo.report.site.sketches import BELOW, HIGH, LEFT, WIDE, bars, text
from blockzoo.report.site.words import NONE
from blockzoo.report.summaries import usable

FEWEST = 5
"""Networks of a space that are worth a section."""
BEST = 20
"""Networks of a space that are listed."""
SIDE = 300
"""Pixels of the picture of times."""

Line = tuple[Sequence[float], Sequence[float] | None, Sequence[float] | None]
"""Mean regrets at each budget, and the ends of their intervals, where there are any."""


@dataclass(frozen=True)
class Searches:
    """A comparison of search algorithms.

    Args:
        heading: what was searched, on which numbers.
        at: budgets.
        unit: of them.
        lines: regrets of each algorithm at each budget, in points of test accuracy, the least at the end first.
        n: seeds of each.
    """

    heading: str
    at: Sequence[float]
    unit: str
    lines: Mapping[str, Line]
    n: Mapping[str, int]


@dataclass(frozen=True)
class AddedUp:
    """Times of networks as sums of their parts.

    Args:
        where: device, dtype, batch size and threads.
        told: the error, in words.
        pairs: of each network, milliseconds measured and predicted.
    """

    where: str
    told: str
    pairs: Sequence[tuple[float, float]]


def space_body(
    groups: Iterable[Comparable],
    prefix: str,
    searches: Sequence[Searches] = (),
    added: Sequence[AddedUp] = (),
) -> Markup:
    """What is known of a search space; empty where that is nothing.

    Args:
        groups: of trainings.
        prefix: how names of networks of the space begin, up to their colon.
        searches: comparisons of algorithms.
        added: agreements of times.
    """
    parts = [part for of in groups for part in _networks(of, prefix)] if prefix else []
    parts += [_searched(one) for one in searches] + [_timed(one) for one in added if one.pairs]
    lead = "Networks of the macro space: accuracies of those that were trained, searches among them, times."
    return joined([tag("h1", "Search space"), tag("p", lead, class_="lead"), *parts]) if parts else EMPTY


def _networks(of: Comparable, prefix: str) -> list[Markup]:
    values: dict[str, list[float]] = {}
    costs: dict[str, Row] = {}
    for row in usable(of.rows):
        block = str(row["block"])
        if block.startswith(f"{prefix}:") and is_number(accuracy := row.get(of.column)):
            values.setdefault(block, []).append(100 * accuracy)
            costs[block] = row
    if len(values) < FEWEST:
        return []
    means = {block: sum(own) / len(own) for block, own in values.items()}
    ordered = sorted(means, key=lambda block: -means[block])
    lines = [
        (plain(block, lines=False), f"{means[block]:.2f}", len(values[block]),
         number(costs[block].get("macs")), number(costs[block].get("params_total")))
        for block in ordered[:BEST]
    ]  # fmt: skip
    summary = (
        f"{len(means):,} networks, each a mean over its seeds: {of.accuracy} from {min(means.values()):.2f} to "
        f"{max(means.values()):.2f} %, median {median(means.values()):.2f} %."
    )
    heads = ("network", f"{of.accuracy}, %", "n", "MACs", "parameters")
    return [
        tag(
            "section", tag("h2", plain(describe_group(of.group), lines=False)), tag("p", summary),
            bars(f"Networks by {of.accuracy}", list(means.values()), " %"),
            table(f"The most accurate {len(lines)}; of the largest of many noisy means the true one is lower", heads, lines),
        )
    ]  # fmt: skip


def _searched(of: Searches) -> Markup:
    """A picture for each algorithm, all on one scale, the others pale in it; and regrets at the end."""
    lines = []
    for name, (means, low, high) in of.lines.items():
        interval = NONE if low is None or high is None else f"{low[-1]:.2f} to {high[-1]:.2f}"
        lines.append((plain(name, lines=False), f"{means[-1]:.2f}", interval, of.n[name]))
    note = (
        "Regret: how much less accurate on test images the network that would be chosen is than the best of the "
        "benchmark, as the budget is spent. In each picture one algorithm with its 95 % interval; the others are pale."
    )
    heads = ("algorithm", "regret at the end, points", "95 % interval", "n")
    caption = f"After {of.at[-1]:g} {of.unit}; each interval is that of its algorithm alone"
    return tag(
        "section", tag("h2", plain(f"{of.heading[:1].upper()}{of.heading[1:]}", lines=False)), tag("p", note),
        tag("div", *(_regrets(of, name) for name in of.lines), class_="sketches"),
        table(caption, heads, lines),
    )  # fmt: skip


def _regrets(of: Searches, chosen: str) -> Markup:
    top = max(value for means, _, high in of.lines.values() for value in (*means, *(high or ())))

    def place(budget: float, regret: float) -> tuple[float, float]:
        x = LEFT + budget / of.at[-1] * (WIDE - LEFT - 6)
        return round(x, 1), round(HIGH - BELOW - regret / (top or 1) * (HIGH - BELOW - 10), 1)

    def steps(values: Sequence[float]) -> list[tuple[float, float]]:
        """A regret holds until the next answer; budgets at which nothing changes are left out."""
        corners = [place(of.at[0], values[0])]
        for budget, value in zip(of.at[1:], values[1:], strict=True):
            x, y = place(budget, value)
            if y != corners[-1][1]:
                corners += [(x, corners[-1][1]), (x, y)]
        return [*corners, (place(of.at[-1], 0)[0], corners[-1][1])]

    def path(corners: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{x} {y}" for x, y in corners)

    means, low, high = of.lines[chosen]
    band = []
    if low is not None and high is not None:
        band = [tag("path", class_="band", d=path([*steps(high), *reversed(steps(low))]) + "z")]
    pale = [
        tag("path", class_="span", fill="none", d=path(steps(other[0])))
        for name, other in of.lines.items()
        if name != chosen
    ]
    words = [
        text(LEFT - 6, 14, f"{top:.2f}", "end"),
        text(LEFT - 6, HIGH - BELOW + 4, "0", "end"),
        text(LEFT, HIGH - 5, "0"),
        text(WIDE - 6, HIGH - 5, f"{of.at[-1]:g} {of.unit}", "end"),
    ]
    rule = tag("path", class_="grid", d=f"M{LEFT} 8V{HIGH - BELOW}H{WIDE - 6}", fill="none")
    name = plain(chosen, lines=False)
    label = f"{name}: regret from {means[0]:.2f} to {means[-1]:.2f} points over {of.at[-1]:g} {of.unit}"
    own = tag("path", class_="line", d=path(steps(means)))
    picture = tag(
        "svg", rule, *pale, *band, own, *words,
        class_="sketch", viewBox=f"0 0 {WIDE} {HIGH}", width=WIDE, height=HIGH, role="img", aria_label=label,
    )  # fmt: skip
    return tag("figure", picture, tag("figcaption", name, class_="small"))


def _timed(of: AddedUp) -> Markup:
    """Each network as a dot, measured to the right and predicted upwards; the line is where both are equal."""
    note = f"The time of a network as the sum of the times of its parts, against the network timed whole: {of.told}."
    ends = [value for pair in of.pairs for value in pair]
    low, high = min(ends), max(ends)
    left, end = 54, SIDE - 10

    def x(value: float) -> float:
        return round(left + 8 + (value - low) / ((high - low) or 1) * (end - left - 16), 1)

    def y(value: float) -> float:
        return round(SIDE - 40 - 8 - (value - low) / ((high - low) or 1) * (SIDE - 40 - 24), 1)

    dots = [
        tag(
            "g",
            tag("title", f"measured {measured:.3g} ms, predicted {predicted:.3g} ms"),
            tag("circle", class_="dot", cx=x(measured), cy=y(predicted), r=4),
        )
        for measured, predicted in of.pairs
    ]
    rule = tag("path", class_="grid", d=f"M{left} 8V{SIDE - 40}H{end}", fill="none")
    equal = tag("line", class_="span", x1=x(low), y1=y(low), x2=x(high), y2=y(high))
    words = [
        text(left - 6, y(high) + 4, f"{high:.3g} ms", "end"),
        text(left - 6, y(low) + 4, f"{low:.3g} ms", "end"),
        text(x(low), SIDE - 24, f"{low:.3g} ms"),
        text(x(high), SIDE - 24, f"{high:.3g} ms", "end"),
        text((left + end) / 2, SIDE - 6, "measured; upwards the sum of the parts", "middle"),
    ]
    label = f"{len(of.pairs)} networks: predicted against measured times, {of.told}"
    picture = tag(
        "svg", rule, equal, *dots, *words,
        class_="sketch", viewBox=f"0 0 {SIDE} {SIDE}", width=SIDE, height=SIDE, role="img", aria_label=label,
    )  # fmt: skip
    caption = tag("figcaption", plain(of.where, lines=False), class_="small")
    return tag(
        "section", tag("h2", "Times as sums of parts"), tag("p", note), tag("figure", picture, caption)
    )
