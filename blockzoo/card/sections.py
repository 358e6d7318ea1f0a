"""A section of a card's page: what a part says, n and the command, or why it is not there."""

from __future__ import annotations

from collections.abc import Sequence

from blockzoo.card.schedule import Outcome
from blockzoo.core.text import plain
from blockzoo.report.site.evidence import copied
from blockzoo.report.site.markup import EMPTY, Markup, tag


def section(title: str, outcomes: Sequence[Outcome], body: Markup) -> Markup:
    """A part with its figures.

    Args:
        title: of the section.
        outcomes: of the part, or parts.
        body: the figures.
    """
    done = [one for one in outcomes if one.status == "done"]
    says = dict.fromkeys(plain(sentence, lines=False) for one in done for sentence in one.made.says)
    counts: dict[str, int] = {}
    for one in done:
        for what, count in one.made.n.items():
            counts[what] = counts.get(what, 0) + count
    n = f"n: {', '.join(f'{count:,} {what}' for what, count in counts.items())}." if counts else ""
    commands = dict.fromkeys(one.made.command for one in done if one.made.command)
    again = [
        copied(f"command-{done[0].part.replace(' ', '-')}-{i}", plain(line, lines=False))
        for i, line in enumerate(commands)
    ]
    return tag(
        "section",
        tag("h2", title),
        *(tag("p", sentence) for sentence in says),
        body,
        nothing(outcomes),
        tag("p", n, class_="small") if n else None,
        tag("details", tag("summary", "Make it again"), *again) if again else None,
    )


def nothing(outcomes: Sequence[Outcome]) -> Markup:
    """Why parts are not there, those of one reason together; empty where all are."""
    missing = [one for one in outcomes if one.status != "done"]
    if not missing:
        return EMPTY
    lines = [tag("li", plain(f"{one.title}: {one.why}", lines=False)) for one in missing]
    return tag("ul", *lines, class_="changes quiet")
