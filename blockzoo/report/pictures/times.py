"""What calls take: the median of each network and the interval of that median, one panel a batch size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from blockzoo.report.pictures.frame import Frame, handle, round_ticks, tidy
from blockzoo.report.pictures.looks import COLOURS, INK, MARKERS, Mark, labels

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure


class Median(NamedTuple):
    """One median.

    Args:
        subject: what was timed.
        batch_size: images a call.
        way: part, runtime and dtype, in words.
        ms: the median.
        interval: 95 % of it; None: too few samples.
        doubtful: should it not be taken as sure?
    """

    subject: str
    batch_size: int
    way: str
    ms: float
    interval: tuple[float, float] | None
    doubtful: bool = False


def draw_times(times: Sequence[Median], circumstances: str) -> Figure:
    """A figure: the fastest network on top, each way in a colour and a form of its own.

    Args:
        times: at least one.
        circumstances: of all of them.
    """
    sizes = sorted({time.batch_size for time in times})
    ways = list(dict.fromkeys(time.way for time in times))
    fastest = {s: min(t.ms for t in times if t.subject == s) for s in (time.subject for time in times)}
    order = sorted(fastest, key=fastest.__getitem__)
    names = labels(order)
    looks = {
        way: Mark(MARKERS[i % len(MARKERS)], colour := COLOURS[i % len(COLOURS)], colour)
        for i, way in enumerate(ways)
    }
    legend = [handle(looks[way], way) for way in ways]
    doubtful = any(time.doubtful for time in times)
    legend += [handle(Mark("o", "#6E6E6E", "#FFFFFF"), "hollow: doubtful")] if doubtful else []
    note = "Medians with their 95 % intervals, from order statistics; without one: fewer than 6 samples."
    size = (2.2 + 3.4 * len(sizes), 0.5 * len(order) + 0.9)
    figure, panels = Frame("What one call takes", circumstances, note, legend).figure(
        size, (1, len(sizes)), sharey=True
    )
    for axes, batch in zip(panels, sizes, strict=True):
        for time in (one for one in times if one.batch_size == batch):
            look = looks[time.way]
            at = order.index(time.subject) + 0.7 * ((ways.index(time.way) + 0.5) / len(ways) - 0.5)
            if time.interval is not None:
                axes.plot(time.interval, (at, at), color=look.colour, lw=1.6, solid_capstyle="butt")
            face = "#FFFFFF" if time.doubtful else look.face
            axes.plot(time.ms, at, ls="", marker=look.marker, ms=6, mfc=face, mec=look.colour, zorder=3)
        tidy(axes)
        axes.set_yticks(range(len(order)), [names[subject] for subject in order], fontsize=8.5)
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.margins(x=0.12)
        axes.set_xlim(left=0)
        axes.set_title(f"batch {batch}", fontsize=9.5, color=INK)
        axes.set_xlabel("ms a call", fontsize=8.5)
        round_ticks(axes.xaxis, most=5)
    return figure
