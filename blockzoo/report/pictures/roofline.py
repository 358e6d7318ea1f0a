"""The roofline picture: rates that kinds of operations achieve, below the limits of the machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from blockzoo.core.breakdown import Breakdown
from blockzoo.core.roofline import KINDS, Limit, Machine, by_kind
from blockzoo.core.text import picture
from blockzoo.core.units import engineering
from blockzoo.report.labels import LETTERS, Labelled, put_labels
from blockzoo.report.pictures.looks import COLOURS, MARKERS

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

LEAST = 0.005
"""Of the time, the share of a kind that is drawn."""
AREA = 2200.0
"""In square points, of a mark that takes all the time."""
SMALLEST = 24.0
GREYS = {"compute": "#555555", "memory": "#555555", "cache": "#A5A5A5"}


class Dot(NamedTuple):
    """One kind of operations of one network.

    Args:
        label: beside it.
        kind: of the operations, which gives the colour.
        number: of the network, which gives the marker.
        x: FLOPs a byte; 0 without FLOPs.
        y: GFLOPs a second, or GB a second without FLOPs.
        share: of the network's time.
    """

    label: str
    kind: str
    number: int
    x: float
    y: float
    share: float


def marks(breakdowns: Sequence[Breakdown]) -> list[Dot]:
    """What is drawn, the longest first."""
    dots = []
    for number, breakdown in enumerate(breakdowns):
        whole = breakdown.all.ms
        for group in by_kind(breakdown.timed):
            if group.bytes_moved and group.ms >= LEAST * whole:
                rate = group.flop_rate if group.macs else group.byte_rate
                share = group.ms / whole
                x = group.intensity or 0.0
                dots.append(Dot(f"{group.kind} {share:.0%}", group.kind, number, x, rate / 1e9, share))
    return sorted(dots, key=lambda mark: -mark.share)


def draw(breakdowns: Sequence[Breakdown], machine: Machine, title: str = "") -> Figure:
    """A matplotlib figure: to the right arithmetic intensity against FLOPs a second, to the left operations without FLOPs, by
    their bytes a second. Marks are as large as their share of the time; each network has its own marker.

    Args:
        breakdowns: at least one.
        machine: whose limits are the roofs.
        title: above the picture; a single network is named before it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from blockzoo.report.drawing import Figure

    every = marks(breakdowns)
    having = [mark for mark in every if mark.x]
    without = _in_columns([mark for mark in every if not mark.x])
    figure = Figure(figsize=(9.2, 5.0), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 2.7))
    _draw_rates(left, without, machine)
    _draw_roofs(right, having, machine)
    for axes, drawn in ((left, without), (right, having)):
        for mark in drawn:
            axes.scatter(
                mark.x,
                mark.y,
                s=_area(mark),
                color=COLOURS[KINDS.index(mark.kind) % len(COLOURS)],
                marker=MARKERS[mark.number % len(MARKERS)],
                ec="white",
                lw=0.8,
                alpha=0.85,
                zorder=4,
            )
        axes.grid(color="#ECECEC", lw=0.8, which="major")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors="#444444")
    (alone, *more) = breakdowns
    title = title if more else f"{alone.label}: {alone.whole:.3g} ms, {title}".removesuffix(", ")
    figure.suptitle(picture(title), x=0.01, ha="left", fontsize=10, color="#333333")
    _legend(figure, breakdowns)
    FigureCanvasAgg(figure)  # which knows how large a text is
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the labels are placed for this layout
    _slanted(right, machine)
    for axes, drawn in ((left, without), (right, having)):
        put_labels(axes, [Labelled(mark.label, (mark.x, mark.y), _area(mark)) for mark in drawn])
    return figure


def _in_columns(drawn: Sequence[Dot]) -> list[Dot]:
    """Marks without FLOPs, each kind in a column of its own."""
    kinds = [kind for kind in KINDS if any(mark.kind == kind for mark in drawn)]
    places = {kind: (number + 0.5) / len(kinds) for number, kind in enumerate(kinds)}
    numbers = 1 + max((mark.number for mark in drawn), default=0)
    aside = 0.4 / max(1, len(kinds)) / numbers
    return [mark._replace(x=places[mark.kind] + aside * (mark.number - (numbers - 1) / 2)) for mark in drawn]


def _area(mark: Dot) -> float:
    return max(SMALLEST, AREA * mark.share)


def _draw_rates(axes: Any, drawn: Sequence[Dot], machine: Machine) -> None:
    rates = {name: limit.rate / 1e9 for name, limit in _memories(machine).items()}
    axes.set_yscale("log")
    axes.set_ylim(*_around([*rates.values(), *(mark.y for mark in drawn)]))
    axes.set_xlim(-0.05, 1.05)
    for name, rate in rates.items():
        _roof(axes, (-0.05, 1.05), (rate, rate), name)
        axes.text(
            1.05,
            rate * 1.04,
            f"{name} {rate:.3g} GB/s ",
            ha="right",
            va="bottom",
            fontsize=LETTERS,
            color=GREYS[name],
        )
    axes.set_xticks([])
    axes.set_xlabel("operations without FLOPs", fontsize=9)
    axes.set_ylabel("achieved, GB/s", fontsize=9)
    _ticks(axes.yaxis)


def _draw_roofs(axes: Any, drawn: Sequence[Dot], machine: Machine) -> None:
    """At each intensity, the lower of what the memory and what the processor can."""
    peak = machine.compute.rate / 1e9
    rates = {name: limit.rate / 1e9 for name, limit in _memories(machine).items()}
    ridges = {name: peak / rate for name, rate in rates.items()}
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = _around([*ridges.values(), *(mark.x for mark in drawn)], 2.2)
    axes.set_xlim(low, high)
    axes.set_ylim(*_around([peak, *(mark.y for mark in drawn)], 2.2))
    for name, ridge in ridges.items():
        _roof(axes, (low, ridge), (low * rates[name], peak), name)
    _roof(axes, (min(ridges.values()), high), (peak, peak), "compute")
    axes.text(
        high,
        peak * 1.06,
        f"compute {peak:.3g} GFLOP/s ",
        ha="right",
        va="bottom",
        fontsize=LETTERS,
        color=GREYS["compute"],
    )
    axes.set_xlabel("arithmetic intensity, FLOP/byte", fontsize=9)
    axes.set_ylabel("achieved, GFLOP/s", fontsize=9)
    _ticks(axes.xaxis)
    _ticks(axes.yaxis)


def _slanted(axes: Any, machine: Machine) -> None:
    """Names on the roofs of the memory, along them where they are within the axes; their slope is that of the picture."""
    (x0, x1), (y0, _) = axes.get_xlim(), axes.get_ylim()
    peak = machine.compute.rate / 1e9
    for name, limit in _memories(machine).items():
        rate = limit.rate / 1e9
        low, high = max(x0, y0 / rate), min(x1, peak / rate)
        ends = axes.transData.transform([(low, low * rate), (high, high * rate)])
        angle = math.degrees(math.atan2(*(ends[1] - ends[0])[::-1]))
        place = math.sqrt(low * high)
        axes.text(place, place * rate * 1.06, name, rotation=angle, rotation_mode="anchor", ha="center", va="bottom",
                  fontsize=LETTERS, color=GREYS[name])  # fmt: skip


def _memories(machine: Machine) -> dict[str, Limit]:
    """The memory, and the cache where it is faster."""
    faster = machine.cache.rate > 1.1 * machine.memory.rate
    return {"memory": machine.memory, **({"cache": machine.cache} if faster else {})}


def _roof(axes: Any, xs: Sequence[float], ys: Sequence[float], name: str) -> None:
    axes.plot(xs, ys, color=GREYS[name], lw=1.3, zorder=2, solid_capstyle="butt", gid="roof")


def _around(values: Sequence[float], margin: float = 1.8) -> tuple[float, float]:
    return min(values) / margin, max(values) * margin


def _ticks(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: engineering(round(value, 6))))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0)


def _legend(figure: Any, breakdowns: Sequence[Breakdown]) -> None:
    from matplotlib.lines import Line2D

    figure.text(0.995, 0.004, "area: share of the time", ha="right", va="bottom", fontsize=7, color="#888888")
    if len(breakdowns) > 1:
        handles = [
            Line2D([], [], ls="", marker=MARKERS[n % len(MARKERS)], mfc="#BBBBBB", mec="#666666", ms=7,
                   label=picture(f"{b.label}: {b.whole:.3g} ms"))
            for n, b in enumerate(breakdowns)
        ]  # fmt: skip
        figure.legend(
            handles=handles, loc="outside lower left", ncols=2, fontsize=8, frameon=False, handletextpad=0.3
        )
