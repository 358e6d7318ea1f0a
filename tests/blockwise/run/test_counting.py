"""Gradients are counted at the backward pass, whoever makes it, and by whom; the check that sees one that was not."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.engines.rounds import recorded
from blockzoo.blockwise.run import counting
from blockzoo.blockwise.run.counting import NOBODY, CountedLoss, Spent, counted, on_behalf_of, uncounted
from blockzoo.blockwise.run.frame import Frame, RoundRecord
from blockzoo.blockwise.run.loop import Training
from blockzoo.blockwise.run.ranks import Ranks
from blockzoo.blockwise.run.reports import Nothing
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.core.errors import CheckFailed
from tests.blockwise.engines.test_engines import frame
from tests.blockwise.runs import config

EXAMPLES = Path(__file__).parents[3] / "examples" / "blockwise"


def _loss(model: nn.Module) -> torch.Tensor:
    return model(torch.ones(2, 3)).sum()


def test_every_way_to_a_gradient_is_counted_once() -> None:
    model = nn.Linear(3, 1)
    ways: list[Callable[[], Any]] = [
        lambda: _loss(model).backward(),
        lambda: torch.autograd.backward([_loss(model)]),
        lambda: torch.autograd.grad(_loss(model), list(model.parameters())),
        lambda: torch.func.grad(lambda x: model(x).sum())(torch.ones(3)),
    ]
    for number, way in enumerate(ways):
        with counted() as outer, counted() as inner:
            way()
            with uncounted(), counted() as checks:
                way()
        assert (outer.evaluations, inner.evaluations, checks.evaluations) == (1, 1, 0), number
    with counted() as spent, on_behalf_of(["a", "b"]):
        _loss(model).backward()
    assert spent.passes == {"a": 1, "b": 1}
    assert torch.autograd._engine_run_backward is counting._plain  # type: ignore[attr-defined]


def test_a_loss_that_comes_with_its_derivative_is_counted() -> None:
    """Forward mode needs no backward pass; each direction of each batch counts."""
    model, x, y = nn.Linear(3, 2), torch.randn(5, 3), torch.zeros(5, dtype=torch.long)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    ones = {name: torch.ones_like(p) for name, p in parameters.items()}
    criterion = CountedLoss(nn.functional.cross_entropy, batch_size=3)

    def loss(given: dict[str, torch.Tensor]) -> torch.Tensor:
        return criterion(functional_call(model, given, (x,)), y)

    def by_hand() -> None:
        with forward_ad.dual_level():
            loss({name: forward_ad.make_dual(p, ones[name]) for name, p in parameters.items()})
            loss(parameters)

    several = {name: torch.ones(7, *p.shape) for name, p in parameters.items()}
    ways: list[tuple[Callable[[], Any], int]] = [
        (lambda: loss(parameters), 0),
        (lambda: torch.func.jvp(loss, (parameters,), (ones,)), 1),
        (by_hand, 1),
        (lambda: torch.func.jacfwd(loss)(parameters), 8),
        (lambda: torch.func.vmap(lambda t: torch.func.jvp(loss, (parameters,), (t,))[1])(several), 7),
    ]
    for way, directions in ways:
        with counted() as spent:
            way()
            with uncounted():
                way()
        assert (spent.evaluations, spent.elsewhere) == (2 * directions, 0)


def test_what_nobody_made_all_waited_for() -> None:
    spent = Spent({"b": 3, NOBODY: 2, "a": 5})
    assert spent.evaluations == 10
    assert (spent.critical(sequential=False), spent.critical(sequential=True)) == (7, 10)
    assert spent.each(["a", "b", "c"], False) == [7, 5] and spent.each(["a", "b"], True) == [7, 3]
    assert Spent().critical(False) == Spent().critical(True) == 0


def test_the_gradient_that_ends_a_local_problem_is_counted() -> None:
    run = frame("jacobi", k=30, prox_lambda=10.0, delta_factor=0.5)
    calls: list[float] = []
    loss = run.criterion
    run.criterion = lambda output, y: (calls.append(1.0), loss(output, y))[1]
    run.check_loss()
    calls.clear()
    record = ENGINES["jacobi"]().run(run)
    ended_early = sum(1 for steps in record.steps if steps is not None and steps < 30)
    assert ended_early > 0 and record.gradient_evaluations == len(calls)
    assert record.gradient_evaluations == sum(filter(None, record.steps)) + ended_early
    stacked = ENGINES["jacobi"]().run(
        frame("jacobi", k=30, prox_lambda=10.0, delta_factor=0.5, vectorised=True)
    )
    assert stacked.spent.passes == record.spent.passes


def test_the_order_by_importance_costs_a_gradient() -> None:
    runs = {
        order: ENGINES["gauss-seidel"]().run(frame("gauss-seidel", order=order))
        for order in ("ascending", "importance")
    }
    assert runs["ascending"].gradient_evaluations == runs["ascending"].critical_steps == 9
    assert runs["importance"].gradient_evaluations == runs["importance"].critical_steps == 10


class Boastful:
    """Three steps of plain training a round, of which it tells one; it also sets the number it would like to have."""

    def run(self, frame: Frame) -> RoundRecord:
        for _ in range(3):
            x, y = next(frame.whole.stream)
            frame.criterion(frame.model(x), y).backward()
            frame.whole.optimizer.step()
            frame.whole.optimizer.zero_grad()
        record = recorded(frame, [], 0, {"local": 0.0})
        record.steps = [1] * len(record.steps)
        record.spent = Spent({NOBODY: 1})
        return record


def test_an_engine_cannot_say_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "boastful", Boastful)
    run = run_blockwise(config("boastful", budget="gradient_evaluations:9", options={"rounds": 50}), None)
    last = run.reports[-1]
    assert last["round"] == 3 and last["gradient_evaluations_total"] == last["critical_steps_total"] == 9


def test_the_example_of_an_own_engine_costs_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks, ten steps each, one after the other: 20 gradients a round, where the last two only were counted."""
    spec = importlib.util.spec_from_file_location("own_engine", EXAMPLES / "own_engine.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(ENGINES, "pairs", module.Pairs)
    record = module.Pairs().run(frame("pairs", k=10))
    assert (record.gradient_evaluations, record.critical_steps) == (20, 20) and record.bytes_communicated > 0
    run = run_blockwise(config("pairs", options={"rounds": 10, "k": 10}), None)
    assert run.reports[-1]["gradient_evaluations_total"] == 200


@pytest.mark.parametrize("mode", ["jacobi", "gauss-seidel", "async", "entire", "local-sgd"])
def test_every_engine_is_counted_alike_in_a_run_and_alone(mode: str) -> None:
    asked = config(mode)
    alone = ENGINES[mode]().run(Frame.from_config(asked))
    training = Training(asked, Nothing(), Ranks())
    training.run()
    assert alone.gradient_evaluations > 0
    assert training.totals["gradient_evaluations"] == 4 * alone.gradient_evaluations
    assert training.totals["critical_steps"] == 4 * alone.critical_steps


class Summed:
    """Each block's step on a copy of its own, of one backward pass of all their losses together."""

    def run(self, frame: Frame) -> RoundRecord:
        copies = [copy.deepcopy(frame.model) for _ in frame.blocks]
        for _ in range(frame.blocks[0].steps):
            batches = [next(block.stream) for block in frame.blocks]
            losses = [frame.criterion(model(x), y) for model, (x, y) in zip(copies, batches, strict=True)]
            torch.autograd.grad(
                torch.stack(losses).sum(), [p for model in copies for p in model.parameters()]
            )
        return recorded(frame, [], 0, {"local": 0.0})


class Wide:
    """One step on the examples of three batches."""

    def run(self, frame: Frame) -> RoundRecord:
        x, y = (torch.cat(part) for part in zip(*(next(frame.whole.stream) for _ in range(3)), strict=True))
        frame.loss(x, y).backward()
        return recorded(frame, [], 0, {"local": 0.0})


class Elsewhere:
    """A step on a loss of its own."""

    def run(self, frame: Frame) -> RoundRecord:
        x, _ = next(frame.whole.stream)
        frame.model(x).square().mean().backward()
        return recorded(frame, [], 0, {"local": 0.0})


@pytest.mark.parametrize(("engine", "each_round"), [(Summed, 3 * 3), (Wide, 3)])
def test_what_one_backward_pass_does_for_several_counts_for_each(
    engine: type, each_round: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "own", engine)
    run = run_blockwise(config("own", options={"rounds": 4, "k": 3}), None)
    assert len(run.frame.blocks) == 3
    assert run.reports[-1]["gradient_evaluations_total"] == 4 * each_round


@pytest.mark.mutation("counted-gradients")
def test_a_gradient_of_something_else_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "elsewhere", Elsewhere)
    with pytest.raises(CheckFailed, match=r"counted-gradients.*no loss of frame\.criterion"):
        run_blockwise(config("elsewhere"), None)


@pytest.mark.mutation("counted-gradients")
@pytest.mark.parametrize("mode", ["jacobi", "gauss-seidel", "entire"])
def test_a_gradient_that_is_not_counted_ends_the_run(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "counted-gradients" in run_blockwise(config(mode), None).frame.checked
    monkeypatch.setattr(counting, "_run_backward", counting._plain)
    with pytest.raises(CheckFailed, match=r"counted-gradients.*0 were counted"):
        run_blockwise(config(mode), None)
