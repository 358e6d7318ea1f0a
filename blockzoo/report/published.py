"""What others published of networks that are made of one block each: ImageNet-1k accuracies, compared at comparable costs only.

`imagenet.yaml` beside this file has the facts, each with its source. Networks of other costs are made comparable in two ways: by
what lies above or below the line of accuracy against the logarithm of multiply-adds of all networks listed, and by looking only
at pairs of blocks with networks within a factor of 1.5 of each other.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

from blockzoo.core.documents import checked, from_yaml
from blockzoo.core.errors import DataError
from blockzoo.report.agreement import Order

FACTS = Path(__file__).parent / "imagenet.yaml"
FACTOR = 1.5
"""Multiply-adds of two networks that are comparable, as a ratio."""


class Published(NamedTuple):
    """A network and what was published of it."""

    block: str
    network: str
    top1_percent: float
    params_millions: float
    gmacs: float
    resolution: int
    source: str


@cache
def published() -> tuple[Published, ...]:
    """All networks that are listed.

    Raises:
        DataError: the list is damaged.
    """
    return parsed(FACTS.read_text(encoding="utf-8"))


def parsed(text: str) -> tuple[Published, ...]:
    """The networks of a document of such facts.

    Raises:
        DataError: a fact that cannot be, with the network; a source that is not named; a network twice.
    """
    document = from_yaml(text, FACTS.name)
    if not isinstance(document, dict) or tuple(document.get("columns", ())) != Published._fields:
        raise DataError(f"{FACTS.name}: columns are {', '.join(Published._fields)}")
    rows = [Published(*row) for row in checked(list[tuple[str, str, float, float, float, int, str]],
                                               document["networks"], FACTS.name)]  # fmt: skip
    for row in rows:
        wrong = not 0 < row.top1_percent < 100 or min(row.params_millions, row.gmacs, row.resolution) <= 0
        if wrong or row.source not in document["sources"]:
            raise DataError(
                f"{FACTS.name}: {row.network}: an impossible value, or a source that is not named"
            )
    if len({row.network for row in rows}) < len(rows):
        raise DataError(f"{FACTS.name}: a network is listed twice")
    return tuple(rows)


def above_the_line(networks: tuple[Published, ...] | None = None) -> Order:
    """Blocks by how far their networks lie above the line of accuracy against the logarithm of multiply-adds, in points.

    The slope is the median of the slopes of all pairs, so that one odd network does not tilt the line. Of a block with several
    networks the mean counts.

    Source: Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968).
    """
    rows = networks or published()
    costs, accuracies = [math.log(row.gmacs) for row in rows], [row.top1_percent for row in rows]
    slopes = [
        (accuracies[i] - accuracies[j]) / (costs[i] - costs[j])
        for i in range(len(rows))
        for j in range(i)
        if costs[i] != costs[j]
    ]
    slope = statistics.median(slopes) if slopes else 0.0
    apart = [a - slope * c for a, c in zip(accuracies, costs, strict=True)]
    middle = statistics.median(apart)
    of_block: dict[str, list[float]] = defaultdict(list)
    for row, value in zip(rows, apart, strict=True):
        of_block[row.block].append(value - middle)
    values = {block: statistics.fmean(of) for block, of in of_block.items()}
    return Order("ImageNet", values, dict.fromkeys(values, 0.0))


def cost_alike(block: str, other: str) -> bool:
    """Whether the two blocks have networks of comparable multiply-adds."""
    costs = [[row.gmacs for row in published() if row.block == name] for name in (block, other)]
    return any(max(a, b) <= FACTOR * min(a, b) for a in costs[0] for b in costs[1])
