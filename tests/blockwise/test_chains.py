"""Gauss-seidel on kept activations: only of networks that are the chain of their blocks, and checked where it is used."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from blockzoo.blockwise.chains import Prefix, chain_of
from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.engines import gauss_seidel
from blockzoo.core.errors import CheckFailed
from blockzoo.models.feedforward import ConvNet, Ensemble, FeedForward
from tests.blockwise.engines.test_engines import frame, values


class _More(FeedForward):
    """Does more in its forward pass than to call its blocks."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(nn.functional.layer_norm(x, x.shape[1:]))


class _Dropping(FeedForward):
    """Drops out between its blocks, by a function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = nn.functional.dropout(block(x), 0.5, self.training)
        return x


@pytest.mark.parametrize(
    ("model", "chained"),
    [
        (FeedForward(192, [12, 10], 4), True),
        (ConvNet(3, [4, 5], 4, image_size=8), True),
        (_More(192, [12, 10], 4), False),
        (_Dropping(192, [12, 10], 4), False),
        (Ensemble([FeedForward(192, [6], 4), FeedForward(192, [6], 4)]), False),
    ],
)
def test_only_a_chain_is_one(model: nn.Module, chained: bool) -> None:
    run = frame("gauss-seidel", model)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    chain = chain_of(run, (run.train.x[:8], run.train.y[:8]))
    assert (chain is not None) == chained
    assert torch.equal(state, torch.get_rng_state()) and model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_network_that_is_no_chain_trains_through_all_of_it() -> None:
    torch.manual_seed(0)
    run = frame("gauss-seidel", _More(192, [12, 10], 4))
    for one in (run, frame("gauss-seidel", FeedForward(192, [12, 10], 4))):
        ENGINES["gauss-seidel"]().run(one)
    assert "kept-activations" not in run.checked and one.checked["kept-activations"] < 1e-6


@pytest.mark.mutation("kept-activations")
@pytest.mark.parametrize("fault", ["stale", "written", "other batch"])
def test_wrong_activations_are_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "stale":
        monkeypatch.setattr(Prefix, "changed", lambda self, block: None)
    before = Prefix.before

    def wrong(self: Prefix, block: int) -> list[torch.Tensor]:
        activations = before(self, block)
        if fault == "written" and block == 1:
            activations = [x.add_(0.1) for x in activations]
        return activations[::-1] if fault == "other batch" else activations

    monkeypatch.setattr(Prefix, "before", wrong)
    run = frame(
        "gauss-seidel", FeedForward(192, [12, 10, 8], 4), order="random" if fault == "stale" else "ascending"
    )
    with pytest.raises(CheckFailed, match=r"kept-activations.*block"):
        for run.round in range(4):
            ENGINES["gauss-seidel"]().run(run)


def test_the_check_leaves_the_training_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []
    for checked in (True, False):
        torch.manual_seed(0)
        run = frame("gauss-seidel", ConvNet(3, [4, 5], 4, image_size=8))
        run.model.blocks[0].append(nn.Dropout(0.2))  # type: ignore[union-attr, operator, index]
        if not checked:
            monkeypatch.setattr(gauss_seidel.GaussSeidel, "_check", lambda *args: None)
        record = ENGINES["gauss-seidel"]().run(run)
        ended.append(
            torch.cat([values(run.model), torch.tensor([record.train_loss, record.gradient_evaluations])])
        )
    assert torch.equal(*ended)
