"""The page of one block: what it is, its worth at each position and budget, and what that rests on."""

from __future__ import annotations

from collections.abc import Callable

from blockzoo.report.site.cards import cited
from blockzoo.report.site.evidence import again_of, cite_of, copied, curves_of, times_of, trainings_of
from blockzoo.report.site.markup import EMPTY, Markup, facts, joined, table, tag
from blockzoo.report.site.sketches import spans
from blockzoo.report.site.standing import Subject


def body_of(subject: Subject) -> Markup:
    """The main part of the page."""
    parts: list[Callable[[Subject], Markup]] = [
        _card, _worth, curves_of, times_of, _operations, trainings_of, again_of, cite_of
    ]  # fmt: skip
    return joined(part(subject) for part in parts)


def _card(subject: Subject) -> Markup:
    card = subject.card
    head = tag("h1", subject.shown)
    if card is None:
        return joined([head, tag("p", "A block or network that is not of the zoo.", class_="lead")])
    return joined(
        [
            head,
            tag("p", card.sentence, class_="lead"),
            *(tag("p", caveat) for caveat in card.caveats),
            tag("p", cited(card.source), class_="quiet") if card.source else EMPTY,
            subject.measured,
            tag(
                "details",
                tag("summary", f"Code, {card.module}"),
                tag("pre", tag("code", card.code), tabindex=0),
            ),
        ]
    )


def _worth(subject: Subject) -> Markup:
    """A table for all tables: worth by position and budget."""
    lines, drawn = [], []
    for entry in subject.entries:
        line, against = entry.line, entry.line.against
        name = tag("a", entry.short, href=f"../{entry.address}")
        difference, verdict = against or ("", "")
        lines.append(
            (
                name, ", ".join(filter(None, (line.accuracy, line.of_validation))), line.rank or "in no comparison", difference,
                "the reference" if line.is_reference else verdict, "; ".join(filter(None, (str(line.n), line.of_others))),
                line.cost("flops"), line.cost("params_total"), line.time,
            )
        )  # fmt: skip
        if line.mean is not None:
            drawn.append(
                (", ".join(filter(None, (entry.short, line.of_validation))), line.mean, line.interval)
            )
    references = {entry.line.reference for entry in subject.entries}
    reference = references.pop() if len(references) == 1 else None
    heads = (
        "",
        "accuracy, %",
        "rank",
        f"less {reference or 'the reference'}",
        "verdict",
        "n",
        "FLOPs",
        "parameters",
        "latency, ms",
    )
    boards = {entry.table: entry.line.board for entry in subject.entries}
    tables = [
        (term, ". ".join(filter(None, (board["title"], board["left_out"])))) for term, board in boards.items()
    ]
    named = tag("p", tables[0][1], class_="quiet") if len(tables) == 1 else facts(tables)
    return tag(
        "section", tag("h2", "What it is worth", id="worth"), named,
        spans("Accuracy by position and table", drawn, " %"), table("By position and budget", heads, lines, left=(4,)),
    )  # fmt: skip


def _operations(subject: Subject) -> Markup:
    """Where its costs go: the command that says it, here."""
    if subject.card is None:
        return EMPTY
    place = next((entry.place for entry in subject.positions if entry.place), "mid")
    words = f"blockzoo profile {subject.name.partition(' ')[0]}/{place} --by operation"
    return tag(
        "section", tag("h2", "Why it costs what it costs"),
        tag("p", "By operation, on paper and on a clock beside the limits of the machine:"),
        copied("by-operation", f"{words}\n{words.replace('profile', 'benchmark')}"),
    )  # fmt: skip
