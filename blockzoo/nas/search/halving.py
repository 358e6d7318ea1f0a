"""Successive halving and Hyperband: many networks for few epochs, the best of them for more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.search.task import Query, Task


class _Brackets:
    """Runs brackets one after the other, for ever; each draws networks of its own.

    Args:
        starts: how many networks each bracket begins with, and for how many epochs.
        eta: of this many networks one goes on, for this many times the epochs.
    """

    def __init__(self, task: Task, seed: int, starts: Sequence[tuple[int, int]], eta: int) -> None:
        self._rng, self._known = np.random.default_rng(seed), task.known
        self._epochs, self._eta = task.epochs, eta
        self._answers: list[tuple[float, int]] = []
        self._queries = self._run(starts)

    def _run(self, starts: Sequence[tuple[int, int]]) -> Iterator[Query]:
        while True:
            for networks, epochs in starts:
                alive = self._rng.choice(self._known, min(networks, len(self._known)), replace=False).tolist()
                yield from self._bracket(alive, epochs)

    def _bracket(self, alive: list[int], epochs: int) -> Iterator[Query]:
        while True:
            self._answers = []
            for index in alive:
                yield Query(index, None if epochs >= self._epochs else epochs)
            if epochs >= self._epochs:
                return
            ranked = sorted(self._answers, reverse=True)
            alive = [index for _, index in ranked[: max(1, len(ranked) // self._eta)]]
            epochs = min(self._epochs, epochs * self._eta)

    def ask(self) -> Query:
        return next(self._queries)

    def tell(self, query: Query, value: float) -> None:
        self._answers.append((value, query.index))


def _rungs(epochs: int, eta: int) -> int:
    """How often epochs can be multiplied by eta, from one on."""
    return math.floor(math.log(epochs, eta) + 1e-9)


@SEARCHES.register("successive-halving")
class SuccessiveHalving(_Brackets):
    """Brackets that all start at one epoch.

    Source: Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, AISTATS 2016,
    arXiv:1502.07943.

    Args:
        eta: of this many networks one goes on, for this many times the epochs.
    """

    def __init__(self, task: Task, seed: int, eta: int = 3) -> None:
        networks = eta ** _rungs(task.epochs, eta)
        super().__init__(task, seed, [(networks, math.ceil(task.epochs / networks))], eta)


@SEARCHES.register("hyperband")
class Hyperband(_Brackets):
    """Brackets that start at one epoch, at `eta` epochs, and so on up to all of them.

    Source: Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, JMLR 2018, arXiv:1603.06560.

    Args:
        eta: of this many networks one goes on, for this many times the epochs.
    """

    def __init__(self, task: Task, seed: int, eta: int = 3) -> None:
        most = _rungs(task.epochs, eta)
        starts = [
            (math.ceil((most + 1) / (rungs + 1) * eta**rungs), math.ceil(task.epochs / eta**rungs))
            for rungs in range(most, -1, -1)
        ]
        super().__init__(task, seed, starts, eta)
