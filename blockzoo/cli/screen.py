"""What commands print: tables for people, which fit the terminal; JSON, CSV, Markdown and LaTeX for programs and papers."""

from __future__ import annotations

import itertools
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.protocol import is_renderable
from rich.text import Text

from blockzoo.core.errors import UsageError
from blockzoo.core.files import write_text
from blockzoo.core.text import csv_lines, plain
from blockzoo.core.typeset import (
    Column,
    TextTable,
    as_latex,
    as_markdown,
    name,
    number,
    prose,
    typeset,
    wrapped,
)

MOST_DRAWN = 2000
"""Lines of a table that are printed with styles; more are printed without, which is a hundred times faster."""
WITHOUT_A_TERMINAL = 130
"""Columns of a text that goes to a file or another program, unless COLUMNS says another number."""


class Screen(Console):
    """A console on which every text is text: no markup, and what a terminal would obey is written out."""

    def __init__(self, **how: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **how)
        self._given = "width" in how

    @property
    def fits(self) -> bool:
        """Whether there is a width that tables are to fit; else they are as wide as they are."""
        return self._given or self.is_terminal or "COLUMNS" in os.environ

    @property
    def size(self) -> ConsoleDimensions:
        """Of the terminal now; without one what COLUMNS says."""
        if self._given or self.is_terminal:
            return super().size
        text = os.environ.get("COLUMNS", "")
        return ConsoleDimensions(
            int(text) if text.isdecimal() and int(text) > 0 else WITHOUT_A_TERMINAL, super().size.height
        )

    @size.setter
    def size(self, given: tuple[int, int]) -> None:
        Console.size.fset(self, given)  # type: ignore[attr-defined]
        self._given = True

    def print(self, *objects: object, **how: Any) -> None:
        """As rich has it, whatever is no table, bar or text as its `str`."""
        super().print(*(shown if is_renderable(shown) else str(shown) for shown in objects), **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """The one way by which a text of any title or sentence comes to the screen."""
        return super().render_str(plain(text), **how)


out = Screen()
around_results: list[Callable[[], AbstractContextManager[None]]] = []
"""Within which results are printed: a bar goes, and comes again."""


def table(
    title: str, columns: Iterable[object], lines: Sequence[Sequence[str]], caption: str = ""
) -> TextTable:
    """A table. A column that is only named holds numbers, the first one names."""
    heads = [
        column if isinstance(column, Column) else number(str(column)) if place else name(str(column))
        for place, column in enumerate(columns)
    ]
    return TextTable(title, tuple(heads), [tuple(line) for line in lines], caption)


def as_text(rows: Sequence[dict[str, Any]], form: str) -> str:
    """The rows as JSON or CSV."""
    return "".join(text_lines(rows, form))


def text_lines(rows: Iterable[dict[str, Any]], form: str) -> Iterator[str]:
    """The same in parts, for rows that are read one by one: those have the columns of the first."""
    if form == "json":
        before = "[\n"
        for row in rows:
            yield before + textwrap.indent(json.dumps(row, indent=2), "  ")
            before = ",\n"
        yield "[]\n" if before == "[\n" else "\n]\n"
        return
    if isinstance(rows, Sequence):
        names = list(dict.fromkeys(name for row in rows for name in row))
        yield from csv_lines(rows, names)
        return
    every = iter(rows)
    first = next(every, {})
    yield from csv_lines(itertools.chain([first] if first else [], every), list(first))


def threads_used(count: int, device: str) -> None:
    """Says so where a training leaves cores of this machine to others."""
    from blockzoo.execution.queue import cores

    if not device.startswith("cuda") and cores() > count:
        out.print(
            f"{count} of {cores()} cores, so that the numbers are those of any sweep: --threads is part of the request"
        )


def show(
    made: TextTable | Iterable[TextTable],
    rows: Iterable[dict[str, Any]],
    form: str = "table",
    output: Path | None = None,
    *,
    below: str = "",
) -> None:
    """Print results.

    Args:
        made: as people read them: one table or several, with `below` under the last.
        rows: as programs read them: a value for each name.
        form: table, json, csv, markdown or latex; the last two are of the tables.
        output: a file that the rows are written to as well.
        below: sentences.

    Raises:
        UsageError: the file cannot be told to be a table.
    """
    check_output(output)
    tables = [made] if isinstance(made, TextTable) else list(made)
    rows = rows if form in ("table", "markdown", "latex") and output is None else list(rows)
    if form == "table":
        show_tables(tables, below)
    elif form in ("json", "csv"):
        write(text_lines(rows, form))
    else:
        write(in_print(tables, form))
    if output is not None:
        write_text(output, "".join(text_lines(rows, form_of(output))))
        say(f"written to {output}")


def answer(sentences: str, rows: Sequence[dict[str, Any]], form: str = "table") -> None:
    """Print a result that people read as sentences.

    Args:
        sentences: a line each, broken between words where it does not fit the terminal.
        rows: as programs read it; in Markdown and LaTeX a table for each, with a line for each value.
        form: see `show`.
    """
    if form in ("json", "csv"):
        write(text_lines(rows, form))
    elif form == "table":
        lines = plain(sentences).split("\n")
        write(f"{part}\n" for line in lines for part in (wrapped(line, out.width) if out.fits else [line]))
    else:
        values = [
            [(key, str(value)) for key, value in row.items() if value not in (None, "")] for row in rows
        ]
        write(in_print([table("", [name(""), prose("value")], of_row) for of_row in values], form))


def for_programs(rows: Sequence[dict[str, Any]], form: str) -> None:
    """What people have read already, as programs and papers read it."""
    if form in FOR_PROGRAMS:
        answer("", rows, form)


def in_print(tables: Iterable[TextTable], form: str) -> Iterator[str]:
    """Tables in Markdown or LaTeX, one below the other."""
    for place, one in enumerate(tables):
        yield "\n" * (place > 0) + (as_markdown(one) if form == "markdown" else as_latex(one))


def show_tables(tables: Sequence[TextTable], below: str = "") -> None:
    """Print tables for people, whatever is silent otherwise."""
    with still(), loudly():
        for place, one in enumerate(tables):
            if place:
                write(["\n"])
            if out.is_terminal and len(one.lines) <= MOST_DRAWN:
                out.print(one)
            else:
                write(f"{line}\n" for line, _ in typeset(one, out.width, whole=not out.fits))
        if below:
            out.print(f"\n{below}")


@contextmanager
def loudly() -> Iterator[None]:
    """Within, what is printed is seen, whatever is silent otherwise."""
    silent, out.quiet = out.quiet, False
    try:
        yield
    finally:
        out.quiet = silent


@contextmanager
def still() -> Iterator[None]:
    """Within, nothing moves on the screen."""
    with ExitStack() as held:
        for each in around_results:
            held.enter_context(each())
        yield


def styled(lines: Iterable[tuple[str, str]]) -> None:
    """Print lines that were laid out for this width, each with its style."""
    for line, style in lines:
        out.print(Text(plain(line), style=style, no_wrap=True, overflow="ignore"), soft_wrap=True)


def write(lines: Iterable[str]) -> None:
    """Results, as they are, on the standard output."""
    with still():
        sys.stdout.writelines(lines)


def say(text: object) -> None:
    """A sentence beside the results, whole: where a path is in it, it can be taken from the screen."""
    out.print(text, soft_wrap=True)


FOR_PROGRAMS = ("json", "csv", "markdown", "latex")
"""Forms of results that programs and papers read; other formats are of files."""


def words_apart(form: str) -> None:
    """Whatever is said beside results in a form that programs read goes to the standard error."""
    out.stderr = form in FOR_PROGRAMS


def form_of(output: Path) -> str:
    """csv or json, as the file's suffix says, in whatever case."""
    return output.suffix[1:].lower()


def check_output(output: Path | None) -> None:
    """A file to write a table to is named as one.

    Raises:
        UsageError: it ends in neither .csv nor .json.
    """
    if output is not None and form_of(output) not in ("csv", "json"):
        raise UsageError(f"--output {output}: name a .csv or a .json file")
