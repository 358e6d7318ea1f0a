"""Entries that rounding hides are computed in float64, or said not to have converged, with bounds that hold: against float64."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from blockzoo import blockwise
from blockzoo.blockwise.curvature import precision, search
from blockzoo.blockwise.curvature.hessian import Hessian
from blockzoo.blockwise.curvature.precision import in_double, measure_rounding
from tests.reference.coupling import coupling, hessian
from tests.sampled import sampled

cross_entropy = nn.functional.cross_entropy


class Steep(nn.Module):
    """With large last weights: all but a few examples are classified beyond what float32 can tell from certainty."""

    def __init__(self, scale: float, seed: int = 0, activation: Any = torch.tanh, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last, self.activation = nn.Linear(6, width), nn.Linear(width, 3), activation
        with torch.no_grad():
            self.last.weight.mul_(scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.activation(self.first(x)))


def _batch(n: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(n, 6, generator=generator), torch.randint(3, (n,), generator=generator)


def _fitted() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """To a loss of about 1e-7."""
    model, x = Steep(1.0), _batch()[0]
    y = x[:, :3].argmax(1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    return model, (x, y)


def _map(model: nn.Module, batch: Any, **how: Any) -> blockwise.CouplingMap:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return blockwise.coupling_map(model, cross_entropy, batch, "module", **how)


def _truth(model: nn.Module, batch: Any) -> npt.NDArray[np.float64]:
    return coupling(model, cross_entropy, batch, [list(m.parameters()) for m in model.children()])


@pytest.fixture
def nothing_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network is computed in float64."""
    monkeypatch.setattr(precision, "SMALL", 0)


SCALES = (1e2, 1e3, 3e3, 1e4)


@pytest.mark.parametrize("activation", [torch.tanh, nn.functional.gelu])
@pytest.mark.parametrize("scale", sampled(SCALES, 1))
def test_a_saturated_softmax(scale: float, activation: Any) -> None:
    for seed in (0, 1, 2):
        model = Steep(scale, seed, activation)
        measured = _map(model, _batch())
        exact = blockwise.exact_hessian(model, cross_entropy, _batch())
        truth = _truth(model, _batch())
        assert measured.converged.all() and measured.stopped == ""
        np.testing.assert_allclose(measured.sigma, truth, rtol=1e-9)
        assert (measured.upper >= truth).all()
        whole = hessian(cross_entropy(model(_batch()[0].double()), _batch()[1]), list(model.parameters()))
        assert exact.dtype == torch.float32
        torch.testing.assert_close(exact.double(), whole, rtol=1e-6, atol=1e-6 * float(whole.abs().max()))


@pytest.mark.parametrize("matrix", ["hessian", "ggn"])
def test_a_network_that_fits_its_data(matrix: str) -> None:
    model, batch = _fitted()
    measured = _map(model, batch, matrix=matrix)
    assert measured.converged.all()
    if matrix == "hessian":
        np.testing.assert_allclose(measured.sigma, _truth(model, batch), rtol=1e-9)


@pytest.mark.mutation("rounding")
@pytest.mark.parametrize("whole", sampled([True, False], [True]))
def test_what_float32_hides_is_not_said_to_have_converged(
    whole: bool, monkeypatch: pytest.MonkeyPatch, nothing_small: None
) -> None:
    """And it would be, were nothing measured."""
    if not whole:
        monkeypatch.setattr(search, "SMALL_NETWORK", 0)
        monkeypatch.setattr(search, "PER_ENTRY", 0)

    def claims() -> tuple[int, int, int]:
        """Entries with wrong claims, with bounds that do not hold, and that have not converged."""
        wrong = broken = hidden = 0
        for scale in SCALES:
            for seed in (0, 1, 2):
                for model, batch in (
                    (Steep(scale, seed), _batch()),
                    *([_fitted()] if (scale, seed) == (1e2, 0) else []),
                ):
                    measured = _map(model, batch)
                    truth = _truth(model, batch)
                    off = np.abs(measured.sigma - truth) > 2e-3 * truth
                    wrong += int((off & measured.converged).sum())
                    broken += int((measured.upper < truth).sum())
                    hidden += int((~measured.converged).sum())
                    assert measured.converged.all() or "float32" in measured.stopped
        return wrong, broken, hidden

    wrong, broken, hidden = claims()
    assert wrong == broken == 0 < hidden
    monkeypatch.setattr(precision.Rounding, "of_column", lambda self, j, v, products: [0.0 for _ in products])
    if whole:
        monkeypatch.setattr(search, "check_dense_blocks", lambda *args: 0.0)
    wrong, broken, _ = claims()
    assert wrong and broken


def test_parameters_that_a_norm_takes_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias before a norm has no curvature: what is found for it is rounding, also in float64."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
            self.norm = nn.BatchNorm1d(8, affine=False, track_running_stats=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.tanh(self.norm(self.first(x))))

    for dtype in (torch.float32, torch.float64):
        for small in (precision.SMALL, 0):
            monkeypatch.setattr(precision, "SMALL", small)
            model, (x, y) = Net().to(dtype), _batch()
            with pytest.warns(UserWarning, match="rounding errors"):
                measured = blockwise.coupling_map(model, cross_entropy, (x.to(dtype), y), "tensor")
            assert measured.labels[1] == "first.bias" and not measured.converged[1].any()
            rest = np.ix_([0, 2, 3], [0, 2, 3])
            assert measured.converged[rest].all()
            parameters = list(model.double().parameters())
            truth = coupling(model, cross_entropy, (x, y), [[p] for p in parameters])
            np.testing.assert_allclose(measured.sigma[rest], truth[rest], rtol=1e-5)
            assert (measured.upper[1] < 0.05).all()


@pytest.mark.slow
@pytest.mark.parametrize("count", sampled([24, 300], 1))
def test_plain_networks_converge_in_float32_too(count: int, nothing_small: None) -> None:
    """Also where a part of the examples is compared, and where the loss is a sum."""
    for reduction in ("mean", "sum"):
        loss = nn.CrossEntropyLoss(reduction=reduction)
        model = Steep(1.0, width=60)
        measured = blockwise.coupling_map(model, loss, _batch(count), "module")
        truth = coupling(model, loss, _batch(count), [list(m.parameters()) for m in model.children()])
        assert measured.converged.all() and (measured.upper >= truth).all()
        np.testing.assert_allclose(measured.sigma, truth, rtol=1e-5)
        np.testing.assert_allclose(measured.upper, truth, rtol=2e-3)


def test_which_networks_are_computed_in_float64() -> None:
    """Those that are small and the same in it."""

    class Cast(Steep):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.float() if how == "constant" else x) * (
                torch.ones(3)
                if how == "constant"
                else 1.0
                if x.dtype == torch.float32 or how == "plain"
                else 2.0
            )

    expected = {"plain": torch.float64, "constant": torch.float64, "another": torch.float32}
    for how, dtype in expected.items():
        hessian_ = Hessian(Cast(1.0), cross_entropy, _batch(), "module")
        assert in_double(hessian_).like.dtype == dtype, how
    how = "plain"
    assert (
        in_double(Hessian(Cast(1.0, width=600), cross_entropy, _batch(), "module")).like.dtype
        == torch.float32
    )
    assert (
        in_double(Hessian(Cast(1.0), cross_entropy, _batch(), "module")).checked["second-derivatives"] < 1e-3
    )


def test_errors_are_scaled_as_they_are_measured() -> None:
    one = torch.ones(4)
    coarse = measure_rounding([one], [one], [one.double() * (1 + 1e-3)], 9)[0]
    assert coarse == pytest.approx(precision.MARGIN * 2e-3 * 3, rel=1e-6)
    fine = measure_rounding([one.double()], [one.double()], [one * (1 + 2**-10)], 9)[0]
    assert fine == pytest.approx(precision.MARGIN * 2 * 2**-10 * precision.FINER * 3)
    assert measure_rounding([4 * one], [one], [one.double() * (1 + 1e-3)], 9)[0] == pytest.approx(4 * coarse)
