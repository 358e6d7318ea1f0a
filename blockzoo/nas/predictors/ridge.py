"""Ridge regression on pairs of features, its penalty chosen by leave-one-out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from blockzoo.nas.predictors.features import one_hot_pairs, standardised_cell_features
from blockzoo.nas.space import Indices, MacroSpace

Values = npt.NDArray[np.float64]
PENALTIES = 10.0 ** np.arange(-1, 7, 0.5)


class Tables(NamedTuple):
    """A fit by stage: (cells, outputs) for each, and (cells, cells, outputs) for each two."""

    constant: Values
    alone: list[Values]
    pairs: dict[tuple[int, int], Values]


class PairwiseRidge:
    """Predicts one or several numbers per network of a space.

    Solved in the dual with one eigendecomposition of the (N, N) kernel, so that N may be far smaller than the number of
    features; the penalty is the one with the least leave-one-out error, which the same decomposition gives exactly.

    Args:
        space: where indices are looked up.
        penalty: fixed; by default chosen.
    """

    def __init__(self, space: MacroSpace, penalty: float | None = None) -> None:
        self.space, self.penalty = space, penalty

    def fit(self, indices: Indices, targets: Values) -> PairwiseRidge:
        """Fit to networks (N,) and their numbers (N,) or (N, outputs)."""
        features = one_hot_pairs(self.space, indices)
        self._centre, self._mean = features.mean(0), targets.mean(0)
        centred, residual = features - self._centre, targets - self._mean
        self._scale = np.sqrt(features.shape[1])
        values, vectors = np.linalg.eigh(centred @ centred.T / self._scale)
        values = np.maximum(values, 0)
        projected = vectors.T @ residual.reshape(len(indices), -1)
        candidates = PENALTIES if self.penalty is None else np.array([self.penalty])
        errors = [self._leave_one_out(values, vectors, projected, p) for p in candidates]
        best = int(np.argmin([np.square(e).mean() for e in errors]))
        self.penalty = float(candidates[best])
        self.leave_one_out = errors[best].reshape(targets.shape)
        """What each network's number would have been off by, had it not been fitted to."""
        dual = vectors @ (projected / (values + self.penalty)[:, None])
        self._tables = self._as_tables((centred.T @ dual / self._scale), targets.shape[1:])
        return self

    @staticmethod
    def _leave_one_out(values: Values, vectors: Values, projected: Values, penalty: float) -> Values:
        inverse = vectors / (values + penalty)
        # the mean is fitted too, without penalty
        diagonal = (inverse * vectors).sum(1) - 1 / (penalty * len(vectors))
        return (inverse @ projected) / diagonal[:, None]

    def _as_tables(self, weights: Values, outputs: tuple[int, ...]) -> Tables:
        """The fit as sums over stages and pairs of stages, so that the whole space is predicted by additions.

        A product of two features belongs to one stage or to two; per stage that leaves a number for each cell, per pair of
        stages a number for each two cells.
        """
        cells, stages = standardised_cell_features(self.space), self.space.stages
        count, width = cells.shape
        single, products = weights[: stages * width], weights[stages * width :]
        square = np.zeros((stages * width, stages * width, products.shape[1]))
        square[np.triu_indices(stages * width)] = products
        alone, pairs = [], {}
        for s in range(stages):
            rows = slice(s * width, (s + 1) * width)
            within = np.einsum("ci,ijo,cj->co", cells, square[rows, rows], cells)
            alone.append((cells @ single[rows] + within).reshape(count, *outputs))
            for t in range(s + 1, stages):
                columns = slice(t * width, (t + 1) * width)
                both = np.einsum("ci,ijo,dj->cdo", cells, square[rows, columns], cells, optimize=True)
                pairs[s, t] = both.reshape(count, count, *outputs)
        constant = self._mean - (self._centre @ weights).reshape(outputs)
        return Tables(constant, alone, pairs)

    def predict(self, indices: Indices) -> Values:
        """(N,) or (N, outputs): predictions for networks."""
        digits = self.space.digits(indices)
        total = self._tables.constant + sum(table[digits[:, s]] for s, table in enumerate(self._tables.alone))
        for (s, t), table in self._tables.pairs.items():
            total = total + table[digits[:, s], digits[:, t]]
        return np.asarray(total)

    def predict_all(self) -> Values:
        """(networks,) or (networks, outputs): predictions for the whole space, by index."""
        stages, count = self.space.stages, len(self.space.cells)
        total = np.broadcast_to(self._tables.constant, (*[1] * stages, *np.shape(self._mean)))
        for s, table in enumerate(self._tables.alone):
            total = total + table.reshape(_at(stages, count, s) + table.shape[1:])
        for (s, t), table in self._tables.pairs.items():
            total = total + table.swapaxes(0, 1).reshape(_at(stages, count, s, t) + table.shape[2:])
        return total.reshape(-1, *np.shape(self._mean))


def _at(stages: int, count: int, *where: int) -> tuple[int, ...]:
    """A shape with `count` at some stages and 1 elsewhere; later stages are slower digits, so they come first."""
    return tuple(count if stages - 1 - axis in where else 1 for axis in range(stages))
