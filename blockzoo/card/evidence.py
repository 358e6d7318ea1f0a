"""The accuracies of a card as parts of its page: by position, beside others, on the front; curves and trainings."""

from __future__ import annotations

from collections import defaultdict

from blockzoo.card.made import Card
from blockzoo.card.sections import section, shown
from blockzoo.card.standing import Standing
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.table import Row
from blockzoo.report.groups import name_of
from blockzoo.report.site.evidence import again_of, curves_of, trainings_of
from blockzoo.report.site.gathered import gather
from blockzoo.report.site.markup import EMPTY, Markup, joined, table, tag
from blockzoo.report.site.sketches import cloud, spans
from blockzoo.report.site.standing import Subject, entries_of
from blockzoo.report.site.words import NONE, Line

COST, AXIS = "stage_macs", "multiply-adds of the stage"
TITLE = "Accuracy by position, verdict, and the front"


def accuracies(card: Card) -> Markup:
    """By position with intervals, verdict and rank; the place on the front."""
    standing, outcomes = card.standings.block, card.of("accuracy")
    if not standing.lines or standing.of is None or standing.board is None:
        return section(TITLE, outcomes, EMPTY)
    others = standing.lines_of(standing.reference)
    lines = [_line(standing, place, line, others.get(place)) for place, line in standing.lines.items()]
    drawn = [
        (f"{'mean of positions' if place == 'mean' else place}: {shown(of.block)}", of.mean, of.interval)
        for place, line in standing.lines.items()
        for of in (line, others.get(place))
        if of is not None and of.mean is not None
    ]
    heads = (
        "",
        "accuracy, %",
        f"{shown(standing.reference)}, %",
        "difference",
        "verdict",
        "rank",
        "n",
        "on the front",
    )
    note = (
        "\u00b1: all of the table hold together in 95 % of tables; verdicts after Holm's correction over all pairs. On the "
        f"front: the probability that none of these which costs no more ({AXIS}) is more accurate; the cheapest is always on it."
    )
    body = [
        table(shown(standing.board["title"]), heads, lines, left=(4,)),
        spans("Accuracy by position", drawn, " %"),
        tag("div", *_fronts(standing), class_="sketches"),
        tag("p", note, class_="small"),
    ]
    return section(TITLE, outcomes, joined(body))


def _line(standing: Standing, place: str, line: Line, other: Line | None) -> tuple[object, ...]:
    difference, verdict = line.against or (NONE, "")
    ranked = standing.ranked.get(COST, {}).get(place)
    chance = NONE if ranked is None or ranked.front is None else f"{ranked.front:.0%}"
    chance += ", the cheapest" if place in standing.cheapest(COST) else ""
    return (
        "mean of positions" if place == "mean" else place, line.accuracy, other.accuracy if other else NONE,
        difference, verdict, line.rank or NONE, line.n, chance,
    )  # fmt: skip


def _fronts(standing: Standing) -> list[Markup]:
    """Every block that is compared, at each position, against what its stage costs."""
    costs, pictures = standing.costs(COST), []
    for place in POSITIONS:
        points = []
        for block in standing.board["blocks"] if standing.board else ():
            line = standing.lines_of(block).get(place)
            if line is not None and line.mean is not None and (block, place) in costs:
                points.append((block, costs[block, place], line.mean, line.interval))
        pictures.append(cloud(f"{place}: accuracy against {AXIS}", points, AXIS, shown(standing.name)))
    return pictures


def evidence_of(card: Card) -> Markup:
    """Curves, trainings and how to make them again, as the page of a block has them."""
    standing = card.standings.block
    if not standing.lines or standing.of is None or standing.board is None:
        return EMPTY
    gathered = gather(card.database)
    rows: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in standing.of.rows:
        rows[standing.board["key"], shown(name_of(row)), row.get("position") or ""].append(row)
    entries = entries_of(list(standing.lines.values()), rows, gathered.told)
    subject = Subject(standing.name, "", entries, None, gathered.latencies, EMPTY, "", "")
    return joined(part(subject) for part in (curves_of, trainings_of, again_of))
