"""Tables fit the terminal: at any width no number is broken, nothing is cut, and what is left out is named."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from blockzoo.core.typeset import (
    HIGH,
    KEY,
    LOW,
    Column,
    TextTable,
    as_latex,
    as_markdown,
    cells_of,
    name,
    number,
    prose,
    typeset,
    wrapped,
)

COLUMNS = (
    name("block"),
    name("position", HIGH),
    number("test", "%", KEY),
    number("validation", "%", LOW),
    number("n", importance=HIGH),
    number("multiply-adds", "M"),
    prose("verdict", HIGH),
)
LINES = [
    ("ResNetBasicBlock", "early", "38.37 ± 4.12", "37.10 ± 3.91", "3", "210", "better than most others here"),
    ("InvertedResidual", "mid", "41.02 (38.00 to 43.90)", "40.00 ± 2.00", "10", "12.4", "unresolved"),
]
TABLE = TextTable("cifar10, fast-v1, 10 epochs, batch 256", COLUMNS, LINES, "mean ± half of the interval", 1)


def shown(table: TextTable, width: int, *, whole: bool = False) -> list[str]:
    return [line for line, _ in typeset(table, width, whole=whole)]


@pytest.mark.parametrize("width", [45, 60, 80, 100, 200])
def test_no_line_is_longer_than_the_terminal_and_no_number_is_broken(width: int) -> None:
    lines = shown(TABLE, width)
    text = "\n".join(lines)
    assert max(map(cells_of, lines)) <= width and "…" not in text
    assert "38.37 ± 4.12" in text and "41.02 (38.00 to 43.90)" in text
    left_out = re.search(r"Not shown at this width: (.*?)\. --format", text.replace("\n", " "))
    gone = left_out[1].split("; ") if left_out else []
    words = text.split("Not shown")[0].split()
    for column in COLUMNS:
        assert (column.heading in gone) != all(word in words for word in column.heading.split())


def test_the_least_important_go_first() -> None:
    gone = [
        " ".join(shown(TABLE, width)).partition("Not shown at this width: ")[2] for width in (120, 100, 60)
    ]
    assert gone[0] == "" and gone[1].startswith("validation, %.")
    assert gone[2].startswith("validation, %; multiply-adds, M")


def test_without_a_terminal_all_columns_are_there() -> None:
    lines = shown(TABLE, 60, whole=True)
    assert "validation, %" in "\n".join(lines) and "Not shown" not in "\n".join(lines)


def test_names_are_broken_rather_than_cut() -> None:
    long = "my_file.py:" + "B" * 90
    table = TextTable("", (name("block"), number("test", "%", KEY)), [(long, "1.00 ± 0.50")])
    lines = shown(table, 40)
    assert max(map(len, lines)) <= 40 and long in "".join(line.split("  ")[0].strip() for line in lines[2:])


def test_a_free_line_parts_what_belongs_together() -> None:
    lines = shown(TABLE, 200)
    assert lines[lines.index(next(line for line in lines if line.startswith("ResNet"))) + 1] == ""


TEXT = st.text(max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=4), TEXT, st.integers(12, 120))
def test_whatever_stands_in_it_is_text_and_fits(
    lines: list[tuple[str, str, str]], title: str, width: int
) -> None:
    table = TextTable(title, (name("a"), prose("b", LOW), name("c", LOW)), lines, title)
    for line in shown(table, width):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", line) and cells_of(line) <= max(width, 17)


@given(TEXT, st.integers(2, 40))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cells_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_markdown_and_latex_have_every_column() -> None:
    text = as_markdown(TABLE)
    heads, rule, *body = [line for line in text.splitlines() if line.startswith("|")]
    assert heads.count("|") == rule.count("|") == len(COLUMNS) + 1 and len(body) == len(LINES)
    assert rule.split("|")[1:4] == ["---", "---", "---:"]
    latex = as_latex(TABLE)
    assert r"test, \%" in latex and r"38.37 $\pm$ 4.12 &" in latex and latex.count(r"\\") == len(LINES) + 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_is_latex(tmp_path: Path) -> None:
    hostile = TextTable("$x_1$ & 5 %", (name("#a"),), [("\\frac{",), ("~^|<>{}",)])
    body = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}"
        + as_latex(hostile)
        + "\\end{document}"
    )
    (tmp_path / "t.tex").write_text(body)
    done = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout


def test_any_console_shows_it() -> None:
    console = Console(width=60, file=io.StringIO())
    console.print(TABLE)
    assert console.file.getvalue().splitlines()[0] == TABLE.title  # type: ignore[attr-defined]


def test_a_column_says_its_unit() -> None:
    assert Column("test", "%").heading == "test, %" and Column("n").heading == "n"
