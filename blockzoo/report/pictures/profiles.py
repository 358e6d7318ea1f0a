"""What each block is worth at each position, beside one another, and which blocks are worth more at one than elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blockzoo.report.difference import MARGIN
from blockzoo.report.effects import Effects
from blockzoo.report.pictures.forest import BAND, draw_intervals, draw_marks, ends_of
from blockzoo.report.pictures.frame import Frame, handle, line, round_ticks, span, tidy
from blockzoo.report.pictures.looks import INK, PLACES, Mark, labels

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

QUESTION = "Where is a block at its best: each block at each position"


def draw_profiles(effects: Effects, special: Effects, group: str, note: str, axis: str) -> Figure:
    """A figure: on the left what a block is worth, on the right how much more at a position than at its others.

    On top stand the blocks that are surest to be worth more at one position than elsewhere. Positions are categories, which no
    line joins.

    Args:
        effects: from the reference, at several positions.
        special: `specialisations` of the same table.
        group: what the rows have in common.
        note: how to read it.
        axis: below the left panel.
    """
    order = by_specialisation(special)
    positions = special.positions
    names = labels([effects.reference, *order])
    step = 1 / (len(positions) + 1.2)
    row = 0.42 if len(order) <= 30 else 0.3
    legend = [handle(PLACES[place], place) for place in positions]
    legend.append(handle(Mark("o", "#6E6E6E", "#FFFFFF"), "hollow: may be 0"))
    if any(special.together(d) for d in special.differences):
        legend.append(line("95 % intervals that hold together in their panel", 1.4, "#6E6E6E"))
    size = (9.4 + 0.066 * max(map(len, names.values())), row * len(order) + 0.95)
    figure, (left, right) = Frame(QUESTION, group, note, legend).figure(size, (1, 2), sharey=True)
    heights = {
        (block, place): row_of + (number - (len(positions) - 1) / 2) * step
        for row_of, block in enumerate(order)
        for number, place in enumerate(positions)
    }
    for axes, of in ((left, effects), (right, special)):
        for stripe in range(1, len(order), 2):
            axes.axhspan(stripe - 0.5, stripe + 0.5, color="#F6F6F6", zorder=0, lw=0)
        _draw_values(axes, of, heights)
    _finish(left, effects, order, names)
    _finish(right, special, order, names)
    left.set_title("what it is worth", fontsize=10, color=INK)
    right.set_title("how much more than at its other positions", fontsize=10, color=INK)
    left.set_xlabel(axis, fontsize=8.5)
    right.set_xlabel("gain beyond that of all blocks on average, points", fontsize=8.5)
    return figure


def by_specialisation(special: Effects) -> list[str]:
    """The blocks, those on top whose largest gain at one position is surest."""
    largest: dict[str, float] = {}
    for d in special.differences:
        sure = abs(d.value) / d.error if d.error else 0.0
        largest[d.block] = max(largest.get(d.block, 0.0), sure)
    return sorted(largest, key=lambda block: (-largest[block], block))


def _draw_values(axes: Any, effects: Effects, heights: dict[tuple[str, str], float]) -> None:
    there = [
        (d, heights[d.block, d.position]) for d in effects.differences if (d.block, d.position) in heights
    ]
    draw_intervals(axes, [(effects.together(d), at, PLACES[d.position].colour) for d, at in there], 1.4)
    for place in effects.positions:
        for sure in (True, False):
            of = [
                (100 * d.value, at)
                for d, at in there
                if d.position == place and (d.kind in ("better", "worse")) == sure
            ]
            mark = PLACES[place] if sure else replace(PLACES[place], face="#FFFFFF")
            draw_marks(axes, of, mark, f"value {place}", size=5.5, edge=1.2)


def _finish(axes: Any, effects: Effects, order: list[str], names: dict[str, str]) -> None:
    axes.axvspan(-100 * MARGIN, 100 * MARGIN, color=BAND, zorder=0.5, lw=0)
    axes.axvline(0, color="#9AA5B1", lw=1, zorder=1)
    tidy(axes)
    written = [f"{names[b]} (reference)" if b and b == effects.reference else names[b] for b in order]
    if effects.reference or not axes.get_yticklabels() or not axes.get_yticklabels()[0].get_text():
        axes.set_yticks(range(len(order)), written)
    axes.set_ylim(len(order) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(*span([100 * end for d in effects.differences for end in ends_of(effects, d)]))
    round_ticks(axes.xaxis)
