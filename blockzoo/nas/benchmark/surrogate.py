"""A model of the whole space fitted to a part of it. Never a measurement, and always labelled so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.curves import Training
from blockzoo.nas.benchmark.dataset import Dataset
from blockzoo.nas.files.columns import FLOATS, HASH, Column
from blockzoo.nas.files.table import Table
from blockzoo.nas.ranking.predictors.ridge import PairwiseRidge
from blockzoo.nas.space.hashing import all_hashes

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """How far a surrogate can be trusted, on networks that it was not fitted to.

    Args:
        kendall_tau: rank correlation of predicted with measured final accuracy.
        mean_absolute_error: in percentage points.
        n: networks.
        seed_deviation: standard deviation between seeds, in percentage points; None with one seed.
    """

    kendall_tau: float
    mean_absolute_error: float
    n: int
    seed_deviation: float | None

    def __str__(self) -> str:
        noise = "" if self.seed_deviation is None else f", seeds differ by {self.seed_deviation:.2f}"
        return (
            f"held-out Kendall tau {self.kendall_tau:.2f}, mean absolute error {self.mean_absolute_error:.2f} "
            f"percentage points (n = {self.n}{noise})"
        )


def held_out(dataset: Dataset, folds: int = 10, seed: int = 0) -> Fidelity:
    """Fit to all folds but one, predict that one, for each; compare with what was measured."""
    from scipy.stats import kendalltau

    indices, final = dataset.indices, np.asarray(dataset.val_acc(dataset.indices, best=False, seed="mean"))
    if len(indices) < 2 * folds:
        raise UsageError(f"{len(indices)} networks are too few for {folds} folds")
    which = np.random.default_rng(seed).permutation(len(indices)) % folds
    predicted = np.empty(len(indices))
    for fold in range(folds):
        rest = which != fold
        model = PairwiseRidge(dataset.space).fit(indices[rest], final[rest])
        predicted[~rest] = model.predict(indices[~rest])
    tau = float(kendalltau(predicted, final).statistic)
    return Fidelity(tau, float(np.abs(predicted - final).mean()), len(indices), seed_deviation(dataset))


def seed_deviation(dataset: Dataset) -> float | None:
    """Standard deviation of the final accuracy between seeds, pooled over networks that have several."""
    if len(dataset.seeds) < 2:
        return None
    values = np.stack([dataset.val_acc(dataset.indices, best=False, seed=s) for s in dataset.seeds])
    several = (~np.isnan(values)).sum(0) > 1
    if not several.any():
        return None
    with np.errstate(invalid="ignore"):
        return float(np.sqrt(np.nanmean(np.nanvar(values[:, several], axis=0, ddof=1))))


def surrogate_of(dataset: Dataset, seeds: Sequence[int] = (0, 1, 2), noise: bool = True) -> Dataset:
    """A dataset of the whole space: curves, test accuracy and training time as a fit to `dataset` predicts them.

    Validation curves, test accuracy and log training time are predicted together. With noise, each seed adds to a network's
    whole curve one normal deviation as large as seeds differ (where the dataset has one seed: as the fit is off).

    Args:
        dataset: with at least 20 networks.
        seeds: of the surrogate's own noise; the same seed gives the same numbers.
        noise: add each seed's deviation to its accuracies; without it all seeds are alike.
    """
    indices = dataset.indices
    first = dataset.seeds[0]
    if len(indices) < 20:
        raise UsageError(f"a surrogate of {len(indices)} networks would say nothing: give at least 20")
    curves = np.stack(
        [
            dataset.val_acc(indices, epoch, best=False, seed="mean")
            for epoch in range(1, (dataset.epochs or 1) + 1)
        ],
        axis=1,
    )
    test = dataset.test_acc(indices, seed="mean")
    seconds = np.log(np.maximum(dataset.train_time(indices, seed="mean"), 1))
    model = PairwiseRidge(dataset.space).fit(indices, np.column_stack([curves, test, seconds]))
    predicted = model.predict_all()
    accuracy, time = np.clip(predicted[:, :-1], 0, 100), np.exp(predicted[:, -1])
    spread = seed_deviation(dataset) or float(model.leave_one_out[:, -3].std())
    header = {**dataset._trainings[first].header, "part": "base", "surrogate": True}
    hashes = np.asarray(all_hashes(tuple(dataset.ops), dataset.nodes, dataset.stages))
    trainings = {}
    for seed in seeds:
        shift = np.random.default_rng(seed).normal(0, spread, (len(predicted), 1)) if noise else 0.0
        noisy = np.round(np.clip(accuracy + shift, 0, 100), 3)
        table = Table(
            {
                "model_hash": Column(HASH, hashes),
                "val_top1": Column(FLOATS, noisy[:, :-1].astype(np.float64)),
                "test_top1": Column(FLOATS, noisy[:, -1].copy()),
                "train_time_s": Column(FLOATS, np.round(time, 1)),
            }
        )
        trainings[seed] = Training(dataset.space, ({**header, "seed": seed}, table), None)
    surrogate = Surrogate.of(dataset.space, trainings, title=f"surrogate of {dataset.title}")
    surrogate.fitted_to, surrogate.test_error = len(indices), float(np.abs(model.leave_one_out[:, -2]).mean())
    return surrogate


class Surrogate(Dataset):
    """A dataset whose numbers are predictions."""

    fitted_to: int
    test_error: float
    """Mean error of the fit on a network that it was not fitted to, in points of test accuracy (leave-one-out)."""

    def full_info(self, *arguments: Any, **options: Any) -> Any:
        """As of any dataset, and that it is predicted, with the error on networks left out of the fit."""
        info = super().full_info(*arguments, **options)
        if isinstance(info, dict):
            info |= {"predicted": True, "held_out_error_points": round(self.test_error, 2)}
        return info

    def __repr__(self) -> str:
        return (
            f"Surrogate, no measurement, fitted to {self.fitted_to} networks, off by "
            f"{self.test_error:.2f} points of test accuracy on one left out: {super().__repr__()}"
        )


def numbers_of(dataset: Dataset) -> str:
    """What the numbers of a benchmark are, for headings: trained, or predicted and by how much off."""
    if isinstance(dataset, Surrogate):
        return (
            f"numbers of a model fitted to {dataset.fitted_to} trained networks, off by {dataset.test_error:.2f} points of "
            "test accuracy on one left out: no measurement"
        )
    if dataset.header.get("surrogate"):  # which was written to files and read again
        return f"numbers of a model, {len(dataset):,} networks: no measurement"
    return f"{len(dataset):,} trained networks of {len(dataset.space):,}"
