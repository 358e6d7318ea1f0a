"""The pictures of a benchmark: accuracy against cost, regret over budget, predicted against measured times, a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.core.text import picture
from blockzoo.core.typeset import wrapped
from blockzoo.core.units import engineering
from blockzoo.nas.benchmark.surrogate import numbers_of
from blockzoo.nas.space.macro import Architecture, MacroSpace
from blockzoo.report.pareto import pareto_front
from blockzoo.report.pictures.looks import COLOURS

if TYPE_CHECKING:
    from blockzoo.nas.benchmark.dataset import Dataset
    from blockzoo.nas.ranking.latency_agreement import LatencyAgreement
    from blockzoo.nas.search.simulate import Comparison
    from blockzoo.report.drawing import Figure


def accuracy_against_cost(dataset: Dataset) -> Figure:
    """Test accuracy against MACs and against parameters, one point a network, coloured by its most frequent operation."""
    from matplotlib.ticker import FuncFormatter

    from blockzoo.report.drawing import Figure

    index = dataset.indices
    accuracy = dataset.test_acc(index, seed="mean")
    cells = dataset.space.cells
    counts = np.array([[g.ops.count(op) for op in range(len(dataset.ops))] for g in cells.graphs])
    kind = counts[dataset.space.digits(index)].sum(1).argmax(1)
    figure = Figure(figsize=(9.2, 4.1), layout="constrained")
    for axes, (name, label) in zip(
        figure.subplots(1, 2, sharey=True),
        (("macs", "MACs per image"), ("params", "parameters")),
        strict=True,
    ):
        cost = getattr(dataset, name)(index)
        for op, title in enumerate(dataset.ops):
            mine = kind == op
            size = 14 if len(index) < 5000 else 2
            axes.scatter(
                cost[mine],
                accuracy[mine],
                s=size,
                color=COLOURS[op],
                alpha=0.7,
                lw=0,
                label=picture(f"mostly {title}"),
            )
        front = pareto_front(np.stack([cost, -accuracy], axis=1))
        front = front[np.argsort(cost[front])]
        axes.step(
            cost[front], accuracy[front], where="post", color="#777777", lw=1, ls="--", label="Pareto front"
        )
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: engineering(value)))
        axes.set_xlabel(label)
        _plain(axes)
    figure.axes[0].set_ylabel("test accuracy, %")
    handles, labels = figure.axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, frameon=False, loc="outside lower left", ncols=len(handles))
    seeds = f"{len(dataset.seeds)} seed{'s' * (len(dataset.seeds) > 1)}"
    title = f"{dataset.title}: {numbers_of(dataset)}; {dataset.dataset}, {dataset.epochs} epochs, {seeds}"
    figure.suptitle(
        "\n".join(map(picture, wrapped(title, 130))), x=0.01, ha="left", fontsize=10, color="#333333"
    )
    return figure


def regret_curves(comparison: Comparison) -> Figure:
    """Mean regret over the budget with its 95 % bootstrap interval, one curve an algorithm."""
    from blockzoo.report.drawing import Figure

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    order = [picture(row["algorithm"]) for row in comparison.rows()]
    for place, name in enumerate(sorted(comparison.curves)):
        mean, low, high = comparison.interval(name)
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(comparison.at, mean, color=colour, lw=1.6, label=picture(name))
        axes.fill_between(comparison.at, low, high, color=colour, alpha=0.15, lw=0)
    handles, labels = axes.get_legend_handles_labels()
    ranked = [handles[labels.index(name)] for name in order]
    axes.legend(ranked, order, fontsize=8, frameon=False, title="best first", title_fontsize=8)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(
        {"trainings": "full trainings", "seconds": "simulated seconds of training"}[comparison.unit]
    )
    axes.set_ylabel("regret, percentage points of test accuracy")
    n = len(next(iter(comparison.curves.values())))
    title = "\n".join(map(picture, wrapped(f"{comparison.heading}; n = {n} seeds", 100)))
    axes.set_title(title, loc="left", fontsize=9, color="#333333")
    _plain(axes)
    return figure


def latency_agreement(error: LatencyAgreement, note: str = "") -> Figure:
    """Predicted against measured times of whole networks."""
    from blockzoo.report.drawing import Figure

    figure = Figure(figsize=(4.8, 4.6), layout="constrained")
    axes = figure.subplots()
    both = np.concatenate([error.measured_ms, error.predicted_ms])
    ends = (both.min() * 0.93, both.max() * 1.05)
    axes.plot(ends, ends, color="#999999", lw=1, ls="--", zorder=1)
    axes.scatter(error.measured_ms, error.predicted_ms, s=26, color=COLOURS[0], ec="white", lw=0.6, zorder=2)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")
    axes.set_xlabel("measured, ms")
    axes.set_ylabel("sum of the parts, ms")
    axes.set_title(picture(error).replace(" (n", "\n(n"), loc="left", fontsize=8.5, color="#333333")
    if note:
        figure.text(0.99, 0.005, picture(note), ha="right", va="bottom", fontsize=6, color="#888888")
    _plain(axes)
    return figure


def draw_architecture(arch: Architecture, space: MacroSpace) -> Figure:
    """The graph of a network, from left to right: cells as written (unused nodes pale), reductions between them."""
    from blockzoo.report.drawing import Figure

    vector = space.nested(arch)
    figure = Figure(figsize=(2.6 + 3.4 * space.stages, 2.4), layout="constrained")
    axes = figure.subplots()
    at = 0.0
    _box(axes, at, 0, "stem", "#F2F2F2")
    for stage, cell in enumerate(vector):
        at = _cell(axes, at, cell, space, stage)
    axes.annotate("", (at + 0.75, 0), (at + 0.32, 0), arrowprops={"arrowstyle": "->", "color": "#555555"})
    _box(axes, at + 1.1, 0, "head", "#F2F2F2")
    axes.set_xlim(-0.6, at + 1.7)
    axes.set_ylim(-1.15, 1.25)
    axes.set_axis_off()
    axes.set_title(
        f"network {space.index(arch)}: {picture(vector)}", loc="left", fontsize=8.5, color="#333333"
    )
    return figure


def _cell(axes: Any, at: float, cell: list[list[int]], space: MacroSpace, stage: int) -> float:
    """One cell and its reduction, from the box at `at` on; returns where the reduction stands."""
    from blockzoo.nas.space.cells import canonical_graph, live_nodes, raw_edges

    flat = [x for node in cell for x in node]
    nodes = len(cell)
    assert canonical_graph(flat, nodes) is not None
    live = live_nodes(flat, nodes)
    end = at + nodes + 1.2
    where = {0: (at, 0.0), nodes + 1: (end, 0.0)}
    for node in range(1, nodes + 1):
        where[node] = (at + node + 0.1, 0.45 if node % 2 else -0.45)
        colour = COLOURS[cell[node - 1][0] % len(COLOURS)] if node in live else "#DDDDDD"
        _box(axes, *where[node], space.ops[cell[node - 1][0]], colour, "white" if node in live else "#888888")
    for a, b in raw_edges(flat, nodes):
        used = a in live and b in live
        axes.annotate(
            "",
            where[b],
            where[a],
            arrowprops={
                "arrowstyle": "->",
                "color": "#555555" if used else "#DDDDDD",
                "shrinkA": 17,
                "shrinkB": 17,
                "connectionstyle": "arc3,rad=0.12" if abs(a - b) > 1 else "arc3",
            },
            zorder=1,
        )
    _box(axes, end, 0, f"reduce\nx{2 ** (stage + 1)}", "#F2F2F2")
    return end


def _box(axes: Any, x: float, y: float, text: str, colour: str, ink: str = "#333333") -> None:
    style = {"boxstyle": "round,pad=0.35", "fc": colour, "ec": "none"}
    axes.text(x, y, text, ha="center", va="center", fontsize=7.5, color=ink, bbox=style, zorder=3)


def _plain(axes: Any) -> None:
    axes.grid(color="#ECECEC", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors="#444444")
