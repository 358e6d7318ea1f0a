"""Networks, losses and batches as people have them: the curvature is right, or refused in words."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from blockzoo import blockwise
from blockzoo.blockwise.curvature.frozen_loss import FrozenLoss
from blockzoo.blockwise.partition import make_partition
from blockzoo.blockwise.run.data import Examples
from blockzoo.blockwise.run.frame import Frame
from blockzoo.blockwise.run.options import Options
from blockzoo.blockwise.run.view import RunView
from blockzoo.blockwise.units import make_units
from blockzoo.core.errors import CheckFailed, UsageError
from tests.blockwise.run.test_losses import _in_place, _Net, _Normalising, _OutOfPlace

cross_entropy = nn.functional.cross_entropy
Maker = Callable[[], nn.Module]


def _batch(n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 5, generator=generator), torch.randint(3, (n,), generator=generator)


def _net(first: nn.Module | None = None, kind: type[_Net] = _Net) -> nn.Module:
    torch.manual_seed(0)
    return kind(first)


def _sigma(model: nn.Module, loss: Any = cross_entropy, data: Any = None, **how: Any) -> np.ndarray[Any, Any]:
    coupling = blockwise.coupling_map(model, loss, _batch() if data is None else data, **how)
    assert coupling.converged.all()
    return coupling.sigma


def test_a_network_that_writes_to_its_input() -> None:
    x, y = _batch()
    kept = x.clone()
    sigma = _sigma(_net(kind=_Normalising), data=[(x, y)])
    assert torch.equal(x, kept)
    np.testing.assert_allclose(sigma, _sigma(_net(kind=_OutOfPlace)), rtol=1e-5)
    torch.manual_seed(0)
    plain = nn.Sequential(nn.ReLU(), nn.Linear(5, 4), nn.ReLU())
    inside = _net(_in_place(plain[1]))
    np.testing.assert_allclose(_sigma(inside), _sigma(_with_last_of(inside, plain)), rtol=1e-5)


def _with_last_of(model: nn.Module, first: nn.Module) -> nn.Module:
    other = copy.deepcopy(model)
    other.blocks[0] = copy.deepcopy(first)  # type: ignore[operator, index]
    return other


@pytest.mark.parametrize("matrix", ["hessian", "ggn"])
def test_frozen_parameters_are_constants(matrix: str) -> None:
    """A frozen block couples with nothing; a frozen tensor is no part of its block."""
    whole = blockwise.coupling_map(_net(), cross_entropy, _batch(), "tensor", matrix=matrix)
    model = _net()
    model.blocks[0].requires_grad_(False)  # type: ignore[union-attr, index]
    kept = [p.requires_grad for p in model.parameters()]
    coupling = blockwise.coupling_map(model, cross_entropy, _batch(), "tensor", matrix=matrix)
    np.testing.assert_allclose(coupling.sigma[2:, 2:], whole.sigma[2:, 2:], rtol=1e-5)
    assert (coupling.sigma[:2] == 0).all() and coupling.sizes[:2] == (0, 0) and coupling.converged.all()
    assert [p.requires_grad for p in model.parameters()] == kept
    bias = _net()
    bias.blocks[1].bias.requires_grad_(False)  # type: ignore[union-attr, index]
    coupling = blockwise.coupling_map(bias, cross_entropy, _batch(), matrix=matrix)
    assert coupling.sizes == (24, 12)
    assert coupling.sigma[1, 1] == pytest.approx(whole.sigma[2, 2], rel=1e-5)
    exact = blockwise.exact_hessian(bias, cross_entropy, _batch())
    assert exact.shape == (36, 36)
    hessian = blockwise.Hessian(model, cross_entropy, _batch())
    assert blockwise.row_norm(hessian, 1) == 0 == blockwise.row_norm(hessian, 0)
    assert blockwise.extreme_eigenvalues(hessian, 0).largest == 0 == blockwise.trace(hessian, 0)
    with pytest.raises(UsageError, match="frozen"):
        blockwise.spectral_density(hessian, 0)
    with pytest.raises(UsageError, match="not frozen"):
        blockwise.coupling_map(_net().requires_grad_(False), cross_entropy, _batch())


def test_units_and_choices_of_a_network_with_a_frozen_block() -> None:
    model = _net()
    model.blocks[0].requires_grad_(False)  # type: ignore[union-attr, index]
    data = Examples(*_batch(20))
    run = Frame(model, data, data, cross_entropy, Options())
    for unit in make_units(["coupling", "hessian"]).values():
        values = unit.measure(RunView(run))
        norms = values.get("sigma", values.get("block_spectral_norms"))
        assert norms[0][0] == norms[0][1] == 0 < norms[1][1]


def test_losses_that_are_sums_or_many_numbers() -> None:
    x, y = _batch()
    halves = [(x[:5], y[:5]), (x[5:], y[5:])]
    total = nn.CrossEntropyLoss(reduction="sum")
    np.testing.assert_allclose(_sigma(_net(), total, halves), _sigma(_net(), total), rtol=1e-5)
    np.testing.assert_allclose(_sigma(_net(), total), 12 * _sigma(_net()), rtol=1e-5)
    np.testing.assert_allclose(_sigma(_net(), data=halves), _sigma(_net()), rtol=1e-5)
    with pytest.raises(UsageError, match=r"shape \(12,\).*mean"):
        _sigma(_net(), nn.CrossEntropyLoss(reduction="none"))


WEIGHTS = torch.tensor([0.05, 1.0, 20.0])


class _Weighted(nn.Module):
    """Class weights that are no buffer: nothing makes them double."""

    def __init__(self) -> None:
        super().__init__()
        self.own = [WEIGHTS]

    def forward(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs, y, self.own[0])


def _worst_half(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return cross_entropy(outputs, y, reduction="none").topk(len(y) // 2).values.mean()


LOSSES: dict[str, Any] = {
    "mean": cross_entropy,
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "class weights": nn.CrossEntropyLoss(WEIGHTS),
    "class weights in a list": _Weighted(),
    "weights in a function": lambda o, y: cross_entropy(o, y, WEIGHTS),
    "weights and smoothing": nn.CrossEntropyLoss(WEIGHTS, label_smoothing=0.2),
    "ignored class": nn.CrossEntropyLoss(ignore_index=0),
    "square of the sum": lambda o, y: cross_entropy(o, y, reduction="sum") ** 2 / 100,
    "worst half": _worst_half,
    "none, then its root": lambda o, y: cross_entropy(o, y, reduction="none").mean().sqrt(),
}


@pytest.mark.parametrize("matrix", ["hessian", "ggn"])
@pytest.mark.parametrize("name", LOSSES)
def test_batches_make_the_loss_that_one_batch_of_all_has(name: str, matrix: str) -> None:
    """Against the brute-force matrix of one batch: of the loss by all parameters, or J' H J."""
    torch.manual_seed(0)
    loss = LOSSES[name]
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    x, y = torch.randn(24, 4), torch.tensor([0] * 15 + [1] * 6 + [2] * 3)  # class by class
    parts = [(x[a:b], y[a:b]) for a, b in ((0, 7), (7, 16), (16, 17), (17, 24))]
    coupling = blockwise.coupling_map(model, loss, parts, "module", matrix=matrix)
    names, shapes = zip(*((n, p.shape) for n, p in model.named_parameters()), strict=True)

    def outputs(theta: torch.Tensor) -> torch.Tensor:
        cut = theta.split([s.numel() for s in shapes])
        own = {n: t.view(s) for n, t, s in zip(names, cut, shapes, strict=True)}
        return torch.func.functional_call(model, own, (x,))

    theta = torch.cat([p.detach().flatten() for p in model.parameters()])
    if matrix == "hessian":
        truth = torch.autograd.functional.hessian(lambda t: loss(outputs(t), y), theta)
    else:
        j = torch.autograd.functional.jacobian(outputs, theta).flatten(0, 1)
        at = outputs(theta).detach()
        truth = j.T @ torch.autograd.functional.hessian(lambda o: loss(o, y), at).reshape(len(j), -1) @ j
    blocks = [slice(0, 25), slice(25, len(theta))]
    norms = [[float(torch.linalg.matrix_norm(truth[a, b], 2)) for b in blocks] for a in blocks]
    np.testing.assert_allclose(coupling.sigma, norms, rtol=2e-3)
    assert coupling.converged.all() and all(0 <= value < 1e-2 for value in coupling.checked.values())


def test_batches_of_different_shapes_are_one_where_examples_stand_alone() -> None:
    torch.manual_seed(0)

    def network(norm: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 3, 3), norm, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))

    y = torch.arange(8) % 3
    batches = [(torch.randn(3, 1, 5, 5), y[:3]), (torch.randn(5, 1, 4, 4), y[3:])]
    model = network(nn.Tanh())
    sigma = _sigma(model, LOSSES["class weights"], batches, partition="module")

    class Whole(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert len(x) == 8
            return torch.cat([model_(b) for b, _ in batches])

    whole = Whole()
    model_ = whole.inner = copy.deepcopy(model)
    x, loss = torch.zeros(8, 1), LOSSES["class weights"]
    p = list(whole.parameters())
    gradient = torch.autograd.grad(loss(whole(x), y), p, create_graph=True)
    flat = torch.cat([g.flatten() for g in gradient])
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(f, p, retain_graph=True)]) for f in flat]
    truth = torch.stack(rows)
    size = model_[0].weight.numel() + 3
    assert sigma[0, 0] == pytest.approx(float(torch.linalg.matrix_norm(truth[:size, :size], 2)), rel=1e-3)
    assert sigma[0, 1] == pytest.approx(float(torch.linalg.matrix_norm(truth[:size, size:], 2)), rel=1e-3)
    with pytest.raises(UsageError, match="depends on the others of its batch"):
        _sigma(network(nn.BatchNorm2d(3, track_running_stats=False)), data=batches)


def test_batches_of_one_shape_are_one_where_examples_stand_alone() -> None:
    x, y = _batch(8)
    halves = [(x[:4], y[:4]), (x[4:], y[4:])]
    torch.manual_seed(0)
    alone = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 3))
    with pytest.raises(UsageError, match="several batches do not make one: give one batch"):
        FrozenLoss(alone, cross_entropy, halves)
    assert FrozenLoss(alone, cross_entropy, (x, y)).value == cross_entropy(alone.eval()(x), y).item()
    FrozenLoss(nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)), cross_entropy, halves)


@pytest.mark.parametrize(
    ("data", "loss", "says"),
    [
        ([_batch(4), (_batch(4)[0], torch.zeros(4))], cross_entropy, "targets of the batches differ"),
        ([_batch(4), (_batch(4)[0], _batch(3)[1])], cross_entropy, "batch 1 has 4 inputs and 3 targets"),
        ([(torch.zeros(()), torch.zeros(()))], cross_entropy, "a single number"),
        ((_batch(3)[0], torch.zeros(3)), nn.functional.mse_loss, "differ in shape"),  # 3 outputs, 3 targets
    ],
)
def test_batches_that_make_no_single_one(data: Any, loss: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        _sigma(_net(), loss, data)


@pytest.mark.parametrize("kind", ["one tuple", "a list", "a generator", "a loader", "examples"])
def test_batches_in_any_form(kind: str) -> None:
    x, y = _batch()
    data: Any = {
        "one tuple": (x, y),
        "a list": [[x[:6], y[:6]], [x[6:], y[6:]]],
        "a generator": ((x[n : n + 4], y[n : n + 4]) for n in (0, 4, 8)),
        "a loader": torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=6),
        "examples": Examples(x, y),
    }[kind]
    np.testing.assert_allclose(_sigma(_net(), data=data), _sigma(_net()), rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ((), "no batch"),
        ([(torch.zeros(0, 5), torch.zeros(0).long())], "batch 0 has no examples"),
        ([_batch(), (torch.zeros(0, 5), torch.zeros(0).long())], "batch 1 has no examples"),
        (3, "not int"),
        ([(torch.zeros(4, 5),)], "not tuple"),
        ((torch.zeros(4, 6), torch.zeros(4).long()), "cannot be run on these batches: mat1"),
        ((torch.zeros(4, 5), torch.full((4,), 9)), "cannot be run on these batches: Target 9"),
    ],
)
def test_batches_that_are_none(data: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        _sigma(_net(), data=data)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_numbers_of_16_bits_are_computed_with_32(dtype: torch.dtype) -> None:
    model, (x, y) = _net().to(dtype), _batch()
    sigma = _sigma(model, data=(x.to(dtype), y))
    assert next(model.parameters()).dtype == dtype
    np.testing.assert_allclose(sigma, _sigma(model.float(), data=(x.to(dtype).float(), y)), rtol=1e-6)


def test_sparse_embeddings() -> None:
    words = torch.randint(10, (12, 3), generator=torch.Generator().manual_seed(0))

    def network(sparse: bool) -> nn.Module:
        torch.manual_seed(0)
        return _Net(nn.Sequential(nn.Embedding(10, 4, sparse=sparse), nn.Flatten(), nn.Linear(12, 4)))

    y = _batch()[1]
    model = network(True)
    np.testing.assert_allclose(_sigma(model, data=(words, y)), _sigma(network(False), data=(words, y)))
    assert model.blocks[0][0].sparse  # type: ignore[union-attr, index]

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(10, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.embedding(x, self.table, sparse=True).mean(1)

    with pytest.raises(UsageError, match="sparse=False"):
        _sigma(_Net(Functional()), data=(words, y))


class _Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.inner, self.reentrant = nn.Linear(5, 4), reentrant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(lambda z: torch.tanh(self.inner(z)), x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("limit", [None, 10_000])
def test_checkpoints(limit: int | None) -> None:
    plain = _net(nn.Sequential(nn.Linear(5, 4), nn.Tanh()))
    model = _Net(_Checkpointed(reentrant=False))
    model.load_state_dict(dict(zip(model.state_dict(), plain.state_dict().values(), strict=True)))
    np.testing.assert_allclose(_sigma(model, max_products=limit), _sigma(plain), rtol=1e-5)
    for matrix in ("hessian", "ggn"):
        with pytest.raises(UsageError, match="use_reentrant=False"):
            _sigma(_net(_Checkpointed(reentrant=True)), matrix=matrix)


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * ctx.saved_tensors[0].cos()


class _Plain(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (_Once.apply, "no right second derivative"),
        (lambda x: (x - x.detach()).norm(dim=1, keepdim=True) + x, "not finite"),
        (lambda x: (x * 0).abs().sqrt() + x, "not finite"),
        (lambda x: x.detach().requires_grad_(True), "detached"),
    ],
)
def test_functions_without_second_derivatives(function: Any, says: str) -> None:
    model = _net(nn.Sequential(nn.Linear(5, 4), _Plain(function)))
    with pytest.raises((UsageError, CheckFailed), match=says):
        _sigma(model)


def test_a_loss_without_a_graph_and_a_network_that_cannot_be_copied() -> None:
    with pytest.raises(UsageError, match="no second derivatives"):
        _sigma(_net(), lambda o, t: (o.argmax(1) == t).float().mean())
    model = _net()
    model.kept = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(UsageError, match="cannot be copied"):
        _sigma(model)
    with pytest.raises(UsageError, match="block -1"):
        blockwise.row_norm(blockwise.Hessian(_net(), cross_entropy, _batch()), -1)
    with pytest.raises(UsageError, match="block 7"):
        blockwise.row_norm(blockwise.Hessian(_net(), cross_entropy, _batch()), 7)


def test_parameters_that_are_single_numbers() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain, self.rate = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(2.0))
            self.line = nn.Linear(5, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.gain * torch.sin(self.rate * self.line(x))

    torch.manual_seed(0)
    model, x = Net().double(), _batch()[0].double()
    y = torch.randn(12, 1).double()
    sigma = _sigma(model, nn.functional.mse_loss, (x, y), partition="tensor")
    value = model.line(x).detach()
    a, b = model.gain.detach(), model.rate.detach()
    by_hand = (
        (2 * torch.sin(b * value) ** 2).mean(),
        (2 * value * torch.cos(b * value) * (2 * a * torch.sin(b * value) - y)).mean(),
    )
    np.testing.assert_allclose([sigma[0, 0], sigma[0, 1]], [abs(float(v)) for v in by_hand], rtol=1e-9)


def test_weight_norm_is_right_or_refused() -> None:
    """Its fused kernel has a wrong second derivative by the direction in torch 2.14 (differences of its own gradient tell)."""
    torch.manual_seed(0)
    first = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Tanh())
    model = _net(first).double()
    x, y = _batch()[0].double(), _batch()[1]
    hessian = object.__new__(blockwise.Hessian)
    hessian._build(FrozenLoss(model, cross_entropy, (x, y)), make_partition(model))
    v = torch.randn(sum(hessian.sizes), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    product, plain = hessian.full(v), hessian.by_differences(v, 1e-6)
    if torch.allclose(product, plain, rtol=1e-5, atol=1e-7):
        _sigma(model, data=(x, y))
    else:
        with pytest.raises(CheckFailed, match="second-derivatives"):
            _sigma(model, data=(x, y))


def test_entries_that_rounding_hides_are_not_said_to_have_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks whose coupling is far under what float32 resolves beside what the products sum up."""
    from blockzoo.blockwise.curvature import search

    monkeypatch.setattr(search, "SMALL_NETWORK", 0)
    monkeypatch.setattr(search, "PER_ENTRY", 0)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(5, 6), nn.Linear(5, 6)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a, b = (block(x).tanh() for block in self.blocks)
            return 1e3 * a + 1e3 * b + 1e-7 * a * b

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (output.sum(1) ** 3).mean() * 1e-6 - ((output.sum(1)) ** 3).mean() * 0.99999e-6

    torch.manual_seed(0)
    model, (x, y) = Net(), _batch()
    coupling = blockwise.coupling_map(model, loss, (x, y), tol=1e-6)
    truth = blockwise.coupling_map(model.double(), loss, (x.double(), y), tol=1e-6)
    wrong = np.abs(coupling.sigma / truth.sigma - 1) > 1e-3
    assert not (wrong & coupling.converged).any()
    if not coupling.converged.all():
        assert "float32" in coupling.stopped
