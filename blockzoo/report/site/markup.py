"""Pieces of HTML and SVG made of elements: every text that is not markup of ours is escaped where it is put in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from blockzoo.core.text import page


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


EMPTY = Markup("")
VOID = {"br", "hr", "img", "line", "circle", "path", "rect"}
"""Elements that hold nothing."""


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element.

    Args:
        name: of it.
        children: markup, or anything else, which is shown as text; None is left out.
        attributes: `_` in a name stands for `-`, one at its end is dropped; True has no value, None and False are left out.

    Examples:
        >>> tag("td", "a < b", class_="number")
        '<td class="number">a &lt; b</td>'
    """
    named = [(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items()]
    attrs = "".join(
        f" {key}" if value is True else f' {key}="{page(str(value))}"'
        for key, value in named
        if value is not None and value is not False
    )
    if name in VOID:
        return Markup(f"<{name}{attrs}/>" if name not in ("br", "hr", "img") else f"<{name}{attrs}>")
    return Markup(f"<{name}{attrs}>{joined(children)}</{name}>")


def joined(children: Iterable[object]) -> Markup:
    """One after the other.

    Examples:
        >>> joined(["<b>", tag("br"), None, 3])
        '&lt;b&gt;<br>3'
    """
    return Markup(
        "".join(
            child if isinstance(child, Markup) else page(str(child))
            for child in children
            if child is not None
        )
    )


def table(
    caption: object, heads: Sequence[object], lines: Iterable[Sequence[object]], *, left: Sequence[int] = ()
) -> Markup:
    """A table that scrolls sideways where it is too wide; its first column names the lines.

    Args:
        caption: what it shows.
        heads: of the columns.
        lines: cells of each line.
        left: columns, counted from 0, that hold words and stand to the left as the first does.
    """

    def kind(column: int) -> str | None:
        return None if column == 0 or column in left else "number"

    head = tag("tr", *(tag("th", words, scope="col", class_=kind(i)) for i, words in enumerate(heads)))
    body = [
        tag(
            "tr",
            *(
                tag("td", cell, class_=kind(i)) if i else tag("th", cell, scope="row")
                for i, cell in enumerate(line)
            ),
        )
        for line in lines
    ]
    element = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", element, class_="scroll", tabindex=0, role="region", aria_label=str(caption))


def facts(pairs: Iterable[tuple[object, object]]) -> Markup:
    """A list of names and what they are; what is empty is left out."""
    return tag(
        "dl",
        *(joined([tag("dt", name), tag("dd", value)]) for name, value in pairs if value not in (None, "")),
    )
