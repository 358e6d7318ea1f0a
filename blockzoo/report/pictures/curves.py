"""Learning curves: what a training came to after each epoch, or after each round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from blockzoo.core.errors import UsageError
from blockzoo.core.text import picture
from blockzoo.report.pictures.frame import Frame, line, round_ticks, tidy
from blockzoo.report.pictures.looks import COLOURS

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

SPLITS = {
    "train": COLOURS[1],
    "val": COLOURS[0],
    "validation": COLOURS[0],
    "training": COLOURS[1],
    "": COLOURS[0],
}
"""Colours, alike in every picture."""
WORDS = {"val": "validation", "train": "training", "acc": "accuracy, %", "accuracy": "accuracy, %"}
SHARES = ("acc", "accuracy")
"""What are fractions."""


def draw_curves(
    title: str, curves: Mapping[str, Sequence[float | None]], at: Sequence[int], step: str, note: str = ""
) -> Figure:
    """One panel a quantity: its curves on training and validation images.

    Args:
        title: what learnt, and how.
        curves: `train_loss`, `val_loss`, `validation_accuracy`, ...: one value a step, None where there is none.
        at: the number of each step.
        step: "epoch" or "round".
        note: below the picture.

    Raises:
        UsageError: there is no step, or no such curve.
    """
    from matplotlib.ticker import MaxNLocator

    panels: dict[str, dict[str, Sequence[float | None]]] = {}
    for name, values in curves.items():
        split, _, quantity = name.rpartition("_")
        if quantity in ("loss", *SHARES) and split in SPLITS and any(v is not None for v in values):
            panels.setdefault(quantity, {})[split] = values
    if not panels or not at:
        raise UsageError(f"{title}: no {step} was finished, so there is no curve to draw")
    splits = list(dict.fromkeys(split for own in panels.values() for split in own))
    legend = [line(WORDS.get(split, split) or "training", 1.8, SPLITS[split]) for split in splits]
    figure, axes = Frame(title, "", note, legend).figure((3.9 * len(panels), 2.8), (1, len(panels)))
    for panel, (quantity, own) in zip(axes, panels.items(), strict=True):
        factor = 100.0 if quantity in SHARES else 1.0
        for split, values in own.items():
            numbers = [float("nan") if value is None else factor * value for value in values]
            mark = "o" if len(at) <= 30 else ""
            panel.plot(at, numbers, color=SPLITS[split], lw=1.8, marker=mark, ms=3.5)
        tidy(panel)
        panel.set_xlabel(step, fontsize=8.5)
        panel.set_ylabel(picture(WORDS.get(quantity, quantity)), fontsize=8.5)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        round_ticks(panel.yaxis)
    return figure
