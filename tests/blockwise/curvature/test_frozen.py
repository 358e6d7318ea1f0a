"""Frozen parameters stay as they are in every engine and unit; what goes with a block: buffers, tied parameters."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.copying import buffer_names
from blockzoo.blockwise.partition import make_partition
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.options import Options
from blockzoo.blockwise.run.view import RunView
from blockzoo.blockwise.units import make_units
from blockzoo.core.errors import UsageError
from blockzoo.models.feedforward import ConvNet, FeedForward
from tests.blockwise.engines.test_engines import cross_entropy, data

MODES = ["jacobi", "gauss-seidel", "async", "entire", "local-sgd", "vectorised"]


def _frame(mode: str, model: nn.Module, **options: Any) -> Frame:
    mode, vectorised = ("jacobi", True) if mode == "vectorised" else (mode, False)
    settings = {"k": 3, "step_size": 0.05, "batch_size": 8, **options}
    return Frame(
        model, *data(), cross_entropy, Options(training_mode=mode, vectorised=vectorised, **settings)
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("frozen", ["blocks.0.", "blocks.2.", "bias"])
def test_frozen_parameters_stay(mode: str, frozen: str) -> None:
    """A whole block at either end, and one parameter of each; weight decay and momentum would move what gets no gradient."""
    torch.manual_seed(0)
    model = FeedForward(192, [12, 10], 4)
    for name, p in model.named_parameters():
        p.requires_grad_(frozen not in name)
    run, before = _frame(mode, model, optimizer="adamw"), copy.deepcopy(model)
    engine = ENGINES[run.options.training_mode]()
    for run.round in range(2):
        record = engine.run(run)
    for (name, p), old in zip(model.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(p, old) == (frozen in name), name
        assert p.requires_grad == (frozen not in name) and p.grad is None
    if frozen != "bias" and mode in ("jacobi", "gauss-seidel", "async", "vectorised"):
        rests = int(frozen[7])
        assert record.movement[rests] is None and record.steps[rests] is None
        assert record.gradient_evaluations == 6, "two workers of three steps: the third block has none"
        others = sum(p.numel() * 4 for p in model.parameters() if p.requires_grad)
        assert record.bytes_communicated == others, "each of two workers sends its block to the other"


def test_a_frozen_block_is_as_if_it_were_a_constant() -> None:
    """Jacobi of the other blocks equals jacobi of the network whose frozen block is no parameter at all."""
    torch.manual_seed(0)
    model = FeedForward(192, [12, 10], 4)
    constant = copy.deepcopy(model)
    model.blocks[1].requires_grad_(False)
    linear = constant.blocks[1][0]
    for name in ("weight", "bias"):
        value = getattr(linear, name).detach()
        delattr(linear, name)
        setattr(linear, name, value)
    one, other = _frame("jacobi", model), _frame("jacobi", constant)
    for stream, place in ((other.blocks[1].stream, 2),):
        stream._key = one.blocks[place].stream._key  # the third block draws as the third
    ENGINES["jacobi"]().run(one)
    ENGINES["jacobi"]().run(other)
    for a, b in ((0, 0), (2, 1)):
        for p, q in zip(one.blocks[a].parameters, other.blocks[b].parameters, strict=True):
            torch.testing.assert_close(p, q)


def test_a_share_is_one_of_those_that_can_work() -> None:
    model = FeedForward(192, [12, 10, 8], 4)
    model.blocks[1].requires_grad_(False)
    run = _frame("jacobi", model, share_of_active_workers=0.34)
    seen = set()
    for run.round in range(12):
        record = ENGINES["jacobi"]().run(run)
        seen.add(tuple(i for i, steps in enumerate(record.steps) if steps is not None))
    assert seen == {(0,), (2,), (3,)}


def test_units_measure_a_partly_frozen_network() -> None:
    model = FeedForward(192, [12, 10], 4)
    model.blocks[1].requires_grad_(False)
    run, before = _frame("jacobi", model), copy.deepcopy(model.state_dict())
    units = make_units(
        [
            "norms batches=1 batch_size=8",
            "deviation",
            "time-split",
            "working-memory",
            "descent batch_size=8",
        ]
    )
    previous = RunView(run).values()
    ENGINES["jacobi"]().run(run)
    after = copy.deepcopy(model.state_dict())
    measured = {name: unit.measure(RunView(run, previous=previous)) for name, unit in units.items()}
    assert measured["norms"]["gradient_norm"][1] == 0 < measured["norms"]["gradient_norm"][0]
    assert measured["descent"]["block_change_loss"][1] == 0 != measured["descent"]["block_change_loss"][0]
    clients, network = (
        measured["working-memory"]["client_memory_bytes"],
        measured["working-memory"]["parameter_bytes"],
    )
    assert clients[1] == network < clients[0], "nothing is trained in the frozen block"
    assert all(torch.equal(after[name], value) for name, value in model.state_dict().items())
    assert all(torch.equal(before[f"blocks.1.{n}"], v) for n, v in model.blocks[1].state_dict().items())


def test_a_frozen_network_is_refused() -> None:
    with pytest.raises(UsageError, match="frozen"):
        _frame("jacobi", FeedForward(192, [12], 4).requires_grad_(False))


class _Odd(nn.Module):
    """Blocks whose norms have no parameters, and statistics at the top."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4, affine=False), nn.ReLU()),
                nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.Flatten(), nn.Linear(36, 4)),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


@pytest.mark.parametrize("buffers", ["own", "average"])
def test_statistics_of_norms_without_parameters_follow_their_block(buffers: str) -> None:
    run = _frame("jacobi", _Odd(), buffers=buffers)
    names = [buffer_names(run.model, run.partition, block) for block in range(2)]
    assert [n for own in names for n in own] == [n for n, _ in run.model.named_buffers()], (
        "each goes with one block"
    )
    assert "blocks.0.1.running_mean" in names[0] and "blocks.1.0.running_mean" in names[1]
    before = copy.deepcopy(run.model.state_dict())
    ENGINES["jacobi"]().run(run)
    for name in ("blocks.0.1.running_mean", "blocks.1.0.running_var"):
        assert not torch.equal(before[name], run.model.state_dict()[name]), name
    assert int(run.model.blocks[0][1].num_batches_tracked) == 3


def test_buffers_of_modules_with_parameters_are_as_before() -> None:
    model = ConvNet(3, [4, 5], 4, image_size=8)
    partition = make_partition(model)
    assert buffer_names(model, partition, 1) == [
        f"blocks.1.1.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")
    ]
    assert buffer_names(model, partition, 2) == []


@pytest.mark.parametrize("how", ["blocks", "module"])
def test_tied_parameters_of_several_blocks_are_named(how: str) -> None:
    model = FeedForward(5, [5, 5], 3)
    model.blocks[1][0].weight = model.blocks[0][1].weight
    with pytest.raises(UsageError, match=r"blocks\.0\.1\.weight = blocks\.1\.0\.weight.*'first="):
        make_partition(model, how)
    together = make_partition(model, {"first": r"blocks\.[01].*", "rest": r"blocks\.2.*"})
    assert [len(names) for names in together.names] == [3, 2]
    with pytest.raises(UsageError, match="several blocks are called same"):
        make_partition(model, type(together)(("same", "same"), together.names))
