"""Multi-objective evolution: children of networks that are Pareto-optimal in accuracy and cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.search.moves import Moves
from blockzoo.nas.search.task import Ledger, Query, Task
from blockzoo.report.pareto import hypervolume, pareto_front

Points = npt.NDArray[np.float64]


@SEARCHES.register("pareto-evolution")
class ParetoEvolution:
    """Mutates a random member of the present Pareto front of (accuracy, costs); costs are known without training.

    Args:
        costs: "macs", "params", or names of devices of the dataset.
        first: networks drawn at random to begin with.
    """

    def __init__(self, task: Task, seed: int, costs: Sequence[str] = ("macs",), first: int = 20) -> None:
        self._moves, self._first = Moves(task, seed), first
        self._costs = cost_columns(task, costs)
        self._told = 0
        self._front: list[tuple[float, ...]] = []
        self._members: list[int] = []

    def ask(self) -> Query:
        if self._told < self._first:
            return Query(self._moves.draw())
        return Query(self._moves.mutated(self._members[int(self._moves.rng.random() * len(self._members))]))

    def tell(self, query: Query, value: float) -> None:
        self._told += 1
        point = (-value, *(column[query.index] for column in self._costs))
        if query.index in self._members or any(_beats(other, point) for other in self._front):
            return
        survivors = [i for i, other in enumerate(self._front) if not _beats(point, other)]
        self._front = [*(self._front[i] for i in survivors), point]
        self._members = [*(self._members[i] for i in survivors), query.index]


def _beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def cost_columns(task: Task, costs: Sequence[str]) -> list[list[float]]:
    """Each cost by index of the space."""
    everything = np.arange(len(task.space))
    dataset = task.dataset
    return [np.asarray(dataset.quantity(name, everything), float).tolist() for name in costs]


def front_quality(ledger: Ledger, costs: Sequence[str] = ("macs",)) -> tuple[float, float]:
    """Hypervolume of what a search trained, and the share that it is of the benchmark's exact front.

    Objectives are test error in percent and the costs divided by their largest; the reference is the worst of each.
    """
    task = ledger.task
    columns = np.stack([100 - task.test, *map(np.array, cost_columns(task, costs))], axis=1)[task.known]
    worst = columns.max(0)
    scaled = columns / worst
    trained = np.isin(task.known, list(ledger.trained))
    exact = hypervolume(scaled[pareto_front(scaled)], np.ones(scaled.shape[1]))
    volume = hypervolume(scaled[trained], np.ones(scaled.shape[1]))
    return volume, volume / exact if exact else 1.0
