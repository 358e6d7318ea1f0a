"""The best networks of a benchmark: which way is better for each quantity, the first few, the Pareto-optimal ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.curves import MEAN
from blockzoo.report.pareto import hypervolume as hypervolume
from blockzoo.report.pareto import pareto_front as pareto_front

HIGHER_IS_BETTER = (
    *("val_acc", "val_top1", "val_top5", "test_acc", "test_top1", "test_top5"),
    *("train_acc", "train_top1", "train_top5"),
)
LOWER_IS_BETTER = ("val_loss", "test_loss", "train_loss", "train_time", "params", "macs", "flops")
WITHOUT_SEED = ("params", "macs", "flops")


class Ranking:
    """The part of `Dataset` that compares networks."""

    def top(self, n: int = 10, by: str = "val_acc", seed: int | str | None = None) -> npt.NDArray[np.int64]:
        """(n,): indices of the best networks, the best first; equal ones by index.

        Args:
            n: how many, at least 1; fewer where the benchmark has fewer.
            by: an accuracy (the highest are best), a loss, train_time, params, macs, flops or a device (the lowest are).
            seed: of the trainings; "mean" for the mean over seeds.

        Raises:
            UsageError: no such quantity, or n is no number of networks.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise UsageError(f"top {n!r}: give a whole number of networks, 1 or more")
        indices = self.indices_of(seed)
        values = self._to_minimise(by, indices, seed)
        is_known = ~np.isnan(values)
        order = np.argsort(values[is_known], kind="stable")
        return np.asarray(indices[is_known][order[:n]])

    def pareto(
        self, *costs: str, by: str = "val_acc", seed: int | str | None = None
    ) -> npt.NDArray[np.int64]:
        """Indices of networks that no other equals or beats in `by` and all costs at once, best in the first cost first.

        Args:
            costs: "macs" (by default) or any quantities that `top` knows, each taken in its better direction.
            by: what is traded against them.
            seed: as in `top`.

        Raises:
            UsageError: no such quantity.
        """
        indices = self.indices_of(seed)
        points = np.stack(
            [self._to_minimise(name, indices, seed) for name in (*(costs or ("macs",)), by)], axis=1
        )
        rows = np.flatnonzero(~np.isnan(points).any(1))
        front = rows[pareto_front(points[rows])]
        return indices[front[np.argsort(points[front, 0], kind="stable")]]

    def indices_of(self: Any, seed: int | str | None = None) -> npt.NDArray[np.int64]:
        """Indices of the networks that a seed has, in ascending order; "mean" for those that any has."""
        trainings = list(self._trainings.values()) if seed == MEAN else [self._training(seed)]
        return np.flatnonzero(np.any([t.base.row_of_index[:-1] >= 0 for t in trainings], axis=0))

    def quantity(self: Any, name: str, indices: npt.NDArray[np.int64], seed: int | str | None = None) -> Any:
        """(len(indices),): values of a quantity by its name, NaN where unknown.

        Raises:
            UsageError: no such quantity, or the benchmark was loaded without it.
        """
        if name in HIGHER_IS_BETTER or name in LOWER_IS_BETTER:
            query = getattr(self, name)
            return query(indices) if name in WITHOUT_SEED else query(indices, seed=seed)
        if isinstance(name, str) and name in self.devices:
            return self.latency(indices, name)
        raise UsageError(
            f"{name!r} is no quantity of this benchmark: highest is best for {', '.join(HIGHER_IS_BETTER)}; lowest for "
            f"{', '.join(LOWER_IS_BETTER)}; devices with latencies (lowest): {', '.join(self.devices) or 'none'}"
        )

    def _to_minimise(self, name: str, indices: npt.NDArray[np.int64], seed: int | str | None) -> Any:
        values = np.asarray(self.quantity(name, indices, seed), np.float64)
        return -values if name in HIGHER_IS_BETTER else values
