"""Names are text in every medium."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure

from blockzoo.core import text
from blockzoo.core.csv_file import read_csv
from blockzoo.core.errors import UnknownNameError, UsageError
from blockzoo.core.table import COLUMNS

HOSTILE = [
    "[/red]", "[red]x", "prof[v2].csv", "[link=http://x]y[/link]", ":smile:", "\x1b[31mred\x1b[0m", "\x9b31m",
    "\x1b]0;title\x07", "a\rb", "a\x08b", "=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "'=1", "''=1",
    "=cmd|'/C calc'!A0", "\uff1d1", "|", "a|b", "`x`", "**x**", "<script>alert(1)</script>", "</script>", "<!--",
    "a & b", '"', "'", "![x](y)", "[x](javascript:y)", "$x$", r"$\frac$", "$", "$$", r"\$", r"\frac{", "_hidden",
    "__x", "\u202eabc", "\u2028", "\ud800", "DATA", "TITLE", "{}", "{0}", "%s", "%(x)s", "\x00", "a\nb", "../x", "..",
    ".", "-", "", " ", "x" * 300, "名前",
]  # fmt: skip
ANY = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))


@given(ANY)
def test_a_terminal_gets_nothing_to_obey(name: str) -> None:
    shown = text.plain(name)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    shown.encode()  # no half of a character
    assert text.plain(shown) == shown and "\n" not in text.plain(name, lines=False)
    if name.isprintable():
        assert shown == name


@given(ANY)
def test_a_cell_is_no_formula_and_is_read_as_it_was(name: str) -> None:
    written = text.cell(name)
    assert written == "-" or not re.match(r"[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]", written)
    assert text.uncell(written) == text.plain(name.replace("\r\n", "\n"))
    (row,) = (
        csv.reader(io.StringIO(text.csv_text([{name or "x": name}]).split("\n", 1)[1]))
        if "\n" not in name
        else [[written]]
    )
    assert row in ([written], []), "one cell, or the line that one empty cell makes"
    assert text.cell(-1.5) == -1.5 and text.cell(None) is None


@pytest.mark.parametrize("name", [n for n in HOSTILE if n.strip()])
def test_a_results_table_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS) | {
        "block": name,
        "position": "mid",
        "notes": name,
        "val_loss": -0.5,
        "=extra": name,
        "n": -3,
    }
    path = tmp_path / "results.csv"
    path.write_text(text.csv_text([row]), encoding="utf-8", newline="")
    (got,) = read_csv(path)
    for column in ("block", "notes", "=extra"):
        assert got[column] == text.plain(name.replace("\r\n", "\n")), column
    assert got["val_loss"] == -0.5 and got["n"] == -3
    assert text.csv_text([got]) == text.csv_text([row]), "and written again as it was"


@given(ANY)
def test_markdown_has_no_signs_of_its_own(name: str) -> None:
    shown = text.markdown(name)
    assert "\n" not in shown
    bare = re.sub(r"\\[\\`*_{}\[\]<>|~$&#!]", "", shown)
    assert not re.search(r"[`*\[\]<>|~$&]", bare)
    assert re.sub(r"\\([\\`*_{}\[\]<>|~$&#!])", r"\1", shown) == text.plain(name, lines=False)
    assert text.markdown("my_block_2") == "my_block_2"


class Reader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.read: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_comment(self, data: str) -> None:
        self.tags.append("comment")

    def handle_data(self, data: str) -> None:
        self.read.append(data)


@given(ANY)
def test_a_page_has_no_tags_of_a_name(name: str) -> None:
    reader = Reader()
    reader.feed(f"<p>{text.page(name)}</p><p title='{text.page(name)}'>")
    reader.close()
    assert reader.tags == ["p", "p"] and "".join(reader.read) == text.plain(name)
    data = text.script({"name": name})
    assert json.loads(data)["name"] == name and not re.search(r"[<>&\u2028\u2029]", data)


@given(ANY)
def test_a_picture_has_no_formulas_of_a_name(name: str) -> None:
    shown = text.picture(name)
    assert not is_math_text(shown) and not shown.startswith("_")
    assert shown.replace(r"\$", "$").removeprefix("\u200b") == text.plain(name)


def test_a_picture_is_drawn_with_any_name() -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name in HOSTILE:
        if len(name) < 50:
            axes.plot([1, 2], [1, 2], label=text.picture(name))
    axes.legend()
    axes.set_title(text.picture(" ".join(HOSTILE[:60])))
    figure.canvas.draw()
    axes.set_title(r"$\frac{$")
    with pytest.raises(ValueError, match="frac"):
        figure.canvas.draw()  # as it is, such a name ends the drawing


@given(ANY)
def test_a_part_of_a_file_name_stays_in_its_folder(name: str) -> None:
    part = text.file_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,120}", part) and part not in (".", "..")


def test_an_error_prints_nothing_that_a_terminal_obeys() -> None:
    assert str(UsageError("no \x1b[31mname\x07")) == r"no \x1b[31mname\x07"
    assert str(UnknownNameError("no 'x'\nKnown: y")) == "no 'x'\nKnown: y", "lines stay, and no quotes come"
