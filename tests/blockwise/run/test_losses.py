"""Networks and losses that do as they like: inputs written to, sums, several numbers, checkpoints, odd data, odd numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from blockzoo.blockwise.contracts import ENGINES
from blockzoo.blockwise.curricula import make_curriculum
from blockzoo.blockwise.run.data import Examples
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.options import Options
from blockzoo.blockwise.run.probe import _step
from blockzoo.blockwise.run.view import RunView
from blockzoo.blockwise.units import make_units
from blockzoo.core.errors import UsageError
from blockzoo.core.said import forget_what_was_said
from tests.blockwise.curvature.test_frozen import MODES

cross_entropy = nn.functional.cross_entropy


class _Net(nn.Module):
    """Two blocks, of which the first is given."""

    def __init__(self, first: nn.Module | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([first or nn.Sequential(nn.Linear(5, 4), nn.Tanh()), nn.Linear(4, 3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class _Normalising(_Net):
    """Normalises its input in place, as many do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x -= 0.5
        return super().forward(x)


class _OutOfPlace(_Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x - 0.5)


def _data(n: int = 40) -> Examples:
    generator = torch.Generator().manual_seed(0)
    return Examples(torch.randn(n, 5, generator=generator), torch.randint(3, (n,), generator=generator))


def _frame(
    mode: str, model: nn.Module, criterion: Any = cross_entropy, train: Any = None, **options: Any
) -> Frame:
    mode, vectorised = ("jacobi", True) if mode == "vectorised" else (mode, False)
    settings = {"k": 3, "step_size": 0.1, "batch_size": 8, **options}
    data = _data() if train is None else train
    return Frame(
        model, data, _data(20), criterion, Options(training_mode=mode, vectorised=vectorised, **settings)
    )


def _in_place(inner: nn.Module) -> nn.Module:
    """A first block whose first operation writes to what it reads."""
    return nn.Sequential(nn.ReLU(inplace=True), inner, nn.ReLU(inplace=True))


@pytest.mark.parametrize("mode", [*MODES, "importance"])
@pytest.mark.parametrize(
    "pair",
    [
        (_Normalising, _OutOfPlace),
        (
            lambda: _Net(_in_place(nn.Linear(5, 4))),
            lambda: _Net(nn.Sequential(nn.ReLU(), nn.Linear(5, 4), nn.ReLU())),
        ),
    ],
    ids=["forward", "blocks"],
)
def test_a_network_that_writes_to_its_input_trains_as_one_that_does_not(
    mode: str, pair: tuple[Callable[[], nn.Module], Callable[[], nn.Module]]
) -> None:
    """And what it wrote to was a copy: data, evaluations and measurements stay."""
    runs, options = [], {}
    if mode == "importance":
        mode, options = "gauss-seidel", {"order": "importance"}
    for make in pair:
        torch.manual_seed(0)
        run = _frame(mode, make(), **options)
        before = [t.clone() for t in (run.train.x, run.validation.x)]
        engine = ENGINES[run.options.training_mode]()
        for run.round in range(3):
            engine.run(run)
        first, second = run.evaluate(), run.evaluate()
        unit = make_units(["norms batch_size=8"])["norms"]
        assert unit.measure(RunView(run))["gradient_norm"] == unit.measure(RunView(run))["gradient_norm"]
        batches = run.probe(2, 16)
        assert run.loss_over(batches) == run.loss_over(batches)
        make_curriculum("hard").weights(0, RunView(run))
        _step(run, 12)
        assert first == second
        assert torch.equal(before[0], run.train.x) and torch.equal(before[1], run.validation.x)
        runs.append(run)
    for a, b in zip(*(run.model.parameters() for run in runs), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("criterion", "says"),
    [
        (nn.CrossEntropyLoss(reduction="none"), r"shape \(2,\).*reduction='mean'"),
        (nn.CrossEntropyLoss(reduction="sum"), "sum over the examples.*reduction='mean'"),
        (partial(cross_entropy, reduction="sum"), "sum over the examples"),
        (lambda output, y: (output.square().sum(1) - y).exp().sum(), "sum over the examples"),
    ],
)
def test_losses_that_are_no_mean_are_refused(mode: str, criterion: Any, says: str) -> None:
    run = _frame(mode, _Net(), criterion)
    with pytest.raises(UsageError, match=says):
        ENGINES[run.options.training_mode]().run(run)
    with pytest.raises(UsageError, match=says):
        run.evaluate()


WEIGHTS = torch.tensor([0.05, 1.0, 20.0])


@pytest.mark.parametrize(
    "criterion",
    [
        cross_entropy,
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(WEIGHTS),
        nn.CrossEntropyLoss(WEIGHTS, label_smoothing=0.2),
        nn.CrossEntropyLoss(ignore_index=0),
        lambda o, y: cross_entropy(o, y, reduction="none").topk(len(y) // 2).values.mean(),
        lambda o, y: cross_entropy(o, y).sqrt(),
    ],
)
def test_what_is_reported_is_the_loss_of_all_examples_as_one_batch(criterion: Any) -> None:
    """However they are cut: the validation loss, the loss of the unit `descent`, the gradient of the unit `norms`."""
    torch.manual_seed(0)
    data = Examples(_data().x, _data().y.sort().values)  # class by class
    run = _frame("jacobi", _Net(), criterion, train=data)
    loss = criterion(run.model(data.x), data.y)
    truth = float(loss.detach())
    parameters = list(run.model.blocks[0].parameters())  # type: ignore[union-attr, index]
    gradient = torch.autograd.grad(loss, parameters)
    for size in (40, 16, 7, 1):
        reported = run.evaluate(data, batch_size=size)
        assert reported["loss"] == pytest.approx(truth, rel=1e-5)
        assert reported["accuracy"] == int((run.model(data.x).argmax(1) == data.y).sum()) / 40
        assert run.loss_over(data.batches(size)) == pytest.approx(truth, rel=1e-5)
        (unit,) = make_units([f"norms batches=40 batch_size={size}"]).values()
        norm = float(torch.cat([g.flatten() for g in gradient]).norm())
        if size * 40 >= len(data):
            assert unit.measure(RunView(run))["gradient_norm"][0] == pytest.approx(norm, rel=1e-4)


def test_targets_that_cross_entropy_leaves_out() -> None:
    torch.manual_seed(0)
    y = _data().y.clone()
    y[:30] = -100
    data = Examples(_data().x, y)
    run = _frame("jacobi", _Net(), train=data)
    truth = float(cross_entropy(run.model(data.x), y).detach())
    assert run.evaluate(data, batch_size=16)["loss"] == pytest.approx(truth, rel=1e-5)
    total = nn.CrossEntropyLoss(reduction="sum")
    with pytest.raises(UsageError, match="a sum over the examples"):  # though the first two say nothing
        _frame("jacobi", _Net(), total, train=data).evaluate()


def test_targets_that_each_output_would_be_compared_with() -> None:
    """Outputs (N, 1), targets (N,): torch compares all with all, and warns."""
    x, numbers = _data().x, torch.randn(40)
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 1))
    data = Examples(x, numbers)
    run = Frame(model, data, data, nn.functional.mse_loss, Options(), "stage")
    with pytest.raises(UsageError, match="each is compared with all"):
        run.evaluate()
    column = Examples(x, numbers[:, None])
    assert Frame(model, column, column, nn.functional.mse_loss, Options(), "stage").evaluate()["loss"] > 0


def test_accuracy_of_maps_is_that_of_their_places() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, 1))
    torch.manual_seed(0)
    data = Examples(torch.randn(9, 2, 4, 4), torch.randint(3, (9, 4, 4)))
    run = Frame(model, data, data, cross_entropy, Options(), "stage")
    assert run.evaluate()["accuracy"] == pytest.approx(
        float((model(data.x).argmax(1) == data.y).float().mean())
    )


@pytest.mark.parametrize(
    "criterion", [nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss(torch.tensor([1.0, 2, 3]))]
)
def test_losses_that_are_a_mean_are_taken(criterion: Any) -> None:
    """They train the network, and what is reported is the loss that was given."""
    model, held_out = _Net(), _data(20)
    before = copy.deepcopy(model.state_dict())
    run = _frame("jacobi", model, criterion)
    ENGINES["jacobi"]().run(run)
    assert not any(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        assert run.evaluate()["loss"] == pytest.approx(
            float(criterion(model(held_out.x), held_out.y)), rel=1e-5
        )


class _Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.linear, self.reentrant = nn.Linear(5, 4), reentrant
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * checkpoint(lambda z: torch.tanh(self.linear(z)), x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("mode", MODES)
def test_reentrant_checkpoints_are_refused(mode: str) -> None:
    """They left the layer within them as it was, in silence, where the block has another parameter."""
    run = _frame(mode, _Net(_Checkpointed(True)))
    with pytest.raises(UsageError, match="use_reentrant=False"):
        ENGINES[run.options.training_mode]().run(run)
    with pytest.raises(UsageError, match="use_reentrant=False"):
        make_units(["norms"])["norms"].measure(RunView(run))


@pytest.mark.parametrize("mode", MODES[:-1])
def test_other_checkpoints_train(mode: str) -> None:
    run = _frame(mode, _Net(_Checkpointed(False)))
    before = [p.clone() for p in run.model.parameters()]
    ENGINES[mode]().run(run)
    assert not any(torch.equal(a, b) for a, b in zip(before, run.model.parameters(), strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_a_block_that_the_loss_does_not_depend_on_rests_in_effect(mode: str) -> None:
    model = _Net()
    model.blocks.append(nn.Linear(3, 3))
    model.forward = lambda x: model.blocks[1](model.blocks[0](x))  # type: ignore[method-assign]
    run = _frame(mode, model)
    before = model.blocks[2].weight.clone()
    ENGINES[run.options.training_mode]().run(run)
    torch.testing.assert_close(model.blocks[2].weight, before, rtol=0, atol=1e-7)
    with torch.no_grad():  # of the caller: training needs gradients all the same
        moved = ENGINES[run.options.training_mode]().run(run).movement
    assert moved[0] is not None and moved[0] > 0


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5)), "vectorised"),
        (nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)), "without buffers"),
    ],
)
def test_workers_that_cannot_be_stacked_say_so(first: nn.Module, says: str) -> None:
    run = _frame("vectorised", _Net(first))
    before = copy.deepcopy(run.model.state_dict())
    with pytest.raises(UsageError, match=says):
        ENGINES["jacobi"]().run(run)
    assert all(torch.equal(before[n], v) for n, v in run.model.state_dict().items())


def test_a_batch_too_small_for_the_norms_is_a_sentence() -> None:
    run = _frame("jacobi", _Net(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))), batch_size=1)
    with pytest.raises(UsageError, match=r"a batch of 1 is too small.*larger batch size"):
        ENGINES["jacobi"]().run(run)


def test_data_in_every_form_or_refused() -> None:
    whole = _data()
    forms: list[Any] = [
        (whole.x, whole.y),
        [whole.x, whole.y],
        [(whole.x[:30], whole.y[:30]), (whole.x[30:], whole.y[30:])],
        (batch for batch in whole.batches(16)),
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(whole.x, whole.y), batch_size=16),
    ]
    for form in forms:
        examples = Examples.of(form)
        assert torch.equal(examples.x, whole.x) and torch.equal(examples.y, whole.y)
    assert Examples.of(whole) is whole
    for wrong in (
        [],
        whole.x,
        3,
        [whole.x],
        {"x": whole.x},
        (whole.x[:0], whole.y[:0]),
        (whole.x, whole.y[:3]),
    ):
        with pytest.raises(UsageError, match=r"pair|inputs"):
            _frame("jacobi", _Net(), train=wrong)
    for batches, size in ((0, 8), (1, 0)):
        with pytest.raises(UsageError, match="1 or more"):
            _frame("jacobi", _Net()).probe(batches, size)


@pytest.mark.parametrize("mode", MODES)
def test_numbers_of_16_bits(mode: str) -> None:
    data = Examples(_data().x.bfloat16(), _data().y)
    run = _frame(mode, _Net().bfloat16(), train=data, prox_lambda=0.1)
    run.validation = data
    engine, before = ENGINES[run.options.training_mode](), run.evaluate()["loss"]
    for run.round in range(8):
        record = engine.run(run)
    assert run.evaluate()["loss"] < before and all(m is None or 0 < m < 10 for m in record.movement)
    for unit in make_units(["norms", "working-memory", "deviation"]).values():
        assert unit.measure(RunView(run))


@pytest.mark.parametrize("mode", MODES[:-1])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_sparse_embeddings_train_as_dense_ones(mode: str, optimizer: str) -> None:
    ended = []
    for sparse in (True, False):
        torch.manual_seed(0)
        model = _Net(nn.Sequential(nn.Embedding(10, 4, sparse=sparse), nn.Flatten(), nn.Linear(12, 4)))
        generator = torch.Generator().manual_seed(0)
        data = Examples(
            torch.randint(10, (40, 3), generator=generator), torch.randint(3, (40,), generator=generator)
        )
        run = _frame(mode, model, train=data, optimizer=optimizer, prox_lambda=0.01, order="importance")
        ENGINES[mode]().run(run)
        norms = make_units(["norms"])["norms"].measure(RunView(run))["gradient_norm"]
        ended.append((*(p.detach() for p in model.parameters()), torch.tensor(norms)))
    for a, b in zip(*ended, strict=True):
        torch.testing.assert_close(a, b)


def test_what_an_evaluation_depends_on_besides_its_examples_is_said(caplog: pytest.LogCaptureFixture) -> None:
    data = Examples(torch.randn(40, 5), torch.randint(3, (40,)))

    def said(layer: nn.Module) -> str:
        caplog.clear()
        forget_what_was_said()
        model = nn.Sequential(nn.Linear(5, 4), layer, nn.Linear(4, 3))
        Frame(model, data, data, cross_entropy, Options(), "stage").evaluate()
        return caplog.text

    assert "another output when others are in its batch" in said(nn.BatchNorm1d(4, track_running_stats=False))
    assert said(nn.BatchNorm1d(4)) == said(nn.Dropout()) == ""
