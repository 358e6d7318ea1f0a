"""Planned settings beside the accuracy that a study measured for them: memory is predicted here, accuracy was measured there."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.core.documents import decoded, first_line
from blockzoo.core.errors import UsageError
from blockzoo.report.estimates import FRACTION, Estimate, estimate
from blockzoo.tiling.layers.convert import block_convert
from blockzoo.tiling.planning.plan import Plan
from blockzoo.tiling.planning.planner import plan
from blockzoo.tiling.tags import WHOLE, tiling_of

if TYPE_CHECKING:
    from jaxtyping import Shaped

COLUMNS = ("arch", "way", "blocking", "padding", "status", "test_acc")
"""Of a study's CSV, those that are read."""


@dataclass(frozen=True)
class Setting:
    """One way of cutting a network.

    Args:
        blocking: its tag, H4x4, F28 or whole.
        padding: around its tiles.
        way: how it was trained.
        accuracy: measured on the test split over seeds, a share.
        plan: the least memory for this network on these tiles.
    """

    blocking: str
    padding: str
    way: str
    accuracy: Estimate
    plan: Plan


def read_results(path: Path) -> list[dict[str, Any]]:
    """The lines of the CSV that `tile study` writes, of those that have an accuracy all that `settings` reads.

    Raises:
        UsageError: it cannot be read, or a line holds something that no study writes; it is named by its number.
    """
    try:
        text = decoded(path.read_bytes(), str(path))
        lines = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror or error}); `blockzoo tile study` writes it"
        ) from error
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV ({error}); `blockzoo tile study` writes it") from None
    for number, line in enumerate(lines, 2):
        lacking = [name for name in COLUMNS if not isinstance(line.get(name), str)]
        if lacking:
            raise UsageError(f"{path}: line {number} has no {', '.join(lacking)}")
        if line["status"] == "ok" and line["test_acc"]:
            try:
                share = float(line["test_acc"])
                tiling_of(line["blocking"], line["padding"] or "zeros")
            except ValueError as error:
                raise UsageError(f"{path}: line {number}: {first_line(error)}") from None
            if not 0 <= share <= 1:
                raise UsageError(f"{path}: line {number}: test_acc {share:g} is no share of 0 to 1")
    return lines


def settings(
    model: nn.Module, example: Shaped[torch.Tensor, "N C H W"], lines: Sequence[dict[str, Any]]
) -> list[Setting]:
    """What a study's lines of one network cost in memory, the most accurate first.

    Args:
        model: the network, not cut.
        example: (N, C, H, W), of the size that is planned for.
        lines: from `run_tiling_study`, or its CSV: arch, way, blocking, padding, seed, status, test_acc.
    """
    groups: dict[tuple[str, str, str], list[float]] = {}
    for line in lines:
        if line["status"] == "ok" and line["test_acc"] not in (None, ""):
            key = (line["blocking"], line["padding"] or "zeros", line["way"])
            groups.setdefault(key, []).append(float(line["test_acc"]))
    plans: dict[tuple[str, str], Plan] = {}
    costed = []
    for (tag, padding, way), accuracies in groups.items():
        if (tag, padding) not in plans:
            plans[tag, padding] = _planned(model, example, tag, padding)
        costed.append(Setting(tag, padding, way, estimate(accuracies, FRACTION), plans[tag, padding]))
    return sorted(costed, key=lambda setting: -setting.accuracy.mean)


def _planned(model: nn.Module, example: torch.Tensor, tag: str, padding: str) -> Plan:
    if tag == WHOLE:
        return plan(model, example, mode="exact")
    tiling = tiling_of(tag, padding)
    assert tiling.blocking is not None
    converted, _ = block_convert(model, example, tiling.block, tiling.blocking, tiling.padding)
    return plan(converted, example)
