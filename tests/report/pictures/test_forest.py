from __future__ import annotations

import pytest

from blockzoo.report.effects import Effects, from_reference, specialisations
from blockzoo.report.pictures.forest import draw_forest
from blockzoo.report.pictures.looks import VERDICTS
from blockzoo.report.pictures.profiles import by_specialisation, draw_profiles
from tests.report.test_effects import published


def effects(reference: str) -> Effects:
    of = published()
    assert of.comparison is not None
    return from_reference(of.table, of.fitted, of.comparison, reference)


@pytest.mark.parametrize("reference", ["ResNetBasicBlock", ""])
def test_each_difference_stands_at_its_name_with_both_intervals(reference: str) -> None:
    of = effects(reference)
    figure = draw_forest(of, "question", "group", "note", "axis")
    assert [axes.get_title() for axes in figure.axes] == ["early", "mid", "late"]
    for axes, place in zip(figure.axes, of.positions, strict=True):
        names = [label.get_text() for label in axes.get_yticklabels()]
        marks = {
            (names[round(y)], round(x, 9)): (line.get_marker(), line.get_gid())
            for line in axes.lines
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
            if str(line.get_gid()).startswith("value")
        }
        wanted = {
            (d.block, round(100 * d.value, 9)): (VERDICTS[d.kind].marker, f"value {d.kind}")
            for d in of.at(place)
        }
        assert marks == wanted
        thin, thick = (
            {names[round(s[0, 1])]: s[:, 0].tolist() for s in c.get_segments()}
            for c in axes.collections
            if c.get_gid() == "interval"
        )
        for d in of.at(place):
            assert thin[d.block] == pytest.approx([100 * end for end in of.together(d) or ()])
            assert thick[d.block] == pytest.approx([100 * end for end in of.alone(d) or ()])
        values = [x for (_, x) in sorted(marks, key=lambda mark: names.index(mark[0]))]
        assert values == sorted(values, reverse=True)
        if reference:
            assert names.index("ResNetBasicBlock (reference)") == sum(value > 0 for value in values)


def test_positions_of_a_block_stand_beside_one_another_and_no_line_joins_them() -> None:
    of, special = effects("ResNetBasicBlock"), specialisations(published().table, published().fitted)
    figure = draw_profiles(of, special, "group", "note", "axis")
    left, right = figure.axes
    order = by_specialisation(special)
    assert [label.get_text() for label in left.get_yticklabels()] == order and len(order) == 9
    for axes, shown in ((left, of), (right, special)):
        lines = [line for line in axes.lines if line.get_gid()]
        assert all(line.get_linestyle() == "None" for line in lines)
        places = {
            (order[round(y)], line.get_gid().removeprefix("value "), round(x, 9))
            for line in lines
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
        }
        assert places == {
            (d.block, d.position, round(100 * d.value, 9)) for d in shown.differences if d.block in order
        }
        hollow = {
            order[round(y)] + line.get_gid().removeprefix("value")
            for line in lines
            if line.get_markerfacecolor() == "#FFFFFF"
            for y in line.get_ydata()
        }
        assert hollow == {
            f"{d.block} {d.position}" for d in shown.differences if d.kind not in ("better", "worse") and d.block in order
        }  # fmt: skip
