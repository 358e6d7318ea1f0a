"""Tables of results, typeset: for a terminal of any width, in Markdown, LaTeX and HTML. The one place where a table is laid out.

A table that is too wide first breaks its headings, then its prose, then leaves out its least important columns, and says which.
A number is never broken, and nothing is ever cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from blockzoo.core.text import latex, markdown, page, plain

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

KEY, HIGH, MIDDLE, LOW = 9, 7, 5, 3
"""How important columns are: those of `KEY` stay however narrow the terminal is."""
GAP = "  "
LEAST_PROSE, LEAST_NAME = 24, 16
"""Characters below which a column of sentences, or of names, is not narrowed."""
WORDS = re.compile(r"(?<!±) +(?![%±])")
"""Between words a line may end; not within `38.37 ± 4.12 %`."""
EVERYTHING = 10**6
"""A width at which every column is shown."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        title: what stands in it.
        unit: of its values, beside the title.
        align: numbers stand to the right, words to the left.
        importance: the lower, the sooner it is left out; `KEY` never.
        prose: sentences, which may be broken between words.
    """

    title: str
    unit: str = ""
    align: Literal["left", "right"] = "right"
    importance: int = MIDDLE
    prose: bool = False

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


def number(title: str, unit: str = "", importance: int = MIDDLE) -> Column:
    """A column of numbers."""
    return Column(title, unit, importance=importance)


def name(title: str, importance: int = KEY) -> Column:
    """A column of names: of what the lines are, unless it is of less importance."""
    return Column(title, align="left", importance=importance)


def prose(title: str, importance: int = MIDDLE) -> Column:
    """A column of sentences."""
    return Column(title, align="left", importance=importance, prose=True)


@dataclass(frozen=True)
class TextTable:
    """A table as it is shown.

    Args:
        title: one line above it; "": none.
        columns: from left to right.
        lines: a text for each column, as people read it.
        caption: what stands below it.
        parted_by: the column before whose changes a line is left free; None: no line is.
    """

    title: str
    columns: tuple[Column, ...]
    lines: Sequence[tuple[str, ...]]
    caption: str = ""
    parted_by: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        from rich.text import Text

        for line, style in typeset(self, options.max_width):
            yield Text(line, style=style, no_wrap=True, overflow="ignore")


def typeset(table: TextTable, width: int, *, whole: bool = False) -> Iterator[tuple[str, str]]:
    """The lines of a table, each with its style ("bold", "dim" or "").

    Args:
        table: its texts are shown as texts.
        width: of the terminal, in characters; lines are at most so long where the table can be made so.
        whole: leave no column out, however wide it gets.
    """
    cells = [tuple(plain(text, lines=False) for text in line) for line in table.lines]
    kept, widths = _fitted(table, cells, EVERYTHING if whole else width)
    if whole:
        widths = _narrowed_prose(table, kept, cells, widths, width)
    if table.title:
        yield from ((line, "bold") for line in wrapped(plain(table.title), width))
    heads = [
        wrapped(plain(table.columns[i].heading, lines=False), w) for i, w in zip(kept, widths, strict=True)
    ]
    high = max((len(head) for head in heads), default=0)
    if any(any(head) for head in heads):
        for row in range(high):
            texts = [([""] * (high - len(head)) + head)[row] for head in heads]
            yield _line(table, kept, widths, texts), "bold"
    yield "─" * min(sum(widths) + len(GAP) * (len(widths) - 1), width), "dim"
    before: tuple[str, ...] | None = None
    for line in cells:
        at = table.parted_by
        if at is not None and before is not None and before[at] != line[at]:
            yield "", ""
        before = line
        parts = [wrapped(line[i], w) for i, w in zip(kept, widths, strict=True)]
        for row in range(max((len(part) for part in parts), default=0)):
            texts = [part[row] if row < len(part) else "" for part in parts]
            yield _line(table, kept, widths, texts), ""
    below = [plain(table.caption)] if table.caption else []
    if gone := [column.heading for i, column in enumerate(table.columns) if i not in kept]:
        below.append(f"Not shown at this width: {'; '.join(map(plain, gone))}. --format csv has everything.")
    if below and cells:
        yield "", ""
    for text in below:
        yield from ((line, "dim") for line in wrapped(text, width))


def as_markdown(table: TextTable) -> str:
    """The table in Markdown, with all its columns."""
    head = " | ".join(markdown(column.heading) for column in table.columns)
    rule = "|".join("---" if column.align == "left" else "---:" for column in table.columns)
    body = "".join(f"| {' | '.join(map(markdown, line))} |\n" for line in table.lines)
    title = f"**{markdown(table.title)}**\n\n" if table.title else ""
    caption = f"\n{_paragraphs(table.caption)}\n" if table.caption else ""
    return f"{title}| {head} |\n|{rule}|\n{body}{caption}"


def as_latex(table: TextTable) -> str:
    """The table in LaTeX, with all its columns; it needs the package booktabs."""
    sides = "".join("l" if column.align == "left" else "r" for column in table.columns)
    head = " & ".join(latex(column.heading) for column in table.columns)
    body: list[str] = []
    for line, following in pairwise((*table.lines, None)):
        assert line is not None
        parted = (
            table.parted_by is not None and following and following[table.parted_by] != line[table.parted_by]
        )
        body.append(f"{' & '.join(map(latex, line))} \\\\" + " \\addlinespace" * bool(parted))
    caption_text = latex(". ".join(text for text in (table.title, *table.caption.split("\n")) if text))
    caption = [f"\\caption{{{caption_text}}}"] if caption_text else []
    inner = [
        f"\\begin{{tabular}}{{{sides}}}",
        "\\toprule",
        f"{head} \\\\",
        "\\midrule",
        *body,
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(["\\begin{table}", "\\centering", *caption, *inner, "\\end{table}"]) + "\n"


def as_html(table: TextTable) -> str:
    """The table as an element of a page, such as a notebook, with all its columns."""

    def line(texts: Sequence[str], tag: str) -> str:
        pairs = zip(table.columns, texts, strict=True)
        return "".join(f'<{tag} style="text-align: {column.align}">{page(t)}</{tag}>' for column, t in pairs)

    head = line([column.heading for column in table.columns], "th")
    body = "".join(f"<tr>{line(texts, 'td')}</tr>\n" for texts in table.lines)
    title = f"<caption>{page(table.title)}</caption>" if table.title else ""
    caption = f"\n<p>{page(table.caption)}</p>" if table.caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>{caption}"


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most that many columns of a terminal, broken between words, and within one that is longer.

    Examples:
        >>> wrapped("mean of the seeds", 8)
        ['mean of', 'the', 'seeds']
    """
    if text.isprintable() and "  " not in text and text == text.strip() and cells_of(text) <= width:
        return [text]
    lines: list[str] = []
    for part in text.expandtabs(4).split("\n"):
        line = part[: len(part) - len(part.lstrip())]
        empty = True
        for word in WORDS.split(part.strip()):
            if not empty and cells_of(line) + 1 + cells_of(word) <= width:
                line += f" {word}"
                continue
            if not empty:
                lines.append(line)
                line = ""
            line += word
            while cells_of(line) > width:
                cut = _fits(line, width)
                lines.append(line[:cut])
                line = line[cut:]
            empty = False
        lines.append(line)
    return lines


def cells_of(text: str) -> int:
    """How many columns of a terminal a text takes.

    Examples:
        >>> cells_of("±0.5"), cells_of("名")
        (4, 2)
    """
    if text.isascii() or max(text) < "\u0300":  # before the first letter that combines, and all that are wide
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) != 0 for letter in text)


def _fits(text: str, width: int) -> int:
    """How many of its letters fit: at least one."""
    count = 1
    while count < len(text) and cells_of(text[: count + 1]) <= width:
        count += 1
    return count


def _paragraphs(text: str) -> str:
    return "\n\n".join(map(markdown, text.split("\n")))


def _line(table: TextTable, kept: Sequence[int], widths: Sequence[int], texts: Sequence[str]) -> str:
    shown = []
    for i, width, text in zip(kept, widths, texts, strict=True):
        space = " " * (width - cells_of(text))
        shown.append(text + space if table.columns[i].align == "left" else space + text)
    return GAP.join(shown).rstrip()


def _fitted(table: TextTable, cells: Sequence[tuple[str, ...]], width: int) -> tuple[list[int], list[int]]:
    """The columns that are shown, and how wide."""
    columns = table.columns
    longest = [max((cells_of(line[i]) for line in cells), default=0) for i in range(len(columns))]
    words = [max((cells_of(word) for word in plain(c.heading).split()), default=0) for c in columns]
    natural = [max(longest[i], cells_of(plain(c.heading))) for i, c in enumerate(columns)]
    narrow = [max(longest[i], words[i]) for i in range(len(columns))]
    with_prose = [
        min(narrow[i], max(LEAST_PROSE, words[i])) if c.prose else narrow[i] for i, c in enumerate(columns)
    ]
    with_names = [
        min(with_prose[i], max(LEAST_NAME, words[i])) if c.align == "left" else with_prose[i]
        for i, c in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    while True:
        room = width - len(GAP) * (len(kept) - 1)
        for least in (natural, narrow, with_prose):
            if sum(least[i] for i in kept) <= room:
                return kept, _grown(kept, least, natural, room)
        gone = min(
            (i for i in kept if columns[i].importance < KEY),
            key=lambda i: (columns[i].importance, -i),
            default=None,
        )
        if gone is not None and columns[gone].importance < HIGH:
            kept.remove(gone)
        elif sum(with_names[i] for i in kept) <= room or gone is None:
            return kept, _grown(kept, with_names, natural, room)
        else:
            kept.remove(gone)


def _grown(kept: Sequence[int], least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """Widths from the least ones towards the natural ones, as far as there is room; the widest wishes share what is left."""
    widths = {i: least[i] for i in kept}
    spare = room - sum(widths.values())
    for place, i in enumerate(wishes := sorted(kept, key=lambda i: natural[i] - least[i])):
        more = min(natural[i] - least[i], max(spare, 0) // (len(wishes) - place))
        widths[i] += more
        spare -= more
    return [widths[i] for i in kept]


def _narrowed_prose(
    table: TextTable, kept: Sequence[int], cells: Sequence[tuple[str, ...]], widths: Sequence[int], width: int
) -> list[int]:
    """The natural widths of a table that keeps all its columns, its prose broken at the width."""
    over = sum(widths) + len(GAP) * (len(widths) - 1) - width
    narrowed = list(widths)
    for place, i in enumerate(kept):
        if table.columns[i].prose and over > 0:
            less = min(over, max(0, narrowed[place] - LEAST_PROSE))
            narrowed[place] -= less
            over -= less
    return narrowed
