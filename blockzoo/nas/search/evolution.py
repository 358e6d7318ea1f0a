"""Regularised evolution: the oldest dies, the best of a sample has a mutated child."""

from __future__ import annotations

from collections import deque

from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.search.moves import Moves
from blockzoo.nas.search.task import Query, Task


@SEARCHES.register("evolution")
class RegularisedEvolution:
    """Regularised (ageing) evolution.

    Source: Real et al., Regularized Evolution for Image Classifier Architecture Search, AAAI 2019, arXiv:1802.01548.

    Args:
        population: networks alive at a time.
        sample: of which the best of this many is the parent.
    """

    def __init__(self, task: Task, seed: int, population: int = 50, sample: int = 10) -> None:
        self._moves = Moves(task, seed)
        self._alive: deque[tuple[float, int]] = deque(maxlen=population)
        self._sample, self._full = sample, population

    def ask(self) -> Query:
        alive = self._alive
        if len(alive) < self._full:
            return Query(self._moves.draw())
        uniform, size = self._moves.rng.random, self._full
        parent = max(alive[int(uniform() * size)] for _ in range(self._sample))
        return Query(self._moves.mutated(parent[1]))

    def tell(self, query: Query, value: float) -> None:
        self._alive.append((value, query.index))
