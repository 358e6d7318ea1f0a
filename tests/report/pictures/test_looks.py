from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from blockzoo.report.pictures.looks import COLOURS, PLACES, VERDICTS, Mark, labels, look, wrapped


def luminance(colour: str) -> float:
    """Of sRGB, 0 to 1 (ITU-R BT.709)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("marks", [list(VERDICTS.values()), [PLACES[p] for p in ("early", "mid", "late")]])
def test_marks_are_told_apart_by_form_and_in_grey(marks: Sequence[Mark]) -> None:
    assert len({mark.marker for mark in marks}) == len(marks)
    greys = sorted(luminance(mark.face) for mark in marks)
    assert all(b - a > 0.08 for a, b in itertools.pairwise(greys)), greys


def test_blocks_keep_their_look_whatever_the_order() -> None:
    names = [f"B{number:03}" for number in range(100)]
    assert look(names) == look(reversed(names)) and len(set(look(names).values())) == 100
    assert [mark.colour for mark in look(names).values()][: len(COLOURS)] == list(COLOURS)


def test_names_are_one_line_short_and_different() -> None:
    names = ["a\nb", "a b", "x" * 90, "x" * 45 + "y" + "x" * 44, "", "$x$", "_x"]
    made = labels(names)
    assert len(set(made.values())) == len(names) and not any("\n" in shown for shown in made.values())
    assert all(len(shown) <= 36 for shown in made.values())
    assert made["$x$"] == r"\$x\$" and made["_x"] != "_x" and made[""] == "(no name)"


def test_lines_are_as_wide_as_asked() -> None:
    lines = wrapped("word " * 100, 5.0, 10.0)
    assert " ".join(lines).split() == ["word"] * 100 and max(map(len, lines)) <= 5 * 72 / 5.6
