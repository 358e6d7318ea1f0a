"""Networks that an additive model has not seen: what it predicts of them against what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from blockzoo.report.pictures.frame import Frame, handle, line, round_ticks, span, tidy
from blockzoo.report.pictures.looks import COLOURS, Mark

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

QUESTION = "Do blocks add up: accuracies predicted by a sum of worths against those measured"


def draw_predictions(pairs: Sequence[tuple[float, float]], group: str, note: str) -> Figure:
    """A square: on the diagonal what was predicted came out.

    Args:
        pairs: predicted and measured, fractions, each less the mean of its seed.
        group: what the networks have in common.
        note: how to read it.
    """
    mark = Mark("o", COLOURS[0], COLOURS[0])
    legend = [handle(mark, "a network that was held out"), line("predicted = measured", 1.0, "#9AA5B1")]
    figure, (axes,) = Frame(QUESTION, group, note, legend).figure((5.6, 4.9))
    predicted, measured = ([100 * value for value in values] for values in zip(*pairs, strict=True))
    ends = span([*predicted, *measured])
    axes.plot(ends, ends, color="#9AA5B1", lw=1, zorder=1)
    axes.plot(
        predicted, measured, ls="", marker="o", ms=5.5, mfc=mark.face, mec="white", alpha=0.75, zorder=3
    )
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        round_ticks(axis, 6)
    tidy(axes)
    axes.set_xlabel("predicted, points from the mean of its seed", fontsize=8.5)
    axes.set_ylabel("measured, points from the mean of its seed", fontsize=8.5)
    return figure
