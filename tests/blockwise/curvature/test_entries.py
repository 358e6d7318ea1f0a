"""Second derivatives that are wrong in a small part of a network are seen there; right ones that are small are not refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blockzoo import blockwise
from blockzoo.blockwise.curvature import entries
from blockzoo.core.errors import CheckFailed
from tests.reference.coupling import coupling

cross_entropy = nn.functional.cross_entropy
Function = Callable[[torch.Tensor], torch.Tensor]


class MemoryEfficientSwish(torch.autograd.Function):
    """As it is often written: its backward pass works on what is detached, and has no second derivative."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x.detach())
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        x = ctx.saved_tensors[0].detach()
        s = torch.sigmoid(x)
        return gradient * (s * (1 + x * (1 - s)))


class Residual(nn.Module):
    """A branch that is scaled, as layers' scales start."""

    def __init__(self, function: Function, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.branch, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.function, self.scale = function, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(self.stem(x))
        return self.head(y + self.scale * self.function(self.branch(y)))


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(32, 6, generator=generator), torch.randint(3, (32,), generator=generator)


SCALES = (1.0, 1e-2, 1e-4, 1e-5, 1e-6, 1e-8)


@pytest.mark.mutation("second-derivatives-by-entry")
@pytest.mark.parametrize("scale", SCALES)
def test_a_wrong_function_in_a_branch_of_any_scale(scale: float) -> None:
    for made in (blockwise.coupling_map, blockwise.Hessian):
        with pytest.raises(CheckFailed, match="second-derivatives"):
            made(Residual(MemoryEfficientSwish.apply, scale), cross_entropy, _batch(), "module")  # type: ignore[operator]


@pytest.mark.parametrize("scale", (*SCALES, 1e-12, 1e-20))
def test_a_right_function_in_a_branch_of_any_scale(scale: float) -> None:
    model = Residual(nn.functional.silu, scale)
    measured = blockwise.coupling_map(model, cross_entropy, _batch(), "module")
    truth = coupling(model, cross_entropy, _batch(), [list(m.parameters()) for m in model.children()])
    assert measured.converged.all() and (measured.upper >= truth).all()
    np.testing.assert_allclose(measured.sigma, truth, rtol=1e-6)
    assert measured.checked["second-derivatives-by-entry"] <= 1e-2


class _Sine(torch.autograd.Function):
    """Right once, wrong twice."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * ctx.saved_tensors[0].detach().cos()


class Crossed(nn.Module):
    """Two blocks that a small term couples: beside their own curvature it is nothing."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.function = nn.Linear(6, 8), nn.Linear(6, 8), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.a(x), self.b(x)
        return a.sin() + b.sin() + 1e-5 * self.function(a + b)


@pytest.mark.mutation("second-derivatives-by-entry")
@pytest.mark.parametrize("matrix", ["hessian", "ggn"])
def test_an_entry_that_is_wrong_and_small_beside_its_row(matrix: str) -> None:
    def loss(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return outputs.mean()

    if matrix == "hessian":
        measured = blockwise.coupling_map(Crossed(torch.sin), loss, _batch(), "module")
        model = Crossed(torch.sin)
        truth = coupling(model, loss, _batch(), [list(m.parameters()) for m in model.children()])
        np.testing.assert_allclose(measured.sigma, truth, rtol=1e-6)
        with pytest.raises(CheckFailed, match=r"by-entry' failed.*\((a, b|b, a)\)"):
            blockwise.coupling_map(Crossed(_Sine.apply), loss, _batch(), "module")
    else:  # which has no second derivatives of the network
        measured = blockwise.coupling_map(
            Crossed(_Sine.apply), cross_entropy, _batch(), "module", matrix="ggn"
        )
        assert measured.checked["second-derivatives-by-entry"] < 1e-4


@pytest.mark.mutation("second-derivatives-by-entry")
@pytest.mark.parametrize("matrix", ["hessian", "ggn"])
def test_products_of_which_a_little_is_wrong(matrix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One small entry of one column doubled."""
    kind = {"hessian": blockwise.Hessian, "ggn": blockwise.GaussNewton}[matrix]
    plain = kind.full

    def wrong(self: blockwise.Hessian, v: torch.Tensor) -> torch.Tensor:
        parts = [part.clone() for part in plain(self, v).split(self.sizes)]
        if not any(part.any() for part in v.split(self.sizes)[1:]):
            parts[1] *= 2
        return torch.cat(parts)

    blockwise.coupling_map(Residual(torch.sin, 1e-5), cross_entropy, _batch(), "module", matrix=matrix)
    monkeypatch.setattr(kind, "full", wrong)
    with pytest.raises(CheckFailed, match=r"by-entry' failed.*\(branch, stem\)"):
        blockwise.coupling_map(Residual(torch.sin, 1e-5), cross_entropy, _batch(), "module", matrix=matrix)


def test_kinks_that_a_step_crosses_are_no_faults() -> None:
    """Of a wide network some ReLU changes within any step but the smallest."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 500), nn.ReLU(), nn.Linear(500, 500), nn.ReLU(), nn.Linear(500, 3))
    hessian = blockwise.Hessian(model, cross_entropy, _batch(), "module")
    assert entries.check_entries(hessian, columns=True) == 0 or hessian.checked["second-derivatives"] < 1e-2
