from __future__ import annotations

import itertools

import numpy as np
import pytest

from blockzoo.report.comparison import verdicts
from blockzoo.report.pictures.verdict_map import FACES, SIGNS, by_mean, draw_verdicts
from tests.report.pictures.test_looks import luminance
from tests.report.test_comparison import rows


@pytest.mark.parametrize("count", [6, 25])
def test_each_cell_is_the_verdict_on_its_pair(count: int) -> None:
    draw = np.random.default_rng(4)
    values = {
        (f"B{b:02}", "mid"): list(0.5 + 0.001 * b**1.6 + draw.normal(0, 0.004 if count == 6 else 0.02, 40))
        for b in range(count)
    }
    (comparison,) = verdicts(rows(values))
    figure = draw_verdicts(comparison.differences, "mid", "", "")
    (axes,) = figure.axes
    order = by_mean(comparison.differences)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == order == [label.get_text() for label in axes.get_xticklabels()]
    assert order == sorted(order, key=lambda name: -float(np.mean(values[name, "mid"])))
    (mesh,) = [c for c in axes.collections if c.get_array() is not None]
    grounds, kinds = mesh.get_array().reshape(count, count), list(FACES)
    told = {(d.block, d.other): d for d in comparison.differences}
    told |= {(d.other, d.block): d.the_other_way() for d in comparison.differences}
    for row, block in enumerate(order):
        for column, other in enumerate(order):
            expected = kinds.index(told[block, other].kind) if block != other else len(kinds)
            assert grounds[row, column] == expected
    if count <= 20:
        texts = {text.get_position(): text.get_text() for text in axes.texts}
        assert len(texts) == count * (count - 1)
        for (column, row), text in texts.items():
            d = told[order[int(row)], order[int(column)]]
            sign, number = text.split("\n")
            assert sign == SIGNS[d.kind] and float(number) == pytest.approx(100 * d.value, abs=0.051)
    else:
        assert not axes.texts and {line.get_marker() for line in axes.lines} <= {"^", "v", "s"}
    assert {d.kind for d in told.values()} >= {"better", "worse", "equal" if count == 6 else "unresolved"}


def test_grounds_are_told_apart_in_grey_and_what_stands_on_them_is_read() -> None:
    greys = sorted(luminance(ground) for ground, _ in FACES.values())
    assert all(b - a > 0.08 for a, b in itertools.pairwise(greys)), greys
    for ground, ink in FACES.values():
        low, high = sorted(
            luminance({"white": "#FFFFFF", "black": "#000000"}.get(of, of)) for of in (ground, ink)
        )
        assert (high + 0.05) / (low + 0.05) > 3.4
