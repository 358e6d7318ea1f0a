"""Engines against rounds with whole copies; state, streams, and what bad options say."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.copying import copy_block, swap_block
from blockzoo.blockwise.partition import make_partition
from blockzoo.blockwise.run.data import Examples, Stream
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.options import Options
from blockzoo.core.errors import Diverged, UsageError
from blockzoo.models.feedforward import ConvNet, Ensemble, FeedForward
from tests.reference import blockwise_rounds as slow

cross_entropy = nn.functional.cross_entropy


def data(n: int = 60, seed: int = 0) -> tuple[Examples, Examples]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, 8, 8, generator=generator)
    y = (x.mean((1, 2, 3)) > 0).long() + 2 * (x[:, 0].mean((1, 2)) > 0).long()
    return Examples(x[: n // 2], y[: n // 2]), Examples(x[n // 2 :], y[n // 2 :])


def frame(mode: str, model: nn.Module | None = None, **options: Any) -> Frame:
    torch.manual_seed(0)
    model = model or FeedForward(192, [12, 10], 4)
    settings = {"k": 3, "step_size": 0.05, "batch_size": 8, **options}
    return Frame(model, *data(), cross_entropy, Options(training_mode=mode, **settings))


def values(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_jacobi_against_whole_copies() -> None:
    for gamma, prox in ((1.0, 0.0), (0.5, 0.0), (1.0, 2.0)):
        run = frame("jacobi", gamma=gamma, prox_lambda=prox, delta_factor=0.0)
        names = [list(n) for n in run.partition.names]
        streams = [Stream(run.train, 8, 0, i) for i in range(len(names))]
        want = copy.deepcopy(run.model)
        engine = ENGINES["jacobi"]()
        for turn in range(4):
            run.round = turn
            want = slow.jacobi_round(
                want, names, [[next(s) for _ in range(3)] for s in streams], cross_entropy, 0.05, gamma, prox
            )
            engine.run(run)
        torch.testing.assert_close(values(run.model), values(want), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("order", ["ascending", "descending", "random"])
@pytest.mark.parametrize("kind", ["feedforward", "cnn", "tensor"])
def test_gauss_seidel_against_whole_copies(order: str, kind: str) -> None:
    model = (
        ConvNet(3, [4, 5, 6], 4, image_size=8, normalise=False)
        if kind == "cnn"
        else FeedForward(192, [12, 10], 4)
    )
    run = frame("gauss-seidel", model, order=order)
    if kind == "tensor":
        run = Frame(model, *data(), cross_entropy, run.options, "tensor")
    names = [list(n) for n in run.partition.names]
    stream = Stream(run.train, 8, 0, -1)
    want = copy.deepcopy(run.model)
    engine = ENGINES["gauss-seidel"]()
    for turn in range(3):
        run.round = turn
        places = engine._order(run, [])
        want = slow.gauss_seidel_round(
            want, [names[i] for i in places], [next(stream) for _ in range(3)], cross_entropy, 0.05, 1.0
        )
        engine.run(run)
    torch.testing.assert_close(values(run.model), values(want), rtol=1e-5, atol=1e-7)


def test_importance_with_dropout_depends_on_the_round_alone() -> None:
    orders = set()
    for drawn_before in range(20):
        run = frame("gauss-seidel", order="importance")
        run.model.blocks[0].append(nn.Dropout(0.9))  # type: ignore[index, operator, union-attr]
        torch.manual_seed(drawn_before)
        orders.add(tuple(ENGINES["gauss-seidel"]()._order(run, [next(run.whole.stream)])))
    assert len(orders) == 1


def test_entire_is_plain_training() -> None:
    run = frame("entire")
    want, stream = copy.deepcopy(run.model), Stream(run.train, 8, 0, -1)
    everything = [name for name, _ in want.named_parameters()]
    for turn in range(3):
        run.round = turn
        want = slow.trained_copy(want, everything, [next(stream) for _ in range(3)], cross_entropy, 0.05)
        ENGINES["entire"]().run(run)
    torch.testing.assert_close(values(run.model), values(want), rtol=1e-5, atol=1e-7)


def test_async_without_staleness_is_jacobi() -> None:
    one, other = frame("async", max_staleness=0), frame("jacobi")
    engines = ENGINES["async"](), ENGINES["jacobi"]()
    for turn in range(3):
        one.round = other.round = turn
        record = engines[0].run(one)
        engines[1].run(other)
        assert record.staleness == [0, 0, 0]
    torch.testing.assert_close(values(one.model), values(other.model), rtol=1e-6, atol=1e-8)
    for buffers in ("own", "average"):
        one, other = (
            frame(mode, ConvNet(3, [4, 5], 4, image_size=8), buffers=buffers, max_staleness=0)
            for mode in ("async", "jacobi")
        )
        other.model.load_state_dict(one.model.state_dict())
        ENGINES["async"]().run(one)
        ENGINES["jacobi"]().run(other)
        for a, b in zip(one.model.buffers(), other.model.buffers(), strict=True):
            torch.testing.assert_close(a, b)


def test_stale_workers_against_whole_copies() -> None:
    """Each worker from a copy of the centre of its own age; what it moved is added to the newest."""
    run = frame("async", max_staleness=3, gamma=0.8)
    names = [list(n) for n in run.partition.names]
    streams = [Stream(run.train, 8, 0, i) for i in range(len(names))]
    centres, ages, engine = [copy.deepcopy(run.model)], set(), ENGINES["async"]()
    for turn in range(12):
        run.round = turn
        record = engine.run(run)
        want = copy.deepcopy(centres[-1])
        target = dict(want.named_parameters())
        for block, age, stream in zip(names, record.staleness, streams, strict=True):
            old = centres[-1 - age]
            worker = slow.trained_copy(old, block, [next(stream) for _ in range(3)], cross_entropy, 0.05)
            begin, end = dict(old.named_parameters()), dict(worker.named_parameters())
            with torch.no_grad():
                for name in block:
                    target[name] += 0.8 * (end[name] - begin[name])
        centres.append(want)
        ages |= set(record.staleness)
        torch.testing.assert_close(values(run.model), values(want), rtol=1e-4, atol=1e-6)
    assert ages == {0, 1, 2, 3}


@pytest.mark.parametrize("mode", ["jacobi", "gauss-seidel", "entire", "async"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_resumed_run_is_the_uninterrupted_one(mode: str, optimizer: str) -> None:
    """Bit for bit, with running statistics and optimiser state, stopped after three of six rounds."""

    def turn(run: Frame, engine: Any, rounds: range) -> None:
        for number in rounds:
            run.round = number
            engine.run(run)

    def fresh() -> Frame:
        torch.manual_seed(0)
        return frame(mode, ConvNet(3, [4, 5], 4, image_size=8), optimizer=optimizer, step_size=0.01)

    whole, engine = fresh(), ENGINES[mode]()
    turn(whole, engine, range(6))
    first, engine = fresh(), ENGINES[mode]()
    turn(first, engine, range(3))
    saved = copy.deepcopy(first.state_dict())
    extra = copy.deepcopy(engine.state_dict()) if hasattr(engine, "state_dict") else None
    torch.manual_seed(99)
    second, engine = fresh(), ENGINES[mode]()
    second.load_state_dict(saved)
    if extra is not None:
        engine.load_state_dict(extra)
    turn(second, engine, range(3, 6))
    for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("mode", ["jacobi", "gauss-seidel", "entire", "async"])
def test_engines_learn(mode: str) -> None:
    run = frame(mode, optimizer="adam", step_size=0.01, k=5)
    before = run.evaluate(run.train)["loss"]
    engine = ENGINES[mode]()
    for number in range(15):
        run.round = number
        record = engine.run(run)
    assert run.evaluate(run.train)["loss"] < 0.5 * before
    assert all(m is not None and m > 0 for m in record.movement)
    one_round = {"jacobi": (15, 5), "async": (15, 5), "gauss-seidel": (15, 15), "entire": (5, 5)}
    assert (record.gradient_evaluations, record.critical_steps) == one_round[mode]


def test_a_share_of_the_workers_rests() -> None:
    run = frame("jacobi", share_of_active_workers=0.34)
    seen = set()
    for number in range(12):
        run.round = number
        before = [torch.cat([p.detach().flatten().clone() for p in b.parameters]) for b in run.blocks]
        record = ENGINES["jacobi"]().run(run)
        after = [torch.cat([p.detach().flatten() for p in b.parameters]) for b in run.blocks]
        active = [i for i, m in enumerate(record.movement) if m is not None]
        assert len(active) == 1 and [i for i in range(3) if not torch.equal(before[i], after[i])] == active
        seen |= set(active)
    assert seen == {0, 1, 2}


def test_a_worker_leaves_the_centre_as_it_was() -> None:
    from blockzoo.blockwise.engines.rounds import work

    run = frame("jacobi", ConvNet(3, [4, 5], 4, image_size=8))
    before = copy.deepcopy(run.model.state_dict())
    outcome = work(run, 1)
    assert all(torch.equal(before[name], value) for name, value in run.model.state_dict().items())
    assert outcome.movement > 0 and all(p.requires_grad and p.grad is None for p in run.model.parameters())


def test_a_strong_pull_to_the_start_ends_the_local_problem_early() -> None:
    free, held = (
        frame("jacobi", k=30),
        frame("jacobi", k=30, prox_lambda=10.0, step_size=0.05, delta_factor=0.5),
    )
    loose, tight = ENGINES["jacobi"]().run(free), ENGINES["jacobi"]().run(held)
    assert tight.gradient_evaluations < loose.gradient_evaluations == 90
    assert sum(filter(None, tight.movement)) < sum(filter(None, loose.movement))


def test_streams_go_through_everything_and_differ() -> None:
    examples = Examples(torch.arange(10), torch.arange(10))
    stream = Stream(examples, 3, seed=0, worker=1)
    first = [next(stream)[0].tolist() for _ in range(3)]
    second = [next(stream)[0].tolist() for _ in range(3)]
    assert len({x for b in first for x in b}) == 9 and first != second
    other = Stream(examples, 3, seed=0, worker=2)
    assert [next(other)[0].tolist() for _ in range(3)] != first
    again = Stream(examples, 3, seed=0, worker=1)
    again.position = 3
    assert [next(again)[0].tolist() for _ in range(3)] == second


def test_ensembles_train_with_all_blocks_in_one_list() -> None:
    model = Ensemble([FeedForward(192, [6], 4), ConvNet(3, [4], 4, image_size=8)])
    for mode in ("jacobi", "gauss-seidel"):
        run = frame(mode, copy.deepcopy(model))
        record = ENGINES[mode]().run(run)
        assert len(record.movement) == 4 and all(record.movement)


def test_copy_and_swap_blocks_with_their_buffers() -> None:
    torch.manual_seed(0)
    one, other = ConvNet(3, [4, 5], 4, image_size=8), ConvNet(3, [4, 5], 4, image_size=8)
    for network in (one, other):
        network.train()(torch.randn(4, 3, 8, 8))
    partition = make_partition(one)
    for policy in ("own", "copy", "average"):
        a, b = copy.deepcopy(one), copy.deepcopy(other)
        copy_block(b, a, partition, 0, policy)  # type: ignore[arg-type]
        assert torch.equal(a.blocks[0][0].weight, other.blocks[0][0].weight)
        assert torch.equal(a.blocks[1][0].weight, one.blocks[1][0].weight)
        ours, theirs = one.blocks[0][1].running_mean, other.blocks[0][1].running_mean
        want = {"own": ours, "copy": theirs, "average": (ours + theirs) / 2}[policy]
        torch.testing.assert_close(a.blocks[0][1].running_mean, want)
    a, b = copy.deepcopy(one), copy.deepcopy(other)
    swap_block(a, b, partition, 1)
    for name, value in a.state_dict().items():
        assert torch.equal(value, (other if name.startswith("blocks.1") else one).state_dict()[name])
    for name, value in b.state_dict().items():
        assert torch.equal(value, (one if name.startswith("blocks.1") else other).state_dict()[name])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"k": 0}, "k 0"),
        ({"gamma": 0.0}, "gamma"),
        ({"gamma": 1.5}, "gamma"),
        ({"rounds": 0}, "rounds"),
        ({"step_size": -1.0}, "step size -1"),
        ({"prox_lambda": -1.0}, "lambda"),
        ({"share_of_active_workers": 0.0}, "share"),
        ({"order": "sideways"}, "ascending"),
        ({"training_mode": "telepathy"}, "jacobi"),
    ],
)
def test_impossible_options_name_what_is_possible(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Options(**options)


def test_the_names_of_the_sandbox_and_lists_per_block() -> None:
    assert Options(training_mode="blockwise_sequential").training_mode == "jacobi"
    assert Options(training_mode="blockwise").training_mode == "distributed"
    run = frame("jacobi", k=(1, 2, 3), step_size=(0.1, 0.2, 0.3))
    assert [state.steps for state in run.blocks] == [1, 2, 3]
    assert run.blocks[2].optimizer.param_groups[0]["lr"] == 0.3
    with pytest.raises(UsageError, match="2 values for 3 blocks"):
        frame("jacobi", k=(1, 2))


def test_a_worker_that_diverges_names_its_block() -> None:
    with pytest.raises(Diverged, match=r"block \d"):
        run = frame("jacobi", step_size=1e30, k=8)
        for number in range(5):
            run.round = number
            ENGINES["jacobi"]().run(run)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("prox", [0.0, 2.0])
def test_all_workers_at_once_are_one_after_the_other(optimizer: str, prox: float) -> None:
    """To rounding; with different K, a share that rests, and local problems that end early."""
    options: dict[str, Any] = {
        "k": (2, 4, 3),
        "optimizer": optimizer,
        "prox_lambda": prox,
        "delta_factor": 30.0,
        "share_of_active_workers": 0.67,
        "gamma": 0.8,
        "step_size": 0.02,
    }
    one, other = frame("jacobi", **options), frame("jacobi", vectorised=True, **options)
    engine = ENGINES["jacobi"]()
    for turn in range(5):
        one.round = other.round = turn
        a, b = engine.run(one), engine.run(other)
        assert a.steps == b.steps
        assert a.train_loss == pytest.approx(b.train_loss, rel=1e-5)
        torch.testing.assert_close(values(one.model), values(other.model), rtol=1e-4, atol=1e-6)
    with_norms = frame("jacobi", ConvNet(3, [4], 4, image_size=8), vectorised=True)
    with pytest.raises(UsageError, match="without buffers"):
        engine.run(with_norms)
    with pytest.raises(Diverged, match="block"):
        wild = frame("jacobi", vectorised=True, step_size=1e30)
        for _ in range(3):
            engine.run(wild)


def test_local_sgd_by_hand() -> None:
    run = frame("local-sgd")
    want = copy.deepcopy(run.model)
    names = [name for name, _ in want.named_parameters()]
    ended = [
        slow.trained_copy(want, names, [next(s) for _ in range(3)], cross_entropy, 0.05)
        for s in (Stream(run.train, 8, 0, worker) for worker in range(3))
    ]
    record = ENGINES["local-sgd"]().run(run)
    torch.testing.assert_close(values(run.model), torch.stack([values(m) for m in ended]).mean(0))
    size = sum(p.numel() for p in want.parameters()) * 4
    assert record.bytes_communicated == 2 * size * 2 and record.gradient_evaluations == 9
