"""What blocks are worth in company: an additive model of networks that have a block of their own in every stage.

accuracy = mean + block at early + block at mid + block at late + seed + what is left. What is left is noise of the training and
what blocks do together beyond the sum; networks that were trained again tell the two apart.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.contracts import POSITIONS, STAGES
from blockzoo.core.errors import UsageError
from blockzoo.core.subject import names_of_stages
from blockzoo.report.groups import Row, group_of
from blockzoo.report.statistics import usable

if TYPE_CHECKING:
    from jaxtyping import Float

LEVEL = 0.05
FOLLOW_UP = "follow-up"
"""Experiment name of trainings that test the predictions, and are no part of the model."""
Network = tuple[str, ...]
"""The blocks at early, mid and late."""


@dataclass(frozen=True)
class Training:
    """One training: its network, its seed and its accuracy."""

    network: Network
    seed: object
    accuracy: float


@dataclass(frozen=True)
class Worth:
    """How much more accurate networks are with this block at this position than with the average one.

    Args:
        block: which.
        position: where.
        value: a fraction.
        error: its standard error.
    """

    block: str
    position: str
    value: float
    error: float


@dataclass(frozen=True)
class Crossed:
    """The additive model of one comparable group.

    Args:
        group: what its rows have in common.
        column: the accuracy.
        trainings: that it is fitted to.
        tested: others, of its blocks, that it is not fitted to.
    """

    group: tuple[tuple[str, object], ...]
    column: str
    trainings: list[Training]
    tested: list[Training]

    @cached_property
    def blocks(self) -> list[list[str]]:
        """At each position, by name."""
        return [sorted({t.network[p] for t in self.trainings}) for p in range(len(POSITIONS))]

    @cached_property
    def seeds(self) -> list[object]:
        """Of the trainings."""
        return sorted({t.seed for t in self.trainings}, key=str)

    @cached_property
    def fit(self) -> Fit:
        """To all trainings."""
        return Fit.to(self.trainings, self.blocks, self.seeds)

    @cached_property
    def worths(self) -> dict[tuple[str, str], Worth]:
        """Of each block at each position."""
        made = {}
        for place, position in enumerate(POSITIONS):
            for block in self.blocks[place]:
                value, error = self.fit.of(_coded(block, self.blocks[place]), place)
                made[block, position] = Worth(block, position, value, error)
        return made

    @property
    def half_width(self) -> float:
        """A standard error's multiple that makes a 95 % interval."""
        from scipy.special import stdtrit

        return float(stdtrit(max(self.fit.degrees, 1), 1 - LEVEL / 2))

    @cached_property
    def noise(self) -> tuple[float, int] | None:
        """Standard deviation between trainings of one network, seeds accounted for, and its degrees of freedom."""
        counts: dict[Network, list[Training]] = defaultdict(list)
        for training in self.trainings:
            counts[training.network].append(training)
        again = [t for of in counts.values() if len(of) > 1 for t in of]
        if not again:
            return None
        networks, seeds = sorted({t.network for t in again}), sorted({t.seed for t in again}, key=str)
        design = np.zeros((len(again), len(networks) + len(seeds)))
        for row, t in enumerate(again):
            design[row, networks.index(t.network)] = design[row, len(networks) + seeds.index(t.seed)] = 1
        values = np.array([t.accuracy for t in again])
        solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
        degrees = len(again) - int(rank)
        if degrees < 1:
            return None
        return float(math.sqrt(((values - design @ solution) ** 2).sum() / degrees)), degrees

    @cached_property
    def interaction(self) -> tuple[float, float] | None:
        """Standard deviation of what blocks do together beyond the sum, and the probability of so much without any.

        Lack of fit: the squares that are left, less those between trainings of one network, against these.
        """
        if self.noise is None:
            return None
        from scipy.special import fdtrc

        noise, degrees = self.noise
        more = self.fit.degrees - degrees
        if more < 1 or noise == 0:
            return None
        lack = (self.fit.deviation**2 * self.fit.degrees - noise**2 * degrees) / more
        return math.sqrt(max(0.0, lack - noise**2)), float(fdtrc(more, degrees, max(lack, 0.0) / noise**2))

    @cached_property
    def held_out(self) -> list[tuple[float, float]] | None:
        """(predicted, seen) of each network, by a model of the other seeds alone; accuracies less the mean of their seed."""
        pairs = []
        for seed in self.seeds:
            others = [t for t in self.trainings if t.seed != seed]
            own = [t for t in self.trainings if t.seed == seed]
            fresh = {t.network for t in own} - {t.network for t in others}
            blocks = [{t.network[p] for t in others} for p in range(len(POSITIONS))]
            own = [
                t
                for t in own
                if t.network in fresh and all(b in at for b, at in zip(t.network, blocks, strict=True))
            ]
            if len(own) < 2 or len(others) <= sum(map(len, self.blocks)):
                continue
            fit = Fit.to(others, [sorted(at) for at in blocks], sorted({t.seed for t in others}, key=str))
            mean = float(np.mean([t.accuracy for t in own]))
            predicted = [fit.predicted(t.network) for t in own]
            centre = float(np.mean(predicted))
            pairs += [(p - centre, t.accuracy - mean) for p, t in zip(predicted, own, strict=True)]
        return pairs or None

    def predicted(self, network: Sequence[str]) -> float:
        """Of a network of these blocks, the mean over seeds."""
        return self.fit.predicted(tuple(network))

    def best(self, count: int) -> list[tuple[float, Network]]:
        """The networks that the model predicts to be best, of all that these blocks make, with their predictions."""
        parts = [
            np.array([self.worths[block, position].value for block in at])
            for position, at in zip(POSITIONS, self.blocks, strict=True)
        ]
        sums = (parts[0][:, None, None] + parts[1][None, :, None] + parts[2][None, None, :]).ravel()
        count = min(count, len(sums))
        chosen = np.argsort(-sums, kind="stable")[:count]
        shape = tuple(map(len, self.blocks))
        places = zip(*np.unravel_index(chosen, shape), strict=True)
        return [
            (self.fit.mean + float(sums[at]), tuple(self.blocks[p][int(i)] for p, i in enumerate(place)))
            for at, place in zip(chosen, places, strict=True)
        ]


@dataclass(frozen=True)
class Fit:
    """Least squares, effects of each position and of the seeds adding up to 0.

    Args:
        blocks: at each position.
        solution: mean, effects of all blocks but the last of each position, of all seeds but the last.
        inverse: of the design's product with itself.
        deviation: standard deviation of what is left.
        degrees: its degrees of freedom.
        explained: share of the variance that the effects explain, and the same adjusted for their number.
    """

    blocks: list[list[str]]
    solution: Float[np.ndarray, " effects"]
    inverse: Float[np.ndarray, "effects effects"]
    deviation: float
    degrees: int
    explained: tuple[float, float]

    @classmethod
    def to(cls, trainings: list[Training], blocks: list[list[str]], seeds: list[object]) -> Fit:
        """Fit it."""
        design = np.array(
            [
                [1.0]
                + [v for p, at in enumerate(blocks) for v in _coded(t.network[p], at)]
                + _coded(t.seed, seeds)
                for t in trainings
            ]
        )
        values = np.array([t.accuracy for t in trainings])
        solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
        left, degrees = values - design @ solution, len(values) - int(rank)
        total = float(((values - values.mean()) ** 2).sum())
        share = 1 - float(left @ left) / total if total else 1.0
        adjusted = 1 - (1 - share) * (len(values) - 1) / degrees if degrees > 0 else math.nan
        deviation = math.sqrt(float(left @ left) / degrees) if degrees > 0 else math.nan
        inverse = np.linalg.pinv(design.T @ design)
        return cls(blocks, solution, inverse, deviation, degrees, (share, adjusted))

    @property
    def mean(self) -> float:
        """Of all networks and seeds."""
        return float(self.solution[0])

    def of(self, code: list[float], place: int) -> tuple[float, float]:
        """The effect of a block at a position, and its standard error."""
        start = 1 + sum(len(at) - 1 for at in self.blocks[:place])
        pick = np.zeros(len(self.solution))
        pick[start : start + len(code)] = code
        return float(pick @ self.solution), self.deviation * math.sqrt(float(pick @ self.inverse @ pick))

    def predicted(self, network: Network) -> float:
        """Of a network, the mean over seeds."""
        return self.mean + sum(
            self.of(_coded(block, at), p)[0]
            for p, (block, at) in enumerate(zip(network, self.blocks, strict=True))
        )


def _coded(value: object, values: Sequence[object]) -> list[float]:
    """One of several whose effects add up to 0: the last is less than all others together."""
    if value == values[-1]:
        return [-1.0] * (len(values) - 1)
    return [float(value == other) for other in values[:-1]]


def crossed_models(rows: Iterable[Row], column: str = "test_acc") -> list[Crossed]:
    """One for each comparable group of networks with a block in every stage.

    Args:
        rows: of a table of results; others in it are left aside.
        column: the accuracy.

    Raises:
        UsageError: there are none, or too few of them to tell effects from noise.
    """
    groups: dict[
        tuple[tuple[str, object], ...], tuple[dict[tuple[Network, object], Training], list[Training]]
    ]
    groups = defaultdict(lambda: ({}, []))
    for row in usable(rows):
        name, value = str(row["block"]), row.get(column)
        if name.startswith(f"{STAGES}:") and isinstance(value, int | float) and math.isfinite(value):
            training = Training(tuple(names_of_stages(name.partition(":")[2])), row.get("seed"), float(value))
            fitted, tested = groups[group_of(row)]
            if str(row.get("experiment_name") or "").endswith(FOLLOW_UP):  # behind a name of the user's
                tested.append(training)
            else:
                fitted[training.network, training.seed] = training
    models = [
        Crossed(group, column, list(fitted.values()), tested)
        for group, (fitted, tested) in groups.items()
        if fitted
    ]
    if not models:
        raise UsageError(
            "no networks with a block in every stage here: `blockzoo sweep run --design crossed` trains them"
        )
    for model in models:
        effects = 1 + sum(len(at) - 1 for at in model.blocks) + len(model.seeds) - 1
        if model.fit.degrees < 1 or not np.isfinite(model.fit.deviation):
            raise UsageError(
                f"{len(model.trainings)} trainings say nothing of {effects} effects: ask for --replicates 3 or more"
            )
    return models
