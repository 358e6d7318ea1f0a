"""Whether blocks keep their order elsewhere: a map of Kendall's tau, with what two repetitions would have on its diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blockzoo.report.agreement_tables import own_words
from blockzoo.report.elsewhere import Elsewhere
from blockzoo.report.pictures.frame import Frame
from blockzoo.report.pictures.looks import INK, labels

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

COLOURS = "PuOr"
"""From the reverse order over unrelated ones to the same, for the colour-blind too."""
MOST_WRITTEN = 9
"""Experiments up to which the interval stands in each cell."""


def draw_orders(made: Sequence[Elsewhere]) -> Figure:
    """A figure of all experiments that are compared, each with each."""
    ends = list(dict.fromkeys(end for one in made for end in one.ends))
    names = _short(ends)
    blocks = sorted({one.agreement.things for one in made})
    side = max(2.6, 0.95 * len(ends)) if len(ends) <= MOST_WRITTEN else 0.42 * len(ends)
    beside = 0.075 * max(map(len, names)) + 0.35
    note = (
        "Tau of mean accuracies: 1 for the same order of the blocks, 0 for unrelated orders, -1 for the reverse. In brackets: "
        "what holds tau without noise in 95 % of tables, each by itself. On the diagonal, in italics: tau that two repetitions "
        "of that experiment would have. Empty: experiments that differ in more than one setting."
    )
    several = " to ".join(map(str, sorted({blocks[0], blocks[-1]})))
    question = "Do blocks keep their order elsewhere"
    figure, (axes,) = Frame(
        question, f"{several} blocks, as `blockzoo results --orders` prints", note
    ).figure((side + beside + 0.9, side + beside))
    _draw(figure, axes, made, ends)
    axes.set_xticks(range(len(ends)), names, rotation=90, fontsize=8, color=INK)
    axes.set_yticks(range(len(ends)), names, fontsize=8, color=INK)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _draw(figure: Figure, axes: Any, made: Sequence[Elsewhere], ends: list[str]) -> None:
    import numpy as np

    values = np.full((len(ends), len(ends)), np.nan)
    for one in made:
        first, second = (ends.index(end) for end in one.ends)
        values[first, second] = values[second, first] = one.agreement.tau
        for place, ceiling in zip((first, second), one.agreement.ceilings, strict=True):
            values[place, place] = np.nan if ceiling is None else ceiling
    image = axes.imshow(values, cmap=COLOURS, vmin=-1, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=axes, label="Kendall's tau", shrink=0.85)
    if len(ends) > MOST_WRITTEN:
        return
    intervals = {frozenset(one.ends): one.agreement.interval for one in made}
    for row, end in enumerate(ends):
        for column, other in enumerate(ends):
            if np.isnan(value := values[row, column]):
                continue
            interval = intervals.get(frozenset((end, other))) if row != column else None
            text = f"{value:+.2f}" + (f"\n[{interval[0]:+.2f}, {interval[1]:+.2f}]" if interval else "")
            axes.text(
                column, row, text, ha="center", va="center", fontsize=7.5, gid="cell",
                color=INK if abs(value) < 0.55 else "white", style="italic" if row == column else "normal",
            )  # fmt: skip


def _short(ends: list[str]) -> list[str]:
    """Without the words that all of them have, in the same order."""
    own = own_words(ends)
    names = own if len(set(own)) == len(ends) else ends
    shown = labels(names)
    return [shown[name] for name in names]
