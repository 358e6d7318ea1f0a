"""Local search: step to the first better neighbour; where there is none, start anew."""

from __future__ import annotations

from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.search.moves import Moves
from blockzoo.nas.search.task import Query, Task


@SEARCHES.register("local")
class LocalSearch:
    """First-improvement hill climbing with restarts.

    Source: White et al., Exploring the Loss Landscape in Neural Architecture Search, UAI 2021, arXiv:2005.02960.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self._moves = Moves(task, seed)
        self._here: tuple[float, int] | None = None
        self._waiting: list[int] = []

    def ask(self) -> Query:
        if not self._waiting:
            self._here = None
            return Query(self._moves.draw())
        return Query(self._waiting[-1])

    def tell(self, query: Query, value: float) -> None:
        if self._waiting:
            self._waiting.pop()
        if self._here is None or value > self._here[0]:
            self._here = (value, query.index)
            self._waiting = self._moves.neighbours(query.index)
