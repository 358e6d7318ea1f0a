"""Labels lie on no other and beside their marks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from blockzoo.report.drawing import Figure
from blockzoo.report.labels import Labelled, put_labels


def placed(marks: list[Labelled]) -> tuple[Any, list[Any]]:
    figure = Figure(figsize=(6, 4))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 10)
    figure.draw_without_rendering()
    texts = put_labels(axes, marks)
    renderer = figure.canvas.get_renderer()
    return axes, [text.get_window_extent(renderer) for text in texts]


@pytest.mark.parametrize("apart", [0.0, 0.05, 1.0, 3.0])
def test_labels_do_not_overlap(apart: float) -> None:
    marks = [
        Labelled(f"depthwise convolutions {n}%", (5 + apart * math.cos(n), 5 + apart * math.sin(n)), 100.0)
        for n in range(6)
    ]
    _, boxes = placed(marks)
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


def test_a_label_stays_within_the_axes_and_beside_its_mark() -> None:
    marks = [Labelled("norms 9%", place, 400.0) for place in ((0.2, 0.2), (9.8, 9.8), (0.2, 9.8))]
    axes, boxes = placed(marks)
    for box, mark in zip(boxes, marks, strict=True):
        assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
        assert axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
        x, y = axes.transData.transform(mark.place)
        assert not (box.x0 < x < box.x1 and box.y0 < y < box.y1)


def test_a_label_that_is_far_has_a_line_to_its_mark() -> None:
    axes, _ = placed([Labelled("alone", (5, 5), 50.0)])
    assert not axes.lines
    crowd = [Labelled("a long label here", (5, 5 + 0.02 * n), 50.0) for n in range(8)]
    axes, _ = placed(crowd)
    assert axes.lines


def test_names_are_text() -> None:
    _, boxes = placed([Labelled("$x$ and _y", (5, 5), 50.0)])
    assert boxes[0].width > 40
