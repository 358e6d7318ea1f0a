"""The picture of a plan: live memory over the network, layer by layer and as planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blockzoo.core.text import picture
from blockzoo.report.pictures.looks import COLOURS
from blockzoo.tiling.planning.plan import Plan

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure


def memory_over_layers(
    plan: Plan, before: list[tuple[int, int]], after: list[tuple[int, int]], title: str = ""
) -> Figure:
    """Live bytes over the multiply-adds that are done, before and after planning.

    Args:
        plan: whose peaks are drawn as lines.
        before: layer by layer, from `planner.timelines`: after each operation, multiply-adds so far and peak bytes.
        after: as planned, from there too: after each operation on whole maps, and each stage.
        title: above the picture.
    """
    from blockzoo.report.drawing import Figure

    figure = Figure(figsize=(7.6, 3.6), layout="constrained")
    axes = figure.subplots()
    unit, name = (2**20, "MiB") if plan.layer_by_layer.peak_bytes >= 2**20 else (2**10, "KiB")
    for number, (label, points, peak) in enumerate(
        (
            ("layer by layer", before, plan.layer_by_layer.peak_bytes),
            ("as planned", after, plan.cost.peak_bytes),
        )
    ):
        total = points[-1][0]
        places = [0.0, *(100 * macs / total for macs, _ in points)]
        sizes = [size / unit for _, size in points]
        axes.stairs(sizes, places, color=COLOURS[number], fill=True, alpha=0.25)
        axes.stairs(
            sizes,
            places,
            color=COLOURS[number],
            linewidth=1.4,
            label=f"{picture(label)}: peak {peak / unit:.2f} {name}",
        )
        axes.axhline(peak / unit, color=COLOURS[number], linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 100)
    axes.set_ylim(0)
    axes.set_xlabel("work done, % of the multiply-adds")
    axes.set_ylabel(f"live activations, {name}")
    axes.set_title(picture(title), loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def memory_of_steps(plan: Plan) -> Figure:
    """Peak bytes of each step of a plan, in their order, below those of the network layer by layer.

    Args:
        plan: as it was made, or read from its file.
    """
    from blockzoo.report.pictures.frame import Frame, line, round_ticks, tidy

    rows = plan.table_rows()
    unit, name = (2**20, "MiB") if plan.layer_by_layer.peak_bytes >= 2**20 else (2**10, "KiB")
    before, after = plan.layer_by_layer.peak_bytes / unit, plan.peak_bytes / unit
    legend = [
        line(f"layer by layer: {before:.2f} {name}", 1.4, COLOURS[0]),
        line(f"as planned: {after:.2f} {name}", 1.4, COLOURS[1]),
    ]
    question = "What each step of the plan needs at most"
    figure, (axes,) = Frame(question, plan.headline(), "The image is not counted.", legend).figure(
        (8.4, 0.32 * len(rows) + 0.9)
    )
    sizes = [(row["peak_bytes"] or 0) / unit for row in rows]
    axes.barh(range(len(rows)), sizes, height=0.62, color=COLOURS[1], alpha=0.35)
    axes.axvline(before, color=COLOURS[0], lw=1.4)
    axes.axvline(after, color=COLOURS[1], lw=1.4)
    tidy(axes)
    axes.set_yticks(range(len(rows)), [picture(f"{row['step']}, {row['how']}") for row in rows], fontsize=7.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"live activations, {name}", fontsize=8.5)
    round_ticks(axes.xaxis)
    return figure
