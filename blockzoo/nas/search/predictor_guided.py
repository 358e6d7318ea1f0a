"""Predictor-guided search: fit a ridge on pairs of features to what is trained, train what it ranks first."""

from __future__ import annotations

from typing import Any

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.ranking.predictors.ridge import PairwiseRidge
from blockzoo.nas.search.task import Query, Task


@SEARCHES.register("predictor")
class PredictorGuided:
    """Rounds of: fit, then train the best predicted networks that are not trained yet, and a few at random.

    Args:
        first: networks drawn at random to begin with.
        batch: networks between fits.
        explore: share of them drawn at random.
        predictor: "ridge", or "gcn" (a graph network, which needs torch).
    """

    def __init__(
        self,
        task: Task,
        seed: int,
        first: int = 20,
        batch: int = 10,
        explore: float = 0.2,
        predictor: str = "ridge",
    ) -> None:
        self._predictor = predictor_class(predictor)
        self._task, self._rng = task, np.random.default_rng(seed)
        self._batch, self._explore = batch, explore
        self._told: dict[int, float] = {}
        self._waiting = self._rng.choice(task.known, min(first, len(task.known)), replace=False).tolist()

    def ask(self) -> Query:
        if not self._waiting:
            self._waiting = self._ranked()
        return Query(self._waiting[-1])

    def tell(self, query: Query, value: float) -> None:
        self._told[query.index] = value
        if self._waiting and self._waiting[-1] == query.index:
            self._waiting.pop()

    def _ranked(self) -> list[int]:
        fresh = self._task.known[~np.isin(self._task.known, list(self._told))]
        if not len(fresh):
            return [next(iter(self._told))]
        queried = np.array(list(self._told))
        predicted = (
            self._predictor(self._task.space).fit(queried, np.array(list(self._told.values()))).predict(fresh)
        )
        chance = self._rng.random(self._batch) < self._explore
        best = fresh[np.argpartition(-predicted, min(self._batch, len(fresh) - 1))[: self._batch]]
        drawn = self._rng.choice(fresh, len(best), replace=False)
        return list(dict.fromkeys(np.where(chance[: len(best)], drawn, best).tolist()))[::-1]


def predictor_class(name: str) -> Any:
    """What is fitted, by name.

    Raises:
        UsageError: another name.
    """
    if name == "ridge":
        return PairwiseRidge
    if name == "gcn":
        from blockzoo.nas.ranking.predictors.gcn import GraphPredictor

        return GraphPredictor
    raise UsageError(f"predictor {name!r}: choose ridge or gcn")
