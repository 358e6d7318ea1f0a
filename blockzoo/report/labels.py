"""Labels beside marks of a picture, placed so that they lie on no other label, mark or line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from blockzoo.core.text import picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

LETTERS = 8
"""Points of the letters of a label."""
DISTANCES = (3, 10, 20, 32, 48, 66, 90)
"""Pixels between a mark and its label, as they are tried."""
ANGLES = 16
APART = 9
"""Pixels between a mark and its label beyond which a line leads from one to the other."""
OUTSIDE, ON_LABEL, ON_MARK, ON_LINE, CROSSING, AWAY = 20.0, 5.0, 20.0, 60.0, 40.0, 0.02
"""What a place costs: a pixel outside the axes, one of another label, one of another mark, a piece of a line, a label that the
leading line crosses, and a pixel of distance."""


class Labelled(NamedTuple):
    """A mark with its label.

    Args:
        label: the text.
        place: of the mark, in data coordinates.
        area: of the mark in square points.
    """

    label: str
    place: tuple[float, float]
    area: float


class _Circle(NamedTuple):
    """A mark in pixels."""

    x: float
    y: float
    radius: float


class _Scene(NamedTuple):
    """What a label is not to lie on, in pixels."""

    frame: Any
    taken: list[Any]
    lines: list[tuple[float, float]]
    others: list[_Circle]


def put_labels(axes: Axes, drawn: Sequence[Labelled]) -> list[Text]:
    """Puts each label beside its mark, the first ones nearest; the texts.

    The axes are laid out already and stay so, on a canvas that knows how large a text is. Labels that must overlap lie where they
    do least.
    """
    canvas: Any = axes.figure.canvas
    renderer, scale = canvas.get_renderer(), axes.figure.dpi / 72
    frame = axes.get_window_extent(renderer)
    occupied = [text.get_window_extent(renderer) for text in axes.texts]
    circles = []
    for one in drawn:
        x, y = axes.transData.transform(one.place)
        circles.append(_Circle(float(x), float(y), scale * math.sqrt(one.area / math.pi)))
    lines = [place for line in axes.lines for place in _along(axes, line)]
    texts = []
    for one, circle in zip(drawn, circles, strict=True):
        text = axes.text(
            0, 0, picture(one.label), fontsize=LETTERS, color="#222222", zorder=6, transform=None
        )
        size = text.get_window_extent(renderer)
        scene = _Scene(frame, occupied, lines, [other for other in circles if other is not circle])
        boxes = [type(size).from_bounds(*c, size.width, size.height) for c in _corners(circle, size)]
        best = min(boxes, key=partial(_cost, scene, circle))
        text.set_transform(axes.transAxes)
        x, y = axes.transAxes.inverted().transform((best.x0, best.y0))
        text.set_position((float(x), float(y)))
        occupied.append(best.padded(1.5))
        texts.append(text)
        _lead(axes, best, circle)
    return texts


def _cost(scene: _Scene, circle: _Circle, box: Any) -> float:
    """How badly a label of a mark lies in a box."""
    centre = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return (
        OUTSIDE * _outside(box, scene.frame)
        + ON_LABEL * sum(_common(box, other) for other in scene.taken)
        + ON_MARK * sum(max(0.0, other.radius + 1 - _distance(box, other)) for other in scene.others)
        + ON_LINE * sum(_inside(box.padded(2), place) for place in scene.lines)
        + CROSSING * _crossed(box, circle, scene.taken)
        + AWAY * math.dist(centre, circle[:2])
    )


def _along(axes: Any, line: Any) -> Iterator[tuple[float, float]]:
    """Places on a line of two ends, a few pixels apart."""
    (x0, y0), (x1, y1) = line.get_transform().transform(line.get_xydata())
    steps = max(1, int(math.dist((x0, y0), (x1, y1)) / 4))
    for step in range(steps + 1):
        yield x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps


def _corners(circle: _Circle, size: Any) -> Iterator[tuple[float, float]]:
    """Lower left corners of a label around a mark, near ones first."""
    for distance in DISTANCES:
        for step in range(ANGLES):
            dx, dy = math.cos(2 * math.pi * step / ANGLES), math.sin(2 * math.pi * step / ANGLES)
            reach = circle.radius + distance
            yield (
                circle.x + reach * dx + (dx - 1) / 2 * size.width,
                circle.y + reach * dy + (dy - 1) / 2 * size.height,
            )


def _outside(box: Any, frame: Any) -> float:
    beyond = (frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1)
    return sum(max(0.0, float(pixels)) for pixels in beyond)


def _common(box: Any, other: Any) -> float:
    """Square pixels that two boxes share."""
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    return max(0.0, float(width)) * max(0.0, float(height))


def _inside(box: Any, place: tuple[float, float]) -> bool:
    return bool(box.x0 <= place[0] <= box.x1 and box.y0 <= place[1] <= box.y1)


def _nearest(box: Any, circle: _Circle) -> tuple[float, float]:
    """The place of a label that is nearest to a mark."""
    return min(max(circle.x, box.x0), box.x1), min(max(circle.y, box.y0), box.y1)


def _distance(box: Any, circle: _Circle) -> float:
    return math.dist(_nearest(box, circle), circle[:2])


def _crossed(box: Any, circle: _Circle, taken: Sequence[Any]) -> int:
    """Through how many other labels a line from a label to its mark would go."""
    x, y = _nearest(box, circle)
    between = [(x + (circle.x - x) * step / 12, y + (circle.y - y) * step / 12) for step in range(13)]
    return sum(any(_inside(other, place) for place in between) for other in taken)


def _lead(axes: Any, box: Any, circle: _Circle) -> None:
    """A thin line from a label to its mark, where they are apart."""
    from matplotlib.lines import Line2D

    away = _distance(box, circle)
    if away > circle.radius + APART:
        near = _nearest(box, circle)
        edge = [p + (n - p) * circle.radius / away for p, n in zip(circle[:2], near, strict=True)]
        ends = axes.transAxes.inverted().transform([edge, near])
        axes.add_line(Line2D(*ends.T, transform=axes.transAxes, color="#888888", lw=0.6, zorder=5))
