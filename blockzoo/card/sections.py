"""A section of a card's page: what a part says, n and the command, or why it is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blockzoo.card.schedule import Outcome, left_out
from blockzoo.core.text import plain
from blockzoo.report.site.evidence import copied
from blockzoo.report.site.markup import EMPTY, Markup, table, tag


def shown(text: object) -> str:
    """On one line, whatever a name holds."""
    return plain(str(text), lines=False)


def section(title: str, outcomes: Sequence[Outcome], body: Markup) -> Markup:
    """A part with its figures.

    Args:
        title: of the section.
        outcomes: of the part, or parts.
        body: the figures.
    """
    done = [one for one in outcomes if one.status == "done"]
    says = dict.fromkeys(shown(sentence) for one in done for sentence in one.made.says)
    counts: dict[str, int] = {}
    for one in done:
        for what, count in one.made.n.items():
            counts[what] = counts.get(what, 0) + count
    commands = {
        one.part: one.made.command for one in done if one.made.command
    }.values()  # the last of each kind
    again = [
        copied(f"command-{done[0].part.replace(' ', '-')}-{i}", shown(c)) for i, c in enumerate(commands)
    ]
    return tag(
        "section",
        tag("h2", title),
        *(tag("p", sentence) for sentence in says),
        body,
        nothing(outcomes),
        tag("p", f"n: {counted(counts)}.", class_="small") if counts else None,
        tag("details", tag("summary", "Make these figures again"), *again) if again else None,
    )


def nothing(outcomes: Sequence[Outcome]) -> Markup:
    """Why parts are not there; empty where all are."""
    lines = [tag("li", f"{shown(title)}: {shown(why)}.") for title, why in left_out(outcomes)]
    return tag("ul", *lines, class_="changes quiet") if lines else EMPTY


def counted(counts: dict[str, int]) -> str:
    """How many of each thing.

    Examples:
        >>> counted({"calls": 1200, "runs": 1})
        '1,200 calls, 1 run'
    """
    return ", ".join(
        f"{count:,} {what.removesuffix('s') if count == 1 else what}" for what, count in counts.items()
    )


def of_text(made: dict[str, Any]) -> Markup:
    """A table that was kept as plain values."""
    lines = [[shown(cell) for cell in line] for line in made["lines"]]
    return table(shown(made["title"]), made["columns"], lines)
