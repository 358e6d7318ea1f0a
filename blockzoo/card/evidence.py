"""The accuracies of a card as parts of its page: by position, beside others, on the front; curves, times, trainings."""

from __future__ import annotations

from collections import defaultdict

from blockzoo.card.made import Card
from blockzoo.card.sections import section
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.table import Row
from blockzoo.core.text import plain
from blockzoo.report.groups import name_of
from blockzoo.report.site.evidence import again_of, curves_of, times_of, trainings_of
from blockzoo.report.site.gathered import gather
from blockzoo.report.site.markup import EMPTY, Markup, joined, table, tag
from blockzoo.report.site.sketches import cloud, spans
from blockzoo.report.site.standing import Subject, entries_of
from blockzoo.report.site.words import NONE

AXIS = "multiply-adds of the stage"


def accuracies(card: Card) -> Markup:
    """By position with intervals, verdict and rank; the place on the front."""
    standing, outcomes = card.standings.block, card.of("accuracy")
    if not standing.lines or standing.of is None or standing.board is None:
        return section("Accuracy by position", outcomes, EMPTY)
    reference = plain(standing.reference, lines=False)
    lines, drawn = [], []
    others = standing.lines_of(standing.reference)
    for place, line in standing.lines.items():
        difference, verdict = line.against or (NONE, "")
        other = others.get(place)
        short = "mean of positions" if place == "mean" else place
        chances = [
            one.front
            for ranked in standing.ranked.values()
            if (one := ranked.get(place)) is not None and one.front is not None
        ]
        lines.append(
            (short, line.accuracy, other.accuracy if other else NONE, difference, verdict, line.rank or NONE, line.n,
             f"{chances[0]:.0%}" if chances else NONE)
        )  # fmt: skip
        for name, of in (("", line), (reference, other)):
            if of is not None and of.mean is not None:
                drawn.append((f"{name or plain(standing.name, lines=False)}, {short}", of.mean, of.interval))
    heads = ("", "accuracy, %", f"{reference}, %", "difference", "verdict", "rank", "n", "on the front")
    told = (
        f"{standing.of.words}. \u00b1: all of the table hold together in 95 % of tables; verdicts after Holm's correction over all pairs. "
        f"On the front: the probability that none of these that costs no more ({AXIS}) is more accurate."
    )
    body = [
        table(plain(standing.board["title"], lines=False), heads, lines, left=(4,)),
        spans("Accuracy by position", drawn, " %"),
        _front(card),
        tag("p", plain(told, lines=False), class_="small"),
    ]
    return section("Accuracy by position, verdict, and the front", outcomes, joined(body))


def _front(card: Card) -> Markup:
    """Every block that is compared, at each position, against what its stage costs."""
    standing = card.standings.block
    pictures = []
    for place in (standing.board or {}).get("places", ()):
        if place["name"] not in POSITIONS or "stage_macs" not in place["costs"]:
            continue
        costs, points = place["costs"]["stage_macs"], []
        for row, block in enumerate(place["block"]):
            mean, cost = place["mean"][row], costs[row] if isinstance(costs, list) else costs
            if mean is not None and cost is not None:
                name = (standing.board or {})["blocks"][block]
                ends = place["together"][row] or place["alone"][row]
                points.append((name, cost, mean, (ends[0], ends[1]) if ends else None))
        pictures.append(
            cloud(
                f"{place['name']}: accuracy against {AXIS}", points, AXIS, plain(standing.name, lines=False)
            )
        )
    return tag("div", *pictures, class_="sketches") if pictures else EMPTY


def evidence_of(card: Card) -> Markup:
    """Curves, times in all ways, trainings and how to make them again, as the page of a block has them."""
    standing = card.standings.block
    if not standing.lines or standing.of is None or standing.board is None:
        return EMPTY
    gathered = gather(card.database)
    rows: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in standing.of.rows:
        rows[standing.board["key"], plain(name_of(row), lines=False), row.get("position") or ""].append(row)
    entries = entries_of(list(standing.lines.values()), rows, gathered.told)
    subject = Subject(standing.name, "", entries, None, gathered.latencies, EMPTY, "", "")
    return joined(part(subject) for part in (curves_of, times_of, trainings_of, again_of))
