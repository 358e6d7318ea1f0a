"""A search algorithm of one's own: random networks, of which only those with a good start are trained to the end.

blockzoo nas search --plugin examples/nas/own_search.py --algorithm patient random --benchmark mini --seeds 4 --budget 20
"""

from __future__ import annotations

import numpy as np

from blockzoo.contracts import SEARCHES
from blockzoo.nas.search.task import Query, Task


@SEARCHES.register("patient")
class Patient:
    """Half of the epochs for each network; the rest for one that is then better than all before."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task, self.draw = task, np.random.default_rng(seed)
        self.best, self.promising = -np.inf, None

    def ask(self) -> Query:
        """The promising one to its end, else a new one to its half."""
        if self.promising is not None:
            return Query(self.promising)
        return Query(int(self.draw.choice(self.task.known)), max(1, self.task.epochs // 2))

    def tell(self, query: Query, value: float) -> None:
        """Was it better than all before at that age?"""
        started = query.epochs is not None
        self.promising = query.index if started and value > self.best else None
        self.best = max(self.best, value) if started else self.best
