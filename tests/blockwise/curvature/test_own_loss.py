"""The curvature of any network, loss and data: the same as that of a run's, and of the Hessian in full."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from blockzoo import blockwise
from blockzoo.core.errors import UsageError


def robust(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.smooth_l1_loss(output, target)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()


def data() -> TensorDataset:
    torch.manual_seed(1)
    x = torch.randn(24, 3).double()
    return TensorDataset(x, x[:, :1] * x[:, 1:2])


def test_a_loss_and_a_dataset_of_ones_own() -> None:
    shuffled = DataLoader(data(), batch_size=8, shuffle=True)  # the loss is over all, in whatever order
    curvature = blockwise.curvature_of(network(), robust, shuffled, "module")
    full = blockwise.exact_hessian(network(), robust, [data()[:]]).numpy()
    parts = [slice(0, 16), slice(16, 21)]
    truth = [[np.linalg.norm(full[a, b], 2) for b in parts] for a in parts]
    np.testing.assert_allclose(curvature.coupling.sigma, truth, rtol=2e-3)
    for row, part in zip(curvature.blocks, parts, strict=True):
        assert row["parameters"] == part.stop - part.start
        assert row["largest"] == pytest.approx(np.linalg.eigvalsh(full[part, part])[-1], rel=2e-3)
        assert row["trace"] == pytest.approx(np.trace(full[part, part]), rel=0.05, abs=1e-3)


def test_without_spectra_these_columns_are_empty() -> None:
    curvature = blockwise.curvature_of(network(), robust, data()[:], "module", spectra=False)
    assert [row["largest"] for row in curvature.blocks] == [None, None] and len(curvature.table_rows()) == 2


def test_a_sum_over_the_examples_and_what_are_no_batches_are_refused() -> None:
    with pytest.raises(UsageError, match=r"one batch|batches"):
        blockwise.curvature_of(network(), robust, 3, "module")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="shape"):
        blockwise.curvature_of(
            network(), lambda output, target: (output - target).square(), data()[:], "module"
        )
