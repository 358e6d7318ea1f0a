"""The picture of a study: validation loss over each cost, means and intervals over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.blockwise.sweep import Line, at_cost
from blockzoo.core.text import picture
from blockzoo.report.estimates import LEAST_SEEDS, student_t
from blockzoo.report.pictures.looks import COLOURS

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

LABELS = {
    "gradient_evaluations": "gradient evaluations of all workers",
    "critical_steps": "steps one after the other",
    "communicated_bytes": "bytes communicated",
    "seconds": "seconds in one process",
}


def over_costs(lines: Sequence[Line], costs: Sequence[str], quantity: str = "validation_loss") -> Figure:
    """One panel per cost; settings that spend none of it, or have no run that counts, are left out there."""
    from blockzoo.report.drawing import Figure

    figure = Figure(figsize=(4.3 * len(costs), 3.9), layout="constrained")
    for axes, cost in zip(figure.subplots(1, len(costs), sharey=True, squeeze=False)[0], costs, strict=True):
        for number, line in enumerate(lines):
            if not line.runs:
                continue
            most = min(run.curves[f"{cost}_total"][-1] for run in line.runs)
            least = max(run.curves[f"{cost}_total"][0] for run in line.runs)
            if most <= least:
                continue
            amounts = np.linspace(least, most, 120)
            values = np.stack([at_cost(run, cost, amounts, quantity) for run in line.runs])
            mean = values.mean(0)
            label = ", ".join(str(v) for _, v in line.setting)
            label += "".join(f", {name.replace('_', ' ')} {value}" for name, value in line.tuned)
            axes.plot(
                amounts, mean, color=COLOURS[number % len(COLOURS)], label=picture(label), linewidth=1.6
            )
            if len(values) >= LEAST_SEEDS:
                half = student_t(len(values) - 1) * values.std(0, ddof=1) / np.sqrt(len(values))
                axes.fill_between(
                    amounts,
                    np.maximum(mean - half, 0.0),  # neither losses nor accuracies lie below
                    mean + half,
                    color=COLOURS[number % len(COLOURS)],
                    alpha=0.18,
                    linewidth=0,
                )
        axes.set_xlabel(LABELS[cost])
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(picture(quantity.replace("_", " ")))
    if figure.axes[0].lines:
        figure.axes[0].legend(frameon=False, fontsize=8, title="best first", title_fontsize=8)
    return figure
