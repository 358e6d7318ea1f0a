"""What stands around the panels of a picture: a title above, the legend and how to read it below, none over another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blockzoo.report.pictures.looks import FAINT, GRID, INK, UNKNOWN_LETTER, Mark, wrapped

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.lines import Line2D

    from blockzoo.report.drawing import Figure

TITLE, NOTE, LEGEND = 11.0, 7.5, 8.5
"""Sizes of letters in points."""
PAD = 0.1


@dataclass(frozen=True)
class Frame:
    """The words of a picture.

    Args:
        question: that it answers: its first line.
        group: what the rows have in common: below it.
        note: how to read it.
        handles: of the legend.
    """

    question: str
    group: str
    note: str
    handles: Sequence[Artist] = ()

    def figure(
        self,
        size: tuple[float, float],
        panels: tuple[int, int] = (1, 1),
        *,
        sharex: bool = False,
        sharey: bool = False,
    ) -> tuple[Figure, list[Axes]]:
        """A figure whose panels have `size` together, inches (width, height), and its axes, row by row."""
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        from blockzoo.report.drawing import Figure

        width = max(size[0], 5.0)
        room = width - 2 * PAD
        title, group = wrapped(self.question, room, TITLE), wrapped(self.group, room, LEGEND)
        note = wrapped(self.note, room, NOTE) if self.note else []
        longest = max((len(str(handle.get_label())) for handle in self.handles), default=1)
        columns = max(1, min(len(self.handles), int(room / (0.42 + longest * 0.60 * LEGEND / 72))))
        lines = math.ceil(len(self.handles) / columns) if self.handles else 0
        columns = math.ceil(len(self.handles) / max(lines, 1)) or 1
        above = PAD + _inches(len(title), TITLE) + _inches(len(group), LEGEND) + 0.04
        for_note = _inches(len(note), NOTE) + PAD
        legend = for_note + (lines * 1.62 * LEGEND / 72 + 0.08 if lines else 0.0)
        below = legend + 0.08
        height = above + size[1] + below
        rect = (0, below / height, 1, size[1] / height)
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(rect=rect))
        left, top = PAD / width, 1 - PAD / height
        words: dict[str, Any] = {"ha": "left", "va": "top", "linespacing": 1.25}
        figure.text(left, top, "\n".join(title), fontsize=TITLE, color=INK, gid="title", **words)
        under = top - _inches(len(title), TITLE) / height
        figure.text(left, under, "\n".join(group), fontsize=LEGEND, color="#666666", gid="group", **words)
        if note:
            figure.text(
                left, (for_note - 0.03) / height, "\n".join(note), fontsize=NOTE, color="#666666", gid="note", **words
            )  # fmt: skip
        if self.handles:
            figure.legend(
                handles=list(self.handles), loc="upper left", bbox_to_anchor=(left, legend / height), ncols=columns,
                fontsize=LEGEND, frameon=False, handletextpad=0.4, borderpad=0, borderaxespad=0, labelspacing=0.5,
            )  # fmt: skip
        axes = figure.subplots(*panels, squeeze=False, sharex=sharex, sharey=sharey).ravel()
        return figure, list(axes)


def _inches(lines: int, points: float) -> float:
    return lines * 1.32 * points / 72


def tidy(axes: Axes) -> None:
    """A quiet frame."""
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=8, colors="#444444")


def span(ends: Iterable[float], least: float = 0.5) -> tuple[float, float]:
    """Limits of an axis with all ends well inside."""
    values = [end for end in ends if math.isfinite(end)] or [0.0]
    margin = max(least, 0.05 * (max(values) - min(values)))
    return min(values) - margin, max(values) + margin


def round_ticks(axis: Axis, most: int = 7) -> None:
    """Ticks at 1, 2 or 5 times a power of ten."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 5, 10]))


def handle(mark: Mark, label: str, size: float = 6.5) -> Line2D:
    """A marker of the legend."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], ls="", marker=mark.marker, color=mark.colour, mfc=mark.face, mec=mark.colour, ms=size, label=label
    )  # fmt: skip


def line(label: str, width: float, colour: str = INK) -> Line2D:
    """A line of the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, lw=width, label=label)


def settled(figure: Figure) -> Figure:
    """The same with its places fixed: they need be found once for all of its files."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=UNKNOWN_LETTER)
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure
