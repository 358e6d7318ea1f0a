"""Accuracies of networks as sums of effects of blocks and seeds, by least squares; what trainings do not tell has no number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.contracts import POSITIONS

if TYPE_CHECKING:
    from jaxtyping import Float

Network = tuple[str, ...]
"""The blocks at early, mid and late."""
NOTHING = 1e-9
"""Of a direction of length 1, and of the largest eigenvalue: shares up to here are those of rounding."""


@dataclass(frozen=True)
class Training:
    """One training: its network, its seed and its accuracy."""

    network: Network
    seed: object
    accuracy: float


@dataclass(frozen=True)
class Design:
    """Which effects the accuracies are sums of: the mean, blocks at each position, seeds; those of a position add up to 0.

    Args:
        blocks: at each position.
        matrix: a row for each training: the mean, all blocks but the last of each position, all seeds but the last.
    """

    blocks: list[list[str]]
    matrix: Float[np.ndarray, "trainings effects"]

    @classmethod
    def of(cls, trainings: Sequence[tuple[Network, object]]) -> Design:
        """The one of these networks, each with its seed."""
        blocks = [sorted({network[p] for network, _ in trainings}) for p in range(len(POSITIONS))]
        seeds = sorted({seed for _, seed in trainings}, key=str)
        rows = [
            [1.0]
            + [v for block, at in zip(network, blocks, strict=True) for v in _coded(block, at)]
            + _coded(seed, seeds)
            for network, seed in trainings
        ]
        return cls(blocks, np.array(rows))

    @cached_property
    def untold(self) -> Float[np.ndarray, "directions effects"]:
        """Directions, at right angles and of length 1, in which effects can change without any accuracy changing."""
        sizes, directions = np.linalg.eigh(self.matrix.T @ self.matrix)
        return directions[:, sizes <= NOTHING * sizes[-1]].T

    @property
    def degrees(self) -> int:
        """Of freedom, of what is left."""
        trainings, effects = self.matrix.shape
        return int(trainings - effects + len(self.untold))

    def tells(self, pick: Float[np.ndarray, " effects"]) -> bool:
        """Whether this sum of effects is the same in all solutions."""
        return bool((np.abs(self.untold @ pick) <= NOTHING).all())

    def of_block(self, block: str, place: int) -> Float[np.ndarray, " effects"]:
        """Picks the effect of a block at a position."""
        start = 1 + sum(len(at) - 1 for at in self.blocks[:place])
        pick = np.zeros(self.matrix.shape[1])
        code = _coded(block, self.blocks[place])
        pick[start : start + len(code)] = code
        return pick

    def of_network(self, network: Network) -> Float[np.ndarray, " effects"]:
        """Picks the mean of a network over the seeds."""
        pick = np.zeros(self.matrix.shape[1])
        pick[0] = 1
        for place, block in enumerate(network):
            pick += self.of_block(block, place)
        return pick

    def sums(self, effects: Float[np.ndarray, " effects"]) -> Float[np.ndarray, "early mid late"]:
        """Of all networks of these blocks, the mean over seeds."""
        total = np.asarray(effects[0])
        for place, at in enumerate(self.blocks):
            own = np.array([self.of_block(block, place) @ effects for block in at])
            total = total[..., None] + own
        return total


@dataclass(frozen=True)
class Fit:
    """Effects by least squares.

    Args:
        design: that they are of.
        solution: one of those that fit best, the shortest.
        inverse: of the design's product with itself, where it has one.
        deviation: standard deviation of what is left.
        explained: share of the variance that the effects explain, and the same adjusted for their number.
    """

    design: Design
    solution: Float[np.ndarray, " effects"]
    inverse: Float[np.ndarray, "effects effects"]
    deviation: float
    explained: tuple[float, float]

    @classmethod
    def to(cls, trainings: Sequence[Training]) -> Fit:
        """Fit them."""
        design = Design.of([(t.network, t.seed) for t in trainings])
        values, degrees = np.array([t.accuracy for t in trainings]), design.degrees
        solution = np.linalg.lstsq(design.matrix, values, rcond=None)[0]
        left = values - design.matrix @ solution
        total = float(((values - values.mean()) ** 2).sum())
        share = 1 - float(left @ left) / total if total else 1.0
        adjusted = 1 - (1 - share) * (len(values) - 1) / degrees if degrees > 0 else math.nan
        deviation = math.sqrt(float(left @ left) / degrees) if degrees > 0 else math.nan
        inverse = np.linalg.pinv(design.matrix.T @ design.matrix, rcond=NOTHING, hermitian=True)
        return cls(design, solution, inverse, deviation, (share, adjusted))

    @property
    def degrees(self) -> int:
        """Of freedom, of the deviation."""
        return self.design.degrees

    def of(self, block: str, place: int) -> tuple[float, float] | None:
        """The effect of a block at a position, and its standard error; None where the trainings do not tell it."""
        pick = self.design.of_block(block, place)
        if not self.design.tells(pick):
            return None
        return float(pick @ self.solution), self.deviation * math.sqrt(float(pick @ self.inverse @ pick))

    def predicted(self, network: Network) -> float | None:
        """Of a network, the mean over seeds; None where the trainings do not tell it, as of a block that is in none of them."""
        if not all(block in at for block, at in zip(network, self.design.blocks, strict=True)):
            return None
        pick = self.design.of_network(network)
        return float(pick @ self.solution) if self.design.tells(pick) else None

    @property
    def all_predicted(self) -> Float[np.ndarray, "early mid late"]:
        """Of all networks of these blocks; NaN where the trainings do not tell it."""
        values = self.design.sums(self.solution)
        for direction in self.design.untold:
            values[np.abs(self.design.sums(direction)) > NOTHING] = np.nan
        return values


def _coded(value: object, values: Sequence[object]) -> list[float]:
    """One of several whose effects add up to 0: the last is less than all others together."""
    if value == values[-1]:
        return [-1.0] * (len(values) - 1)
    return [float(value == other) for other in values[:-1]]
