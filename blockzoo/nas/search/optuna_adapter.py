"""Any sampler of Optuna, told through the same ledger. Not part of "all": it takes milliseconds a proposal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from blockzoo.core.errors import UsageError
from blockzoo.core.extras import how_to_install
from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.search.task import Query, Task

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@SEARCHES.register("optuna")
class OptunaSearch:
    """Optuna's TPE (or another sampler) over the coordinates of the vector; invalid vectors are pruned.

    Source: Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019, arXiv:1907.10902.

    Args:
        sampler: an Optuna sampler; by default TPE with the seed.
    """

    in_all = False

    def __init__(self, task: Task, seed: int, sampler: BaseSampler | None = None) -> None:
        try:
            import optuna
        except ImportError:
            raise UsageError(f"search algorithm optuna needs Optuna: {how_to_install('nas')}") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._task = optuna, task
        self._known = set(task.known.tolist())
        self._study = optuna.create_study(
            direction="maximize", sampler=sampler or optuna.samplers.TPESampler(seed=seed)
        )
        options = list(task.space.cells.options) * task.space.stages
        self._axes: dict[str, optuna.distributions.BaseDistribution] = {
            f"{i}": optuna.distributions.CategoricalDistribution(list(range(n)))
            for i, n in enumerate(options)
        }
        self._trial: Any = None

    def ask(self) -> Query:
        for _ in range(1000):
            trial = self._study.ask(self._axes)
            vector = [trial.params[name] for name in self._axes]
            index = int(self._task.space.index(np.array([vector]))[0])
            if index in self._known:
                self._trial = trial
                return Query(index)
            self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
        return Query(int(self._task.known[0]))

    def tell(self, query: Query, value: float) -> None:
        if self._trial is not None:
            self._study.tell(self._trial, value)
            self._trial = None
