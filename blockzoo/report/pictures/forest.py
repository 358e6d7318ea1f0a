"""A forest: each block's difference from the reference, with intervals, the largest on top; a panel for each position."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blockzoo.report.difference import MARGIN, Difference
from blockzoo.report.effects import Effects, Interval
from blockzoo.report.pictures.frame import Frame, handle, line, round_ticks, span, tidy
from blockzoo.report.pictures.looks import INK, VERDICTS, Mark, labels

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from blockzoo.report.drawing import Figure

BAND = "#E9EEF3"
WORDS = {"better": "better", "worse": "worse", "equal": "equal within {0:g}", "unresolved": "unresolved"}


def draw_forest(
    effects: Effects, question: str, group: str, note: str, axis: str, words: dict[str, str] = WORDS
) -> Figure:
    """A figure.

    Args:
        effects: at least one.
        question: that the picture answers.
        group: what the rows have in common.
        note: how to read it.
        axis: below the horizontal axes.
        words: of the verdicts.
    """
    shown = {place: effects.at(place) for place in effects.positions}
    tallest = max(len(of) for of in shown.values()) + bool(effects.reference)
    names = labels([effects.reference, *(d.block for d in effects.differences)])
    row = 0.25 if tallest <= 30 else 0.185
    widest = 0.066 * max(map(len, names.values()))
    size = ((3.0 + widest) * len(shown), max(2.0, row * tallest + 0.95))
    figure, places = Frame(question, group, note, _legend(effects, words)).figure(
        size, (1, len(shown)), sharex=True
    )
    low, high = span([100 * end for d in effects.differences for end in ends_of(effects, d)])
    for axes, (place, differences) in zip(places, shown.items(), strict=True):
        _draw_panel(axes, effects, differences, names)
        axes.set_title(place or "", fontsize=10, color=INK)
        axes.tick_params(axis="y", labelsize=8 if tallest <= 30 else 7)
        axes.set_xlim(min(low, -100 * MARGIN * 1.5), max(high, 100 * MARGIN * 1.5))
        axes.set_xlabel("\n".join(textwrap.wrap(axis, 34)), fontsize=8.5)
        round_ticks(axes.xaxis)
    return figure


def ends_of(effects: Effects, difference: Difference) -> list[float]:
    """All that is drawn of one, fractions."""
    intervals = [effects.alone(difference), effects.together(difference)]
    return [difference.value, 0.0, *(end for interval in intervals if interval for end in interval)]


def _draw_panel(
    axes: Any, effects: Effects, differences: Sequence[Difference], names: dict[str, str]
) -> None:
    entries: list[Difference | None] = list(differences)
    if effects.reference:  # among the others, where its 0 belongs
        entries.insert(sum(d.value > 0 for d in differences), None)
    margin = 100 * differences[0].margin if differences else 100 * MARGIN
    axes.axvspan(-margin, margin, color=BAND, zorder=0, lw=0)
    axes.axvline(0, color="#9AA5B1", lw=1, zorder=1)
    judged = [(height, d) for height, d in enumerate(entries) if d is not None]
    for width, interval_of in ((1.1, effects.together), (3.2, effects.alone)):
        bars = [(interval_of(d), height, VERDICTS[d.kind].colour) for height, d in judged]
        draw_intervals(axes, [bar for bar in bars if bar[0]], width)
    for kind, mark in VERDICTS.items():
        of_kind = [(100 * d.value, height) for height, d in judged if d.kind == kind]
        draw_marks(axes, of_kind, mark, f"value {kind}")
    if effects.reference:
        at = [(0.0, height) for height, d in enumerate(entries) if d is None]
        draw_marks(axes, at, Mark("|", INK, INK), "reference", size=11, edge=2)
    written = [f"{names[effects.reference]} (reference)" if d is None else names[d.block] for d in entries]
    axes.set_yticks(range(len(entries)), written)
    axes.set_ylim(len(entries) - 0.4, -0.6)
    tidy(axes)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def draw_intervals(axes: Axes, bars: Sequence[tuple[Interval | None, float, str]], width: float) -> None:
    """Horizontal bars: an interval, fractions, its height and its colour; those without an interval are none."""
    there = [(interval, height, colour) for interval, height, colour in bars if interval]
    if there:
        axes.hlines(
            [height for _, height, _ in there], [100 * interval[0] for interval, _, _ in there],
            [100 * interval[1] for interval, _, _ in there], colors=[colour for *_, colour in there], lw=width,
            zorder=3, gid="interval",
        )  # fmt: skip


def draw_marks(
    axes: Axes,
    places: Sequence[tuple[float, float]],
    mark: Mark,
    gid: str,
    *,
    size: float = 6.5,
    edge: float = 1.1,
) -> None:
    """Marks that look alike, at (value, height)."""
    if places:
        xs, heights = zip(*places, strict=True)
        axes.plot(
            xs, heights, ls="", marker=mark.marker, ms=size, mfc=mark.face, mec=mark.colour, mew=edge, zorder=5, gid=gid
        )  # fmt: skip


def _legend(effects: Effects, words: dict[str, str]) -> list[Artist]:
    from matplotlib.patches import Patch

    margin = 100 * (effects.differences[0].margin if effects.differences else MARGIN)
    kinds = {d.kind for d in effects.differences}
    marks = [handle(VERDICTS[kind], words[kind].format(margin)) for kind in VERDICTS if kind in kinds]
    bars = [
        line("95 % interval of this one alone", 3.2, "#6E6E6E"),
        line("95 % intervals that hold together", 1.1, "#6E6E6E"),
    ]
    any_interval = any(effects.alone(d) for d in effects.differences)
    return [*marks, *(bars if any_interval else []), Patch(color=BAND, label=f"within ± {margin:g} points")]
