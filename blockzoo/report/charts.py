"""Accuracy against cost: what to draw, and drawing it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.core.contracts import POSITIONS
from blockzoo.core.files import write_atomically
from blockzoo.core.quantity import quantities
from blockzoo.core.text import picture
from blockzoo.core.units import engineering
from blockzoo.report.groups import Row, describe_group
from blockzoo.report.statistics import (
    Estimate,
    Summary,
    Time,
    average_positions,
    cost_accuracy_front,
    summarise,
)

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

AXES = {name: quantity for name, quantity in quantities().items() if quantity.axis}
"""What can stand on the horizontal axis."""

ACCURACIES = {"test_acc": "test accuracy, %", "val_acc": "validation accuracy, %"}

# Okabe and Ito's colours, which the colour-blind can tell apart; then Tol's muted ones
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4FA3", "#8C564B", "#5F6B6D", "#B3A100",
           "#332288", "#882255", "#44AA99", "#AA4499", "#117733")  # fmt: skip
MARKERS = "osD^vPX"
SIZES = {"early": 26.0, "mid": 60.0, "late": 110.0, "": 70.0}


@dataclass(frozen=True)
class Point:
    """One mark of a picture."""

    block: str
    position: str
    cost: float
    accuracy: Estimate
    time: Time | None = None  # where the cost is a latency


@dataclass(frozen=True)
class Chart:
    """All marks of one comparable group against one cost."""

    cost: str
    accuracy: str
    title: str
    points: list[Point]
    note: str = ""  # of times: how they were taken, and how many are doubtful


def charts(rows: Iterable[Row], *, average: bool = False) -> list[list[Chart]]:
    """For each comparable group one chart per cost that its rows hold."""
    summaries = average_positions(rows) if average else summarise(rows)
    groups: dict[Any, list[Summary]] = defaultdict(list)
    for summary in summaries:
        groups[summary.group].append(summary)
    of_groups = [_charts(group, members) for group, members in groups.items()]
    return [made for made in of_groups if made]


def _charts(group: Any, summaries: list[Summary]) -> list[Chart]:
    shown = [s for s in summaries if s.accuracies]
    accuracy = "test_acc" if shown and all("test_acc" in s.accuracies for s in shown) else "val_acc"
    shown = [s for s in shown if accuracy in s.accuracies]
    seeds = sorted({s.accuracies[accuracy].n for s in shown})
    n = f"n = {seeds[0]}" if len(seeds) == 1 else f"n = {seeds[0]} to {seeds[-1]}" if seeds else ""
    title = f"{describe_group(group)}, {n} seed{'s' if seeds != [1] else ''}"
    made = []
    for cost, quantity in AXES.items():
        if any(quantity.instead_of in s.costs for s in shown):
            continue
        points = [
            Point(s.block, s.position, s.costs[cost], s.accuracies[accuracy], s.times.get(cost))
            for s in shown
            if cost in s.costs
        ]
        if points:
            made.append(Chart(cost, accuracy, title, points, _note(shown, points)))
    return made


def _note(summaries: list[Summary], points: list[Point]) -> str:
    times = [point.time for point in points if point.time]
    if not times:
        return ""
    ways = dict.fromkeys(s.timed_on for s in summaries if s.timed_on)
    facts = [f"latency: {', '.join(ways)}"] if ways else []
    if without := sum(time.interval is None for time in times):
        facts.append(f"{without} of {len(times)} times without an interval")
    if doubtful := sum(bool(time.doubt) for time in times):
        facts.append(f"hollow: {doubtful} doubtful times")
    return "; ".join(facts)


def look(blocks: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each block: colours first, then the next marker with the same colours."""
    return {
        block: (COLOURS[i % len(COLOURS)], MARKERS[i // len(COLOURS) % len(MARKERS)])
        for i, block in enumerate(sorted(set(blocks)))
    }


def draw(made: Sequence[Chart]) -> Figure:
    """A matplotlib figure with the charts side by side and one legend below."""
    note = "; ".join(chart.note for chart in made if chart.note)
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D

    from blockzoo.report.drawing import Figure

    blocks = sorted({point.block for chart in made for point in chart.points})
    looks = look(blocks)
    averaged = all(point.position not in POSITIONS for chart in made for point in chart.points)
    width = 4.3 * len(made) if len(made) > 1 else 7.0
    columns = max(1, int(width / 2.35))
    entries = len(blocks) + 1 + (0 if averaged else len(POSITIONS))
    legend_inches = 0.22 * -(-entries // columns) + 0.15
    height = 3.9 + legend_inches
    above_legend = ConstrainedLayoutEngine(rect=(0, legend_inches / height, 1, 1 - legend_inches / height))
    figure = Figure(figsize=(width, height), layout=above_legend)
    all_axes = figure.subplots(1, len(made), squeeze=False, sharey=True)[0]
    for axes, chart in zip(all_axes, made, strict=True):
        _draw_chart(axes, chart, looks)
    # the panels share this axis, and one may lack points that another has; a mark at 100 % is drawn whole too
    accuracies = [point.accuracy for chart in made for point in chart.points]
    ends = [100 * end for accuracy in accuracies for end in (accuracy.mean, *(accuracy.interval or ()))]
    margin = max(1.0, 0.05 * (max(ends) - min(ends)))
    all_axes[0].set_ylim(min(ends) - margin, max(ends) + margin)
    all_axes[0].set_ylabel(ACCURACIES[made[0].accuracy])
    figure.suptitle(picture(made[0].title), x=0.01, ha="left", fontsize=10, color="#333333")
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, ms=6.5, label=picture(block))
        for block, (colour, marker) in looks.items()
    ]
    handles.append(Line2D([], [], color="#999999", lw=1, ls="--", label="Pareto front"))
    if not averaged:
        handles += [
            Line2D([], [], ls="", marker="o", mfc="white", mec="#555555", ms=SIZES[p] ** 0.5, label=p)
            for p in POSITIONS
        ]
    figure.legend(
        handles=handles, loc="lower left", ncols=columns, fontsize=8, frameon=False, handletextpad=0.3
    )
    if note:
        figure.text(0.995, 0.004, picture(note), ha="right", va="bottom", fontsize=6, color="#888888")
    return figure


def _draw_chart(axes: Any, chart: Chart, looks: dict[str, tuple[str, str]]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    sign = 1 if AXES[chart.cost].better == "lower" else -1
    front = cost_accuracy_front([(sign * p.cost, p.accuracy.mean) for p in chart.points])
    corners = [(chart.points[i].cost, 100 * chart.points[i].accuracy.mean) for i in front]
    axes.step(
        *zip(*corners, strict=True), where="post", color="#999999", lw=1, ls="--", zorder=1, gid="front"
    )
    by_block: dict[str, list[Point]] = defaultdict(list)
    for point in chart.points:
        by_block[point.block].append(point)
    for block, (colour, marker) in looks.items():
        points = by_block[block]
        xs, ys = [p.cost for p in points], [100 * p.accuracy.mean for p in points]
        if len(points) > 1:
            axes.plot(xs, ys, color=colour, lw=0.8, alpha=0.45, zorder=2)
        for point, x, y in zip(points, xs, ys, strict=True):
            if interval := point.accuracy.interval:
                low, high = (100 * end for end in interval)
                axes.errorbar(x, y, [[y - low], [high - y]], color=colour, lw=1, alpha=0.4, zorder=3)
            if point.time and point.time.interval:
                low, high = point.time.interval
                axes.errorbar(x, y, xerr=[[x - low], [high - x]], color=colour, lw=1, alpha=0.4, zorder=3)
        sizes = [SIZES.get(p.position, SIZES[""]) for p in points]
        doubtful = [bool(p.time and p.time.doubt) for p in points]
        faces, edges = (
            ["white" if d else colour for d in doubtful],
            [colour if d else "white" for d in doubtful],
        )
        axes.scatter(
            xs, ys, s=sizes, c=faces, marker=marker, ec=edges, lw=0.6, zorder=4, label=picture(block)
        )
    costs = [end for p in chart.points for end in (p.cost, *((p.time and p.time.interval) or ()))]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.15, max(costs) * 1.15)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(costs) / min(costs) < 30 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: engineering(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if max(costs) / min(costs) < 1.6:  # too narrow for a logarithmic axis to have ticks
        axes.set_xscale("linear")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: engineering(value)))
        axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(AXES[chart.cost].axis)
    axes.grid(color="#ECECEC", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors="#444444")


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the format is the suffix's. The same figure gives the same SVG."""
    import matplotlib

    metadata = {"Date": None} if path.suffix == ".svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "blockzoo", "svg.fonttype": "none"}):
        write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=150, metadata=metadata))
