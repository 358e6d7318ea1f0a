"""What a benchmark says about cheaper ways to rank networks: early epochs, untrained scores, costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from blockzoo.core.progress import followed
from blockzoo.nas.benchmark.dataset import Dataset

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int


class Correlation(NamedTuple):
    """Rank correlations of a proxy with the final test accuracy, and over how many networks."""

    proxy: str
    spearman: float
    kendall_tau: float
    n: int


def rank_correlation(proxy: str, values: npt.ArrayLike, truth: npt.ArrayLike) -> Correlation:
    """Spearman's and Kendall's correlation over the networks that both know."""
    from scipy.stats import kendalltau, spearmanr

    a, b = np.asarray(values, float), np.asarray(truth, float)
    both = np.isfinite(a) & np.isfinite(b)
    return Correlation(
        proxy,
        float(spearmanr(a[both], b[both]).statistic),
        float(kendalltau(a[both], b[both]).statistic),
        int(both.sum()),
    )


def fidelity(dataset: Dataset, seed: int | str | None = None) -> list[Correlation]:
    """For each epoch, how the validation accuracy there ranks networks by their final test accuracy."""
    truth = dataset.test_acc(dataset.indices, seed=seed)
    return [
        rank_correlation(
            f"val_acc, epoch {e}", dataset.val_acc(dataset.indices, e, best=False, seed=seed), truth
        )
        for e in range(1, (dataset.epochs or 1) + 1)
    ]


def zero_cost(
    dataset: Dataset,
    images: Float[torch.Tensor, "B C H W"],
    labels: Int[torch.Tensor, " B"],
    *,
    networks: Sequence[int] | None = None,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Correlation]:
    """How scores of untrained networks rank them by the test accuracy of the benchmark, with parameters and MACs beside them.

    Args:
        dataset: the benchmark: its networks, with their test accuracy.
        images: (B, C, H, W), one normalised batch at the benchmark's image size.
        labels: (B,) of these images; the largest says how many classes the networks have.
        networks: indices; by default all that the dataset has.
        seed: of the initial weights.
        report: told how many are done.
    """
    from blockzoo.measure.zero_cost import scores
    from blockzoo.nas.training.networks import build

    indices = dataset.indices if networks is None else np.asarray(networks)
    classes = int(labels.max()) + 1
    by_proxy: dict[str, list[float]] = {}
    each = followed(indices.tolist(), "scoring", len(indices), "networks")
    for done, index in enumerate(each, 1):
        network = build(index, classes, space=dataset.space, width=dataset.width, seed=seed)
        for name, value in scores(network, images, labels).items():
            by_proxy.setdefault(name, []).append(value)
        report(done, len(indices))
    truth = dataset.test_acc(indices, seed="mean")
    proxies: dict[str, Any] = {**by_proxy, "params": dataset.params(indices), "macs": dataset.macs(indices)}
    return [rank_correlation(name, values, truth) for name, values in proxies.items()]
