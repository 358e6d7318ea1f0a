"""What commands print: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import itertools
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.protocol import is_renderable
from rich.table import Table
from rich.text import Text

from blockzoo.core.errors import UsageError
from blockzoo.core.files import write_text
from blockzoo.core.text import csv_lines, plain


class Screen(Console):
    """A console on which every text is text: no markup, and what a terminal would obey is written out."""

    def __init__(self, **how: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **how)

    def print(self, *objects: object, **how: Any) -> None:
        """As rich has it, whatever is no table, bar or text as its `str`."""
        super().print(*(shown if is_renderable(shown) else str(shown) for shown in objects), **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """The one way by which a text of any table, title or sentence comes to the screen."""
        return super().render_str(plain(text), **how)


out = Screen(width=None if sys.stdout.isatty() else 130)


def table(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]], caption: str = "") -> Table:
    """A table with its first column to the left and all others to the right."""
    made = Table(title=title, caption=caption or None, title_justify="left", caption_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for line in lines:
        made.add_row(*line)
    return made


def tables(
    several: Iterable[tuple[str, Sequence[str], Sequence[Sequence[str]], str]], below: str = ""
) -> Group:
    """Tables one below the other, each a title, its columns, lines and caption; and a text below them."""
    made = [part for one in several for part in (table(*one), Text())]
    return Group(*made, Text(plain(below))) if below else Group(*made[:-1])


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


def show(made: RenderableType, rows: Sequence[dict[str, Any]], form: str, output: Path | None) -> None:
    """Print the table, or the rows as JSON or CSV; write them to `output` too where it is given."""
    check_output(output)
    if form == "table":
        out.print(made)
    else:
        out.file.write(as_text(rows, form))
    if output is not None:
        write_text(output, as_text(rows, form_of(output)))
        if form == "table":
            out.print(f"written to {output}")


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
