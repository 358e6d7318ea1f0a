"""What is searched: a space, what is maximised, and one ledger of what it costs.

Simulated: a network's accuracy and training time are looked up, and the ledger adds up what training would have taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from blockzoo.core.arguments import is_number
from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.curves import MEAN
from blockzoo.nas.benchmark.dataset import Dataset
from blockzoo.nas.options import Contest, Duplicates, Unit
from blockzoo.nas.space.macro import Indices, MacroSpace

UNITS, DUPLICATES = get_args(Unit), get_args(Duplicates)


class Query(NamedTuple):
    """Train network `index` for `epochs` epochs (None: all)."""

    index: int  # type: ignore[assignment]  # hides the method `index` that a tuple has
    epochs: int | None = None


class BudgetSpent(Exception):
    """The ledger has nothing left: the search is over."""


@dataclass(frozen=True)
class Task:
    """What an algorithm may know, and the numbers it is told.

    Args:
        dataset: where accuracies and times come from.
        seed: of the trainings; None for the first loaded, "mean" for the mean over seeds.
        unit: what the budget counts: full `trainings` (an epoch counts its share), or simulated `seconds` of training.
        budget: how much of it.
        duplicates: whether training the same network (an isomorphic vector is the same) again is `free` or `charged`.
    """

    dataset: Dataset
    budget: float
    unit: str = Contest.unit
    duplicates: str = Contest.duplicates
    seed: int | str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, Dataset):
            raise UsageError(
                f"dataset {self.dataset!r}: give a benchmark, as nas.load('mini') or nas.from_folder(...)"
            )
        faults = []
        if self.unit not in UNITS:
            faults.append(f"unit {self.unit!r}: choose {' or '.join(UNITS)}")
        if self.duplicates not in DUPLICATES:
            faults.append(f"duplicates {self.duplicates!r}: choose {' or '.join(DUPLICATES)}")
        if not (is_number(self.budget) and self.budget > 0 and math.isfinite(self.budget)):
            faults.append(f"budget {self.budget!r}: give a positive number")
        if not (isinstance(self.seed, str) and self.seed == MEAN):
            try:
                self.dataset.indices_of(self.seed)
            except UsageError as error:
                faults.append(str(error))
        if faults:
            raise UsageError("; ".join(faults))

    @property
    def space(self) -> MacroSpace:
        """The space that is searched."""
        return self.dataset.space

    @property
    def epochs(self) -> int:
        """Epochs of a full training."""
        return self.dataset.epochs or 1

    @cached_property
    def known(self) -> Indices:
        """The networks whose accuracies and price the dataset has for this seed; algorithms draw from these."""
        have = self.dataset.indices_of(self.seed)
        values = [self.accuracies(), self.test.tolist(), self.prices]
        return have[np.all([np.isfinite(np.asarray(column)[have]) for column in values], axis=0)]

    @cached_property
    def is_complete(self) -> bool:
        """Has the dataset every network of the space?"""
        return len(self.known) == len(self.space)

    @cached_property
    def _accuracy_at(self) -> dict[int | None, list[float]]:
        return {}

    def accuracies(self, epochs: int | None = None) -> list[float]:
        """By index: validation accuracy after so many epochs, NaN where unknown."""
        if epochs not in self._accuracy_at:
            everything = np.arange(len(self.space))
            values = self.dataset.val_acc(everything, epochs, best=epochs is None, seed=self.seed)
            self._accuracy_at[epochs] = values.tolist()
        return self._accuracy_at[epochs]

    @cached_property
    def prices(self) -> list[float]:
        """By index: what a full training takes from the budget."""
        if self.unit == "trainings":
            return [1.0] * len(self.space)
        times: list[float] = self.dataset.train_time(np.arange(len(self.space)), seed=self.seed).tolist()
        return times

    @cached_property
    def test(self) -> npt.NDArray[np.float64]:
        """(networks,): test accuracy, for the judge alone."""
        return np.asarray(self.dataset.test_acc(np.arange(len(self.space)), seed=self.seed))

    @cached_property
    def best_test(self) -> float:
        """The best test accuracy of any network that can be drawn."""
        return float(self.test[self.known].max())


@dataclass
class Ledger:
    """What one search has asked for and what it has cost. `query` answers until the budget is spent.

    Training a network on to more epochs costs the difference.
    """

    task: Task
    spent: float = 0.0
    trained: dict[int, int] = field(default_factory=dict)
    history: list[tuple[float, int, float, bool]] = field(default_factory=list)
    """(spent so far, index, accuracy, trained for all epochs) of every answer."""
    epochs: list[int] = field(default_factory=list)
    """How many epochs each answer was asked for."""
    ran_out: bool = False
    """The algorithm had nothing left to ask before the budget was spent."""

    def query(self, query: Query) -> float:
        """The accuracy of a query.

        Raises:
            BudgetSpent: it would cost more than is left.
            UsageError: no query, or one of a network or an epoch that the benchmark does not have; nothing is charged.
        """
        task = self.task
        index, epochs, value = self._looked_up(query)
        last_epoch = task.epochs if epochs is None else epochs
        before = 0 if task.duplicates == "charged" else self.trained.get(index, 0)
        if last_epoch > before:
            spent = self.spent + task.prices[index] * (last_epoch - before) / task.epochs
            if spent > task.budget * (1 + 1e-12):
                raise BudgetSpent
            self.spent = spent
            self.trained[index] = last_epoch
        self.history.append((self.spent, index, value, last_epoch == task.epochs))
        self.epochs.append(last_epoch)
        return value

    def _looked_up(self, query: Query) -> tuple[int, int | None, float]:
        """Index, epochs and accuracy of a query, all of them known numbers."""
        task = self.task
        try:
            index, epochs = query
            value, price = task.accuracies(epochs)[index], task.prices[index]
        except UsageError:
            raise
        except (TypeError, ValueError, IndexError):
            raise UsageError(
                f"the algorithm asked {query!r}: ask() returns Query(index, epochs), an index below {len(task.space):,}"
            ) from None
        if not (math.isfinite(value) and price >= 0 and index >= 0):
            raise UsageError(
                f"the algorithm asked for network {index}, which {task.dataset.title or 'the benchmark'} does not have "
                f"(seed {task.seed if task.seed is not None else task.dataset.seeds[0]}): draw from task.known, "
                f"{len(task.known):,} networks"
            )
        return index, epochs, value
