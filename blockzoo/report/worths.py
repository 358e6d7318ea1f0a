"""Worths in company as tables: for the terminal, and as rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import Any

from blockzoo.core.contracts import POSITIONS
from blockzoo.core.typeset import HIGH, KEY, TextTable, name, number
from blockzoo.report.crossed import Crossed
from blockzoo.report.effects_fit import Training
from blockzoo.report.groups import describe_group

QUESTION = (
    "Question: how much more accurate are networks with this block at this position than with the average block there, their "
    "other stages holding other blocks? (Whether one block is better among equal fillers is the isolated design's question.)"
)
BEST = 5
"""Networks whose predictions are shown."""


def worth_rows(models: Iterable[Crossed]) -> list[dict[str, Any]]:
    """One row for each block and position, as fractions; without numbers where the trainings tell none."""
    return [
        {
            "group": describe_group(model.group),
            "column": model.column,
            "block": block,
            "position": position,
            "worth": worth and worth.value,
            "low": worth and worth.value - model.half_width * worth.error,
            "high": worth and worth.value + model.half_width * worth.error,
            "trainings": sum(t.network[place] == block for t in model.trainings),
            "degrees_of_freedom": model.fit.degrees,
        }
        for model in models
        for place, position in enumerate(POSITIONS)
        for block in model.blocks[place]
        for worth in [model.worths.get((block, position))]
    ]


def worth_tables(models: Iterable[Crossed]) -> list[TextTable]:
    """For each model the worths, the block that is worth most first, and what the model says of whole networks."""
    return [part for model in models for part in (_worths(model), _networks(model))]


def _worths(model: Crossed) -> TextTable:
    means = {block: _mean(model, block) for block in sorted({block for at in model.blocks for block in at})}
    lines = []
    for block, mean in sorted(means.items(), key=lambda pair: math.inf if pair[1] is None else -pair[1]):
        cells = [
            f"{100 * worth.value:+.2f} ± {100 * model.half_width * worth.error:.2f}" if worth else "-"
            for worth in (model.worths.get((block, position)) for position in POSITIONS)
        ]
        lines.append((block, *cells, "-" if mean is None else f"{100 * mean:+.2f}"))
    columns = (name("block"), *(number(position, importance=HIGH) for position in POSITIONS), number("mean"))
    return TextTable(f"worth in company, points: {describe_group(model.group)}", columns, lines, _told(model))


def _mean(model: Crossed, block: str) -> float | None:
    """Over the positions that it stands at; None where its worth at one is not told."""
    there = [position for position, at in zip(POSITIONS, model.blocks, strict=True) if block in at]
    worths = [model.worths[block, position] for position in there if (block, position) in model.worths]
    return statistics.fmean(worth.value for worth in worths) if len(worths) == len(there) else None


def _networks(model: Crossed) -> TextTable:
    """The networks that are predicted to be best; what came out where they were trained afterwards, beside others at random."""
    seen: dict[tuple[str, ...], list[Training]] = {}
    for training in model.tested:
        seen.setdefault(training.network, []).append(training)
    predicted = {network: value for value, network in model.best(BEST)}
    predicted |= {network: value for network in seen if (value := model.predicted(network)) is not None}
    columns = (*map(name, POSITIONS), number("predicted", "%", KEY), number("seen", "%", HIGH))
    lines = []
    for network, value in sorted(predicted.items(), key=lambda pair: -pair[1]):
        came = f"{100 * statistics.fmean(t.accuracy for t in seen[network]):.2f}" if network in seen else ""
        lines.append((*network, f"{100 * value:.2f}", came))
    return TextTable(
        f"networks of these blocks: {' x '.join(str(len(at)) for at in model.blocks)}",
        columns,
        lines,
        "predicted: the mean and the worths of its blocks, over the seeds of the design; seen: trained afterwards, with a seed "
        "that the model has not seen",
    )


def _told(model: Crossed) -> str:
    """The question, and how far the answer can be trusted."""
    fit = model.fit
    accuracy = "test" if model.column == "test_acc" else "validation"
    parts = [
        QUESTION,
        f"{accuracy} accuracy of {len(model.trainings)} trainings; ± half of the 95 % interval; the effects explain "
        f"{100 * fit.explained[0]:.0f} % of the variance (adjusted {100 * fit.explained[1]:.0f} %) and leave "
        f"{100 * fit.deviation:.2f} points, {fit.degrees} degrees of freedom",
    ]
    parts += filter(None, (model.untold, model.left_out))
    if model.noise and model.interaction:
        size, p = model.interaction
        parts.append(
            f"trainings of one network differ by {100 * model.noise[0]:.2f} points ({model.noise[1]} degrees of freedom), so "
            f"what blocks do together beyond the sum is {100 * size:.2f} points (p = {p:.2g} for none)"
        )
    if model.held_out and len(model.held_out) > 2:
        parts.append(_held_out(model.held_out))
    return "\n".join(parts)


def _held_out(pairs: list[tuple[float, float]]) -> str:
    """How well networks are predicted that the model has not seen."""
    import numpy as np
    from scipy.stats import spearmanr

    predicted, seen = np.array(pairs).T
    error = float(np.sqrt(((predicted - seen) ** 2).mean()))
    rank = float(spearmanr(predicted, seen).statistic)
    return (
        f"held out, a replicate at a time: {len(pairs)} networks are predicted to {100 * error:.2f} points (their own spread: "
        f"{100 * float(seen.std()):.2f}), Spearman's rank correlation {rank:.2f}"
    )
