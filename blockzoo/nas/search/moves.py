"""Steps from a network to another, as the algorithms that walk take them."""

from __future__ import annotations

import random

from blockzoo.nas.search.task import Task


class Moves:
    """Draws networks and neighbours among those that the task's dataset has.

    A neighbour differs in the cell of one stage, by one coordinate of some vector of it.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self.rng = random.Random(seed)
        self._known: list[int] = task.known.tolist()
        self._is_known = None if task.is_complete else set(self._known)
        self._cells = task.space.cells.neighbours
        self._count = len(task.space.cells)
        self._places = [self._count**stage for stage in range(task.space.stages)]

    def draw(self) -> int:
        """Any network."""
        return self._known[int(self.rng.random() * len(self._known))]

    def mutated(self, index: int) -> int:
        """A random neighbour; any network where none of 64 draws is in the dataset."""
        for _ in range(64):
            place = self._places[int(self.rng.random() * len(self._places))]
            cell = index // place % self._count
            others = self._cells[cell]
            neighbour: int = index + (others[int(self.rng.random() * len(others))] - cell) * place
            if self._is_known is None or neighbour in self._is_known:
                return neighbour
        return self.draw()

    def neighbours(self, index: int) -> list[int]:
        """All neighbours in the dataset, in random order."""
        neighbours = [
            index + (other - index // place % self._count) * place
            for place in self._places
            for other in self._cells[index // place % self._count]
        ]
        if self._is_known is not None:
            neighbours = [neighbour for neighbour in neighbours if neighbour in self._is_known]
        self.rng.shuffle(neighbours)
        return neighbours
