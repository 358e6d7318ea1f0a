"""How sure a front of accuracy against cost is: each point's probability of being on it, and a band that holds it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.report.additive import Fitted, Table
from blockzoo.report.estimates import LEVEL
from blockzoo.report.ranks import drawn_means, mean_of, on_front
from blockzoo.report.trainings import Cell

if TYPE_CHECKING:
    from jaxtyping import Float

    Band = Float[np.ndarray, "2 points"]


@dataclass(frozen=True)
class Spread:
    """Of points that are means of cells of one table, as other trainings with the same seeds could have made them.

    Args:
        means: of the points, fractions.
        drawn: of each draw.
        half_widths: intervals of these half widths hold all points together in 95 % of tables.
    """

    means: Float[np.ndarray, " points"]
    drawn: Float[np.ndarray, "draws points"]
    half_widths: Float[np.ndarray, " points"]

    def probabilities(self, costs: Sequence[float]) -> Float[np.ndarray, " points"]:
        """Of each point, that none which costs no more is more accurate."""
        return np.asarray(on_front(self.drawn, np.array(costs, float)).mean(0))

    def band(self, costs: Sequence[float]) -> Band:
        """Below and above the front at the cost of each point, for all costs at once in 95 % of tables; fractions.

        The front at a cost is the best true accuracy of what costs no more. It is no less than the largest lower end of their
        intervals and no more than the largest upper one. (Quantiles of the front of each draw are not that: the largest of noisy
        means is too large already, and of equal blocks such a band lies above the front in most tables.)
        """
        within = np.array(costs, float)
        reach = within[None, :] <= within[:, None]  # the columns that the row's cost can pay
        return np.array(
            [
                np.where(reach, self.means + sign * self.half_widths, -math.inf).max(1).clip(0.0, 1.0)
                for sign in (-1, 1)
            ]
        )


def spread_of(table: Table, fitted: Fitted, points: Sequence[Sequence[Cell]]) -> Spread | None:
    """Of points, each the mean over its cells; None where no variance holds for all cells.

    Args:
        table: of accuracies, fractions.
        fitted: to it.
        points: cells of the table that each is the mean of.
    """
    if not points or not fitted.shared or not fitted.deviation:
        return None
    table = fitted.leveled(table)
    networks = {fitted.networks[cell] for cells in points for cell in cells}
    ordered = sorted(networks, key=lambda cell: -mean_of(table, cell))
    drawn = drawn_means(table, fitted, ordered)
    if drawn is None:
        return None
    shares = np.zeros((len(points), len(ordered)))
    for row, cells in enumerate(points):
        for cell, count in Counter(fitted.networks[cell] for cell in cells).items():
            shares[row, ordered.index(cell)] = count / len(cells)
    centre = np.array([mean_of(table, cell) for cell in ordered])
    counts = np.array([len(table[cell]) for cell in ordered])
    errors = fitted.deviation * np.sqrt((shares**2 / counts).sum(1))
    away = np.abs((drawn - centre) @ shares.T / errors).max(1)
    return Spread(shares @ centre, drawn @ shares.T, float(np.quantile(away, 1 - LEVEL)) * errors)
