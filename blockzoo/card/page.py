"""A card as one self-contained page, in the style and under the policy of the pages of a site."""

from __future__ import annotations

from blockzoo.card.answer import difference_words
from blockzoo.card.block import graph_markup
from blockzoo.card.evidence import accuracies, evidence_of
from blockzoo.card.lenses import cell, clocks, costs, coupling, tiles
from blockzoo.card.made import Card
from blockzoo.card.schedule import in_words
from blockzoo.card.sections import counted, section, shown
from blockzoo.core import units
from blockzoo.report.site.cards import card_of, cited
from blockzoo.report.site.markup import EMPTY, Markup, facts, joined, table, tag
from blockzoo.report.site.shell import Shell
from blockzoo.report.site.words import NONE

STATUS = {"done": "done", "no time": "left out", "cannot": "not possible"}


def page_of(card: Card, address: str, made: str) -> str:
    """The whole text of the page.

    Args:
        card: what it shows.
        address: its file name.
        made: when and by what.
    """
    frame = Shell(f"Card of {shown(card.asked.name)}", shown(made), [], address)
    parts = (
        _head,
        accuracies,
        costs,
        clocks,
        coupling,
        tiles,
        cell,
        _what_it_is,
        evidence_of,
        _parts,
        _provenance,
    )
    return frame.page(frame.title, joined(part(card) for part in parts), here=address)


def _head(card: Card) -> Markup:
    first, *rest = card.answer
    entry = card_of(card.asked.name)
    left_out = tag(
        "ul",
        *(tag("li", f"{shown(title)}: {shown(why)}") for title, why in card.left_out),
        class_="changes quiet",
    )
    note = (f"Made in {card.told}. ", tag("a", "What was measured, and what was not", href="#parts"), ".")
    return joined(
        [
            tag("h1", shown(card.asked.name)),
            tag("p", entry.sentence if entry else "A block that is not of the zoo.", class_="quiet"),
            tag("p", shown(first), class_="answer"),
            _glance(card),
            *(tag("p", shown(one)) for one in rest),
            tag("p", *note, class_="small"),
            tag("details", tag("summary", "Not on this card"), left_out) if card.left_out else EMPTY,
        ]
    )


def _glance(card: Card) -> Markup:
    """The figures that most people look for; those that are not there are left out."""
    standing = card.standings.block
    rows = []
    difference = standing.differences.get("mean") or next(iter(standing.differences.values()), None)
    if difference is not None:
        where = "mean of positions" if "mean" in standing.differences else difference.position
        rows.append(
            (
                "accuracy, points",
                difference_words(difference),
                f"{where}, n = {difference.n}, {difference.kind}",
            )
        )
    if card.evidence.macs is not None:
        rows.append(("multiply-adds", f"{card.evidence.macs:.2f} x", "of the stage, mean of positions"))
    if card.evidence.time is not None:
        low, high = card.evidence.time["interval"]
        rows.append(
            (
                "time",
                f"{card.evidence.time['ratio']:.2f} x",
                f"{low:.2f} to {high:.2f}, n = {card.evidence.time['n']}",
            )
        )
    if (done := card.done("tiles")) is not None and "exact" in done.made.figures["plans"]:
        plan = done.made.figures["plans"]["exact"]
        share = plan["peak_bytes"] / plan["layer_by_layer_peak_bytes"]
        rows.append(("memory in tiles", f"{share:.2f} x", f"{units.size(plan['peak_bytes'])}, same results"))
    if (done := card.done("coupling")) is not None and done.made.figures["strongest"] is not None:
        within = "within 5 %" if done.made.figures["converged"] else "a lower bound"
        rows.append(
            (
                "strongest coupling",
                f"{done.made.figures['strongest']:.3g}",
                f"{within}; blocks of its network",
            )
        )
    if (line := card.standings.cell.lines.get("")) is not None and line.against and line.n > 1:
        rows.append(("as a cell, points", line.against[0], f"less convolutions, n = {line.n}"))
    boxes = [
        tag("div", tag("dt", what), tag("dd", value), tag("dd", more, class_="small"))
        for what, value, more in rows
    ]
    if not boxes:
        return EMPTY
    note = f"Less, or as multiples of, what {shown(card.asked.reference)} has, where nothing else is said."
    return joined([tag("dl", *boxes, class_="glance"), tag("p", note, class_="small")])


def _what_it_is(card: Card) -> Markup:
    entry, done = card_of(card.asked.name), card.done("block")
    parts: list[Markup] = []
    if entry is not None:
        parts += [tag("p", caveat) for caveat in entry.caveats]
        parts += [tag("p", cited(entry.source), class_="quiet")] if entry.source else []
    if done is not None:
        parts.append(Markup(done.made.pictures["card"]))
        parts.append(graph_markup(done.made.pictures["graph"], shown(done.made.figures["graph"])))
    if entry is not None:
        code = tag("pre", tag("code", entry.code), tabindex=0)
        parts.append(tag("details", tag("summary", f"Code, {entry.module}"), code))
    return section("What it is", card.of("block"), joined(parts))


def _parts(card: Card) -> Markup:
    lines = [
        (
            shown(one.title),
            STATUS[one.status],
            counted(one.made.n),
            _seconds(one.estimated_s),
            _seconds(one.took_s),
            shown(one.why),
        )
        for one in card.outcomes
    ]
    heads = ("part", "", "n", "estimated", "took", "why not")
    note = (
        "In the order in which they were made: what is worth most for its seconds first, each estimated before it. The time "
        f"counts from the start of the command; it took {card.told}."
    )
    body = table("Parts", heads, lines, left=(1, 2, 5))
    return tag("section", tag("h2", "What was measured, and what was not", id="parts"), tag("p", note), body)


def _seconds(value: float | None) -> str:
    return NONE if value is None else in_words(value)


def _provenance(card: Card) -> Markup:
    return tag(
        "section",
        tag("h2", "How this card was made"),
        facts((name, shown(v)) for name, v in card.provenance.items()),
    )
