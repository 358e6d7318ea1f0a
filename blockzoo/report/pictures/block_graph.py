"""The graph of a block as a picture: what is computed first stands at the top, and what reads it below."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.core.errors import UsageError
from blockzoo.core.files import write_atomically
from blockzoo.core.text import picture

if TYPE_CHECKING:
    from blockzoo.measure.block_graph import BlockGraph, Box

COLOURS = {
    "input": "#f2f2f2", "output": "#f2f2f2", "weights": "#cfe2f3", "shape": "#eeeeee", "arithmetic": "#fff2cc",
    "pooling": "#d9ead3", "other": "#f4d9e6",
}  # fmt: skip
LINE, CHARACTER, GAP, BETWEEN = 0.19, 0.078, 0.34, 0.3
"""Inches: a line of a box, a character, between rows of boxes, and between boxes of a row."""
SWEEPS = 24
MOST_BOXES = 200


def draw_block(graph: BlockGraph, path: Path) -> Path:
    """Write the picture; the suffix (.png, .svg, .pdf) says in which form.

    Raises:
        UsageError: more boxes than anybody could read, or another suffix.
        StoreError: the file cannot be written.
    """
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UsageError(f"a picture is written as .png, .svg or .pdf, not as {path.name}")
    if len(graph.boxes) > MOST_BOXES:
        raise UsageError(f"{graph.name} has {len(graph.boxes)} boxes: up to {MOST_BOXES} can be drawn")
    from matplotlib.patches import FancyBboxPatch

    from blockzoo.report.drawing import Figure

    layout = _Layout(graph.boxes)
    figure = Figure(figsize=(max(layout.width, 2.6), layout.height + 0.5))
    axes = figure.add_axes((0, 0, 1, layout.height / (layout.height + 0.5)))
    axes.set_xlim(layout.left, layout.left + max(layout.width, 2.6))
    axes.set_ylim(layout.height, 0)
    axes.axis("off")
    figure.text(
        0.5, 1 - 0.28 / (layout.height + 0.5), picture(graph.name), ha="center", va="center", fontsize=12
    )
    for number, box in enumerate(graph.boxes):
        for source in box.sources:
            _draw_edge(axes, layout.way(source, number))
    for number, box in enumerate(graph.boxes):
        x, top = layout.middle[number], layout.tops[number]
        width, height = _width(box), _height(box)
        axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, top), width, height, boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=COLOURS[box.kind], edgecolor="#444444", linewidth=0.8, zorder=2,
            )
        )  # fmt: skip
        for index, line in enumerate(_lines(box)):
            is_shape = index == len(_lines(box)) - 1 and index >= len(box.lines)
            axes.text(
                x, top + 0.05 + LINE * (index + 0.5), picture(line), ha="center", va="center", zorder=3,
                fontsize=7 if is_shape else 8.5, color="#666666" if is_shape else "black",
            )  # fmt: skip
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=160))
    return path


def _lines(box: Box) -> list[str]:
    shape = " × ".join(map(str, box.shape))
    return [*box.lines, shape] if shape else list(box.lines)


def _width(box: Box) -> float:
    return 0.22 + CHARACTER * max(map(len, _lines(box)))


def _height(box: Box) -> float:
    return 0.1 + LINE * len(_lines(box))


class _Layout:
    """Where boxes stand: in rows by the longest way from the input; long connections keep a lane of their own in each row.

    Args:
        boxes: each behind those that it reads.
    """

    def __init__(self, boxes: Sequence[Box]) -> None:
        self._boxes = boxes
        depths: list[int] = []
        for box in boxes:
            depths.append(1 + max((depths[source] for source in box.sources), default=-1))
        depths[-1] = max(depths)
        self._rows: list[list[int]] = [[] for _ in range(max(depths) + 1)]
        self._widths = dict(enumerate(map(_width, boxes)))
        self._lanes: dict[tuple[int, int], list[int]] = {}
        above: dict[int, list[int]] = {number: [] for number in range(len(boxes))}
        for number, depth in enumerate(depths):
            self._rows[depth].append(number)
        for number, box in enumerate(boxes):
            for source in box.sources:
                before, lane = source, []
                for depth in range(depths[source] + 1, depths[number]):
                    point = len(self._widths)
                    self._widths[point] = 0.12
                    self._rows[depth].append(point)
                    above[point] = [before]
                    lane.append(point)
                    before = point
                above[number].append(before)
                self._lanes[source, number] = lane
        self._above = above
        self._below: dict[int, list[int]] = {point: [] for point in above}
        for point, sources in above.items():
            for source in sources:
                self._below[source].append(point)
        self.middle = dict.fromkeys(above, 0.0)
        self._place()
        heights = [max((_height(boxes[n]) for n in row if n < len(boxes)), default=0.1) for row in self._rows]
        starts = [0.1 + sum(heights[:depth]) + GAP * depth for depth in range(len(heights))]
        self.tops = {
            number: starts[depth] + (heights[depth] - _height(boxes[number])) / 2
            for number, depth in enumerate(depths)
        }
        self._row_middles = [start + height / 2 for start, height in zip(starts, heights, strict=True)]
        self._depths = depths
        self.height = starts[-1] + heights[-1] + 0.1
        edges = [
            (self.middle[point] - width / 2, self.middle[point] + width / 2)
            for point, width in self._widths.items()
        ]
        self.left = min(left for left, _ in edges) - 0.15
        self.width = max(right for _, right in edges) + 0.15 - self.left

    def way(self, source: int, target: int) -> list[tuple[float, float]]:
        """The points of a connection, from the foot of a box to the top of another."""
        foot = (self.middle[source], self.tops[source] + _height(self._boxes[source]))
        lane = [
            (self.middle[point], self._row_middles[self._depths[source] + 1 + index])
            for index, point in enumerate(self._lanes[source, target])
        ]
        return [foot, *lane, (self.middle[target], self.tops[target])]

    def _place(self) -> None:
        for row in self._rows:
            self._spread(row)
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            for row in self._rows if down else self._rows[::-1]:
                beside = self._above if down else self._below
                wanted = {
                    point: statistics.fmean([self.middle[other] for other in beside[point]])
                    if beside[point]
                    else self.middle[point]
                    for point in row
                }
                if sweep < SWEEPS // 2:
                    row.sort(key=wanted.__getitem__)
                self.middle |= wanted
                self._spread(row)

    def _spread(self, row: list[int]) -> None:
        """Moves the points of a row apart, in their order, around where they want to be."""
        if not row:
            return
        wanted = [self.middle[point] for point in row]
        placed: list[float] = []
        for index, point in enumerate(row):
            least = -1e9
            if index:
                apart = (self._widths[row[index - 1]] + self._widths[point]) / 2 + BETWEEN
                least = placed[-1] + apart
            placed.append(max(wanted[index], least))
        shift = statistics.fmean(wanted) - statistics.fmean(placed)
        for point, x in zip(row, placed, strict=True):
            self.middle[point] = x + shift


def _draw_edge(axes: Any, points: list[tuple[float, float]]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    vertices, codes = [points[0]], [Curve.MOVETO]
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        half = (y + to_y) / 2
        vertices += [(x, half), (to_x, half), (to_x, to_y)]
        codes += [Curve.CURVE4] * 3
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(vertices, codes), arrowstyle="-|>", mutation_scale=7, color="#444444", linewidth=0.9, zorder=1,
            shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip
