"""Random search: every network as likely as any other, none twice."""

from __future__ import annotations

import numpy as np

from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.search.task import Query, Task


@SEARCHES.register("random")
class RandomSearch:
    """Uniformly drawn networks."""

    def __init__(self, task: Task, seed: int) -> None:
        self._order = iter(np.random.default_rng(seed).permutation(task.known).tolist())
        self._again = task.known.tolist()

    def ask(self) -> Query:
        index = next(self._order, None)
        return Query(self._again[0] if index is None else index)

    def tell(self, query: Query, value: float) -> None:
        pass
