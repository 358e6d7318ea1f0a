"""A benchmark as an objective of Optuna: any study, with any sampler and pruner, of networks whose trainings are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blockzoo.core.extras import needed
from blockzoo.nas.benchmark.blackbox import names_of
from blockzoo.nas.benchmark.dataset import Dataset

if TYPE_CHECKING:
    from optuna.trial import Trial


class OptunaObjective:
    """Validation accuracy in percent, which is maximised: `study.optimize(OptunaObjective(dataset), n_trials=100)`.

    The accuracy after each epoch is reported, so that a pruner can end the trial. What a training would have taken is the user
    attribute `train_time_s`, the network `index`. Vectors without a path, or whose network the benchmark lacks, are pruned.

    Args:
        dataset: a benchmark.
        seed: of the trainings; None for the first loaded.

    Raises:
        UsageError: Optuna is not installed; a seed that is not loaded.
    """

    direction = "maximize"

    def __init__(self, dataset: Dataset, seed: int | None = None) -> None:
        self._pruned = needed("optuna", "nas", "objectives of Optuna").TrialPruned
        self.dataset, self.seed = dataset, seed
        self.known = frozenset(dataset.indices_of(seed).tolist())
        options = list(dataset.space.cells.options) * dataset.space.stages
        self.axes = dict(zip(names_of(dataset.space), options, strict=True))

    def __call__(self, trial: Trial) -> float:
        vector = [trial.suggest_categorical(name, list(range(n))) for name, n in self.axes.items()]
        index = self.dataset.space.index([int(value) for value in vector])
        if index is None or index not in self.known:
            raise self._pruned("no such network is known")
        trial.set_user_attr("index", index)
        epochs = self.dataset.epochs or 1
        for epoch in range(1, epochs + 1):
            trial.report(_known(self.dataset.val_acc(index, epoch, best=False, seed=self.seed)), epoch)
            trial.set_user_attr("train_time_s", self.dataset.train_time(index, epoch, seed=self.seed))
            if epoch < epochs and trial.should_prune():
                raise self._pruned(f"after {epoch} epochs")
        return _known(self.dataset.val_acc(index, seed=self.seed))


def _known(value: float | None) -> float:
    assert value is not None, "the network is known"
    return float(value)
