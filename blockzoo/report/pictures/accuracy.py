"""Accuracy against cost, drawn. A front is drawn as the band that holds it, not a line through means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blockzoo.core.units import engineering
from blockzoo.report.charts import AXES, Chart, Panel, Point
from blockzoo.report.pareto import cost_accuracy_front
from blockzoo.report.pictures.frame import Frame, handle, round_ticks, tidy
from blockzoo.report.pictures.looks import COLOURS, FAINT, INK, Mark, labels

if TYPE_CHECKING:
    from matplotlib.artist import Artist

    from blockzoo.report.drawing import Figure

LIKELY = 0.05
"""Of a block that is on the front less probably than that, the name is left out where there are more blocks than colours."""
BAND = "#DCDCDC"
SMALLEST, LARGEST = 22.0, 130.0
"""Areas of a mark whose block is surely not on the front, and surely is."""


def size_of(point: Point) -> float:
    """The area of its mark."""
    return 55.0 if point.front is None else SMALLEST + (LARGEST - SMALLEST) * point.front


def named(chart: Chart) -> set[str]:
    """The blocks that have a colour and a name: all where there are colours for all, else those that may be on the front."""
    points = [point for panel in chart.panels for point in panel.points]
    if len(blocks := {point.block for point in points}) <= len(COLOURS):
        return blocks
    if any(point.front is not None for point in points):
        return {point.block for point in points if (point.front or 0.0) >= LIKELY}
    chosen = set()
    for panel in chart.panels:
        sign = 1 if AXES[panel.cost].better == "lower" else -1
        front = cost_accuracy_front([(sign * p.cost, p.accuracy) for p in panel.points])
        chosen |= {panel.points[i].block for i in front}
    return chosen


def draw(chart: Chart, looks: dict[str, Mark]) -> Figure:
    """A figure with the panels side by side and one legend below; each block looks as in `looks`."""
    blocks = named(chart)
    points = [point for panel in chart.panels for point in panel.points]
    names = labels(point.block for point in points)
    width = max(6.0, 3.9 * len(chart.panels))
    left_out = len({point.block for point in points}) - len(blocks)
    judged = any(point.front is not None for point in points)
    why = (
        f"less probably than {100 * LIKELY:g} % on the front" if judged else "not on the front of these means"
    )
    note = chart.note + (f"; grey: {left_out} others, {why}" if left_out else "")
    frame = Frame(
        chart.question, chart.group, note[:1].upper() + note[1:] + ".", _legend(chart, looks, names, blocks)
    )
    same = len({panel.cost for panel in chart.panels}) == 1
    figure, places = frame.figure((width, 4.0), (1, len(chart.panels)), sharey=True, sharex=same)
    costs = [end for p in points for end in _costs_of(p)]
    for axes, panel in zip(places, chart.panels, strict=True):
        within = costs if same else [end for p in panel.points for end in _costs_of(p)]
        _draw_panel(axes, panel, looks, blocks, within)
    ends = [100 * end for p in points for end in (p.accuracy, *(p.interval or ()))]
    ends += [100 * end for panel in chart.panels for _, *sides in panel.band for end in sides]
    margin = max(1.0, 0.05 * (max(ends) - min(ends)))
    places[0].set_ylim(min(ends) - margin, max(ends) + margin)
    round_ticks(places[0].yaxis)
    places[0].set_ylabel(chart.axis, fontsize=9)
    return figure


def _costs_of(point: Point) -> list[float]:
    return [point.cost, *((point.time and point.time.interval) or ())]


def _legend(chart: Chart, looks: dict[str, Mark], names: dict[str, str], blocks: set[str]) -> list[Artist]:
    from matplotlib.patches import Patch

    handles: list[Artist] = [handle(looks[block], names[block]) for block in sorted(blocks)]
    if any(panel.band for panel in chart.panels):
        handles.append(Patch(color=BAND, label="95 % band of the front"))
    if any(point.front is not None for panel in chart.panels for point in panel.points):
        for chance in (0.0, 0.5, 1.0):
            size = (SMALLEST + (LARGEST - SMALLEST) * chance) ** 0.5
            handles.append(
                handle(Mark("o", "#6E6E6E", "#FFFFFF"), f"on the front: {100 * chance:.0f} %", size)
            )
    return handles


def _draw_panel(
    axes: Any, panel: Panel, looks: dict[str, Mark], blocks: set[str], costs: list[float]
) -> None:
    low, high = min(costs), max(costs)
    logarithmic = low > 0 and high / low >= 1.6  # else too narrow for a logarithmic axis to have ticks
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    limits = (low / 1.12, high * 1.12) if logarithmic else (low - room, high + room)
    if panel.band:
        _draw_band(axes, panel, limits)
    points = sorted(panel.points, key=lambda p: -size_of(p))
    other = Mark("o", FAINT, "#B5B5B5")
    marks = [looks[point.block] if point.block in blocks else other for point in points]
    _draw_intervals(axes, points, [mark.colour for mark in marks])
    for marker in dict.fromkeys([*(mark.marker for mark in marks), "x"]):
        _draw_marks(
            axes, marker, [(p, m) for p, m in zip(points, marks, strict=True) if _marker(p, m) == marker]
        )
    _cost_axis(axes, limits, logarithmic)
    axes.set_xlabel(AXES[panel.cost].axis, fontsize=9)
    axes.set_title(panel.title, fontsize=10, color=INK)
    tidy(axes)


def _draw_band(axes: Any, panel: Panel, limits: tuple[float, float]) -> None:
    costs, low, high = zip(*panel.band, strict=True)
    cheap_is_better = AXES[panel.cost].better == "lower"
    xs = [*costs, limits[1]] if cheap_is_better else [limits[0], *costs]
    ends = [
        [100 * end for end in ((*side, side[-1]) if cheap_is_better else (side[0], *side))]
        for side in (low, high)
    ]
    axes.fill_between(
        xs, *ends, step="post" if cheap_is_better else "pre", color=BAND, lw=0, zorder=1, gid="front"
    )


def _draw_intervals(axes: Any, points: Sequence[Point], colours: Sequence[str]) -> None:
    bars = {"lw": 1.1, "alpha": 0.6, "zorder": 3, "gid": "interval"}
    upright = [(p.cost, p.interval, colour) for p, colour in zip(points, colours, strict=True) if p.interval]
    if upright:
        xs, ends, of = zip(*upright, strict=True)
        axes.vlines(xs, [100 * low for low, _ in ends], [100 * high for _, high in ends], colors=of, **bars)
    timed = [
        (100 * p.accuracy, p.time.interval, colour)
        for p, colour in zip(points, colours, strict=True)
        if p.time and p.time.interval
    ]
    if timed:
        ys, ends, of = zip(*timed, strict=True)
        axes.hlines(ys, [low for low, _ in ends], [high for _, high in ends], colors=of, **bars)


def _marker(point: Point, mark: Mark) -> str:
    return "x" if point.off_budget else mark.marker


def _draw_marks(axes: Any, marker: str, marks: Sequence[tuple[Point, Mark]]) -> None:
    if not marks:
        return
    doubtful = [bool(point.time and point.time.doubt) for point, _ in marks]
    faces = [
        "white" if d and marker != "x" else mark.face for (_, mark), d in zip(marks, doubtful, strict=True)
    ]
    edges = [mark.colour if d else "white" for (_, mark), d in zip(marks, doubtful, strict=True)]
    axes.scatter(
        [point.cost for point, _ in marks], [100 * point.accuracy for point, _ in marks], zorder=4, lw=0.8, c=faces,
        s=[size_of(point) for point, _ in marks], marker=marker, gid=f"points {marker}",
        **({} if marker == "x" else {"ec": edges}),
    )  # fmt: skip


def _cost_axis(axes: Any, limits: tuple[float, float], logarithmic: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if logarithmic:
        axes.set_xscale("log")
        ratio = limits[1] / limits[0]
        subs = (1, 1.5, 2, 3, 4, 5, 7) if ratio < 4 else (1, 2, 5) if ratio < 60 else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        round_ticks(axes.xaxis, 5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: engineering(float(f"{value:.6g}"))))
    axes.set_xlim(*limits)
