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
