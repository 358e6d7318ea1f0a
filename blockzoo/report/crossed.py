"""What blocks are worth in company: an additive model of networks that have a block of their own in every stage.

accuracy = mean + block at early + block at mid + block at late + seed + what is left. What is left is noise of the training and
what blocks do together beyond the sum; networks that were trained again tell the two apart.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from blockzoo.core.contracts import POSITIONS, STAGES
from blockzoo.core.errors import UsageError
from blockzoo.core.subject import names_of_stages
from blockzoo.report.effects_fit import Fit, Network, Training
from blockzoo.report.groups import FOLLOW_UP, Row, is_number
from blockzoo.report.trainings import DIVERGED, Cell, Group, Trainings, trainings_of

LEVEL = 0.05
ENOUGH = "--replicates 3 --repeats 1"
"""Of a crossed design, to tell all effects apart and from noise, whatever the number of blocks."""


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
        lost: trainings that count in neither, by what became of them.
    """

    group: tuple[tuple[str, object], ...]
    column: str
    trainings: list[Training]
    tested: list[Training]
    lost: Mapping[str, int] = field(default_factory=dict)

    @property
    def left_out(self) -> str:
        """What does not count, as a sentence; empty for nothing."""
        if not self.lost:
            return ""
        trained = len(self.trainings) + len(self.tested) + sum(self.lost.values())
        text = f"left out of {trained} trainings: {', '.join(f'{n} {status}' for status, n in self.lost.items())}"
        return text + "; blocks that made them diverge seem better than they are" * (DIVERGED in self.lost)

    @property
    def blocks(self) -> list[list[str]]:
        """At each position, by name."""
        return self.fit.design.blocks

    @cached_property
    def seeds(self) -> list[object]:
        """Of the trainings."""
        return sorted({t.seed for t in self.trainings}, key=str)

    @cached_property
    def fit(self) -> Fit:
        """To all trainings."""
        return Fit.to(self.trainings)

    @cached_property
    def worths(self) -> dict[tuple[str, str], Worth]:
        """Of each block at each position of which the trainings tell it."""
        return {
            (block, position): Worth(block, position, *estimate)
            for place, position in enumerate(POSITIONS)
            for block in self.blocks[place]
            if (estimate := self.fit.of(block, place)) is not None
        }

    @property
    def untold(self) -> str:
        """Which worths have no number, as a sentence; "" where all have one."""
        missing = {
            position: [block for block in at if (block, position) not in self.worths]
            for position, at in zip(POSITIONS, self.blocks, strict=True)
        }
        where = [
            f"{position} ({'all' if len(blocks) == len(at) else ', '.join(blocks)})"
            for (position, blocks), at in zip(missing.items(), self.blocks, strict=True)
            if blocks
        ]
        if not where:
            return ""
        return (
            "these trainings fit as well with other worths, which therefore have no number, as have networks and means of them: "
            + ", ".join(where)
        )

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
            if not others or len(fresh) < 2:
                continue
            fit = Fit.to(others)
            seed_pairs = [
                (value, t.accuracy)
                for t in own
                if t.network in fresh and (value := fit.predicted(t.network)) is not None
            ]
            if len(seed_pairs) > 1:
                centre = np.mean(seed_pairs, 0)
                pairs += [(float(p), float(s)) for p, s in seed_pairs - centre]
        return pairs or None

    def predicted(self, network: Sequence[str]) -> float | None:
        """Of a network, the mean over seeds; None where the trainings do not tell it."""
        return self.fit.predicted(tuple(network))

    def best(self, count: int) -> list[tuple[float, Network]]:
        """The networks that the model predicts to be best, of all of these blocks that it predicts, with their predictions."""
        values = self.fit.all_predicted
        chosen = np.argsort(-values, axis=None, kind="stable")[: min(count, np.isfinite(values).sum())]
        places = zip(*np.unravel_index(chosen, values.shape), strict=True)
        return [
            (float(values[place]), tuple(at[int(i)] for at, i in zip(self.blocks, place, strict=True)))
            for place in places
        ]


def crossed_models(rows: Iterable[Row], column: str = "test_acc") -> list[Crossed]:
    """One for each comparable group of networks with a block in every stage.

    Args:
        rows: of a table of results; others in it are left aside.
        column: the accuracy.

    Raises:
        UsageError: there are none, or too few of them to tell effects from noise.
    """
    stages = [row for row in rows if str(row["block"]).startswith(f"{STAGES}:")]
    of_groups = trainings_of(stages, lambda row: is_number(row.get(column)))
    models = [one for group, cells in of_groups.items() if (one := _model(group, column, cells)).trainings]
    if not models:
        raise UsageError(
            "no networks with a block in every stage here: `blockzoo sweep run --design crossed` trains them"
        )
    for model in models:
        trainings, effects = model.fit.design.matrix.shape
        if model.fit.degrees < 1 or not model.worths:
            raise UsageError(
                f"{trainings} trainings say nothing of {effects} effects: `blockzoo sweep retry` tries again what failed; a "
                f"design with {ENOUGH}, or more of both, tells them"
            )
    return models


def _model(group: Group, column: str, cells: Mapping[Cell, Trainings]) -> Crossed:
    fitted: list[Training] = []
    tested: list[Training] = []
    lost = Counter[str]()
    for of in cells.values():
        lost.update({**of.lost, **{f"older, with {apart}": count for apart, count in of.older.items()}})
        for seed, row in of.rows.items():
            network = tuple(names_of_stages(str(row["block"]).partition(":")[2]))
            is_test = str(row.get("experiment_name") or "").endswith(FOLLOW_UP)  # behind a name of the user's
            (tested if is_test else fitted).append(Training(network, seed, float(row[column])))
    return Crossed(group, column, fitted, tested, lost)
