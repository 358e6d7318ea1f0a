"""All pairs of blocks at one position: who is better, worse, equal, and what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blockzoo.report.difference import MARGIN, Difference, Kind
from blockzoo.report.pictures.frame import Frame
from blockzoo.report.pictures.looks import INK, VERDICTS, labels

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

MOST_WRITTEN = 20
"""Blocks up to which the difference stands in each cell."""
FACES: dict[Kind, tuple[str, str]] = {
    "better": (VERDICTS["better"].face, "white"),
    "worse": (VERDICTS["worse"].face, "black"),
    "equal": (VERDICTS["equal"].face, "black"),
    "unresolved": ("#FFFFFF", "#8A8A8A"),
}
"""Of a cell: the colour of its ground, and of what stands on it."""
DIAGONAL = "#F3F3F3"
SMALL: dict[Kind, str] = {"better": "^", "worse": "v", "equal": "s"}
"""Markers in cells in which nothing is written."""
SIGNS: dict[Kind, str] = {"better": "▲", "worse": "▼", "equal": "=", "unresolved": "?"}


def by_mean(differences: Sequence[Difference]) -> list[str]:
    """The blocks of one position, the most accurate first."""
    means = {name: mean for d in differences for name, mean in zip((d.block, d.other), d.means, strict=True)}
    return sorted(means, key=lambda name: (-means[name], name))


def draw_verdicts(differences: Sequence[Difference], position: str, group: str, note: str) -> Figure:
    """A figure of the block of each row against that of each column.

    Args:
        differences: all pairs of the position, at least one.
        position: which; empty where the table has none.
        group: what the rows have in common.
        note: how to read it.
    """
    from matplotlib.patches import Patch

    order = by_mean(differences)
    names, count = labels(order), len(order)
    written = count <= MOST_WRITTEN
    cell = 0.52 if written else 0.2
    beside = 0.077 * max(map(len, names.values())) + 0.25
    margin = 100 * (differences[0].margin if differences else MARGIN)
    words = {
        "better": "the row's block is better",
        "worse": "the row's block is worse",
        "equal": f"equal within {margin:g}",
        "unresolved": "unresolved",
    }
    kinds = {d.kind for d in differences}
    both = kinds & {"better", "worse"}
    shown = [kind for kind in VERDICTS if kind in kinds or (both and kind in ("better", "worse"))]
    signs = {kind: f"{SIGNS[kind]}  " if written or kind in SMALL else "" for kind in shown}
    legend = [
        Patch(fc=FACES[kind][0], ec="#9A9A9A", lw=0.6, label=signs[kind] + words[kind]) for kind in shown
    ]
    where = f" at {position}" if position else ""
    question = f"Which block is better{where}: each row's block against each column's"
    side = max(2.2, cell * count)
    figure, (axes,) = Frame(question, group, note, legend).figure((side + beside, side + beside))
    cells = _cells(differences, order)
    _draw_grounds(axes, cells, count)
    for kind in VERDICTS:
        there = [(column, row, value) for column, row, of, value in cells if of == kind]
        if written:
            for column, row, value in there:
                _write(axes, column, row, kind, value)
        elif kind in SMALL and there:
            columns, rows, _ = zip(*there, strict=True)
            axes.plot(columns, rows, ls="", marker=SMALL[kind], ms=3.5, color=FACES[kind][1], zorder=3)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    size = 8 if written else max(5.0, 8 - 0.03 * count)
    axes.set_xticks(range(count), [names[name] for name in order], rotation=90, fontsize=size)
    axes.set_yticks(range(count), [names[name] for name in order], fontsize=size)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    return figure


def _cells(differences: Sequence[Difference], order: list[str]) -> list[tuple[int, int, Kind, float]]:
    """Column, row, verdict and difference of each cell."""
    places = {name: place for place, name in enumerate(order)}
    both = [of for d in differences for of in (d, d.the_other_way())]
    return [(places[d.other], places[d.block], d.kind, d.value) for d in both]


def _draw_grounds(axes: Any, cells: list[tuple[int, int, Kind, float]], count: int) -> None:
    import numpy as np
    from matplotlib.colors import ListedColormap

    kinds = list(FACES)
    grounds = np.full((count, count), len(kinds))
    for column, row, kind, _ in cells:
        grounds[row, column] = kinds.index(kind)
    colours = ListedColormap([*(FACES[kind][0] for kind in kinds), DIAGONAL])
    edges = np.arange(count + 1) - 0.5
    axes.pcolormesh(
        edges, edges, grounds, cmap=colours, vmin=-0.5, vmax=len(kinds) + 0.5, edgecolors="#D9D9D9", lw=0.6, zorder=1
    )  # fmt: skip


def _write(axes: Any, column: int, row: int, kind: Kind, value: float) -> None:
    number = f"{100 * value:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0")
    axes.text(
        column, row, f"{SIGNS[kind]}\n{number}", ha="center", va="center", fontsize=7.5, color=FACES[kind][1],
        linespacing=1.1, zorder=3, gid=f"cell {kind}",
    )  # fmt: skip
