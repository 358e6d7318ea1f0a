"""The coupling map keeps its promise: entries that have converged are right, and upper bounds hold, against brute force."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blockzoo import blockwise
from blockzoo.blockwise.curvature import search
from blockzoo.blockwise.curvature.bounds import least_component
from blockzoo.blockwise.curvature.checks import ConvergedEntry, check_coupling_entry
from blockzoo.blockwise.curvature.hessian import Hessian
from blockzoo.blockwise.curvature.lanczos import GolubKahan, Lanczos, random_unit
from blockzoo.core.errors import CheckFailed
from blockzoo.models.feedforward import FeedForward

cross_entropy = nn.functional.cross_entropy


def _benchmark() -> Any:
    path = Path(__file__).parents[3] / "benchmarks" / "coupling_promise.py"
    spec = importlib.util.spec_from_file_location("coupling_promise", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.path", ["", *__import__("sys").path])
        spec.loader.exec_module(module)
    return module


def _holds(row: dict[str, Any]) -> bool:
    return bool(
        row["wrong"] == 0
        and row["not_converged"] == 0
        and row["worst"] >= 0.999
        and abs(row["median"] - 1) <= 1e-4
        and row["truth_over_upper"] <= 1
    )


@pytest.fixture
def nothing_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry is searched for, however small the network."""
    monkeypatch.setattr(search, "SMALL_NETWORK", 0)
    monkeypatch.setattr(search, "PER_ENTRY", 0)


@pytest.mark.parametrize("name", ["tanh-3", "attention-1", "words-1"])
def test_some_maps_keep_the_promise(name: str, nothing_whole: None) -> None:
    row = _benchmark().measure(name, seed=100, with_power=False)
    assert _holds(row) and row["products"] < row["parameters"]


@pytest.mark.parametrize("name", ["gelu-3"])
def test_maps_of_blocks_that_are_computed_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SMALL_NETWORK", 10_000)
    row = _benchmark().measure(name, seed=101, with_power=False)
    assert _holds(row) and row["products"] == row["parameters"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [102, 103])
def test_all_maps_keep_the_promise(seed: int, nothing_whole: None) -> None:
    benchmark = _benchmark()
    rows = [benchmark.measure(name, seed, with_power=False) for name in benchmark.NETWORKS]
    assert [row["network"] for row in rows if not _holds(row)] == []


@pytest.mark.parametrize("widths", [(12, 12, 12), (12, 12), (12,)])
def test_networks_whose_entries_once_settled_on_the_second_singular_value(
    widths: tuple[int, ...], nothing_whole: None
) -> None:
    """Seeds at which an earlier way said that an entry at 0.76 to 0.96 of the truth had converged."""
    seed = {3: 9, 2: 11, 1: 4}[len(widths)]
    torch.manual_seed(seed)
    model = FeedForward(8, list(widths), 3)
    batch = torch.randn(64, 8), torch.randint(3, (64,))
    coupling = blockwise.coupling_map(model, cross_entropy, [batch])
    exact = blockwise.exact_hessian(model.double(), cross_entropy, (batch[0].double(), batch[1]), "blocks")
    blocks = [row.split(coupling.sizes, 1) for row in exact.split(coupling.sizes)]
    truth = np.array([[float(torch.linalg.matrix_norm(b, 2)) for b in row] for row in blocks])
    assert coupling.converged.all() and (coupling.upper >= truth).all()
    np.testing.assert_allclose(coupling.sigma, truth, rtol=1e-5)


# --- the bound by itself ----------------------------------------------------------------------------


def _with_singular_values(values: torch.Tensor, rows: int, generator: torch.Generator) -> torch.Tensor:
    n = len(values)
    left = torch.linalg.qr(torch.randn(rows, n, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
    return left * values @ right.T


SPECTRA = {
    "two alike": torch.cat([torch.tensor([1.0, 0.999]), torch.linspace(0.5, 0, 38)]),
    "a cluster": torch.cat([torch.linspace(1.0, 0.98, 10), torch.linspace(0.3, 0, 30)]),
    "flat": torch.linspace(1.0, 0.0, 40),
    "few": torch.cat([torch.tensor([1.0, 0.8, 0.8]), torch.zeros(37)]),
    "decaying": 0.7 ** torch.arange(40.0),
    "all the same": torch.ones(40),
}


@pytest.mark.parametrize("kind", ["rectangular", "symmetric"])
@pytest.mark.parametrize("spectrum", list(SPECTRA))
def test_bounds_fail_no_more_often_than_they_say(kind: str, spectrum: str) -> None:
    """At a failure probability that can be seen: of 60 searches a bound may be broken in about 12, at every step of them."""
    values, failure, broken, steps = SPECTRA[spectrum].double(), 0.2, 0, []
    generator = torch.Generator().manual_seed(len(spectrum))
    component = least_component(len(values), failure)
    for _ in range(60):
        start = random_unit(len(values), values, generator)
        process: GolubKahan | Lanczos
        if kind == "rectangular":
            a = _with_singular_values(values, 50, generator)
            process = GolubKahan(lambda v, a=a: a @ v, lambda u, a=a: a.T @ u, start, (50, 40))
        else:
            signs = torch.randint(0, 2, (40,), generator=generator) * 2 - 1
            basis = torch.linalg.qr(torch.randn(40, 40, generator=generator, dtype=torch.float64))[0]
            a = basis * (values * signs) @ basis.T
            process = Lanczos(lambda v, a=a: a @ v, start)
        least = math.inf
        while not (process.exhausted or process.within(1e-3, component)):
            process.step()
            least = min(least, process.upper(component))
            assert process.value <= 1 + 1e-9
        broken += least < 1 - 1e-9
        steps.append(process.steps)
    assert broken <= 20, "more than a chance of 1 in 100 would bring"
    assert np.median(steps) <= 40


def test_how_small_a_component_can_be() -> None:
    """The bound against draws: no more of them are smaller than it says."""
    generator = torch.Generator().manual_seed(0)
    assert least_component(1, 1e-4) == 1
    for size in (2, 3, 10, 1000):
        drawn = torch.stack(
            [random_unit(size, torch.zeros((), dtype=torch.float64), generator)[0] for _ in range(2000)]
        )
        for failure in (0.3, 0.03):
            share = float((drawn.abs() < least_component(size, failure)).double().mean())
            assert share <= failure + 3 * math.sqrt(failure / 2000)
            assert share >= failure / 2, "nor far fewer: the bound would be needlessly wide"


# --- checks that can fail ---------------------------------------------------------------------------


class _SecondValue(GolubKahan):
    """A search that does not see the largest singular value: what it starts in has nothing of it, and rounding adds nothing."""

    def __init__(
        self, forward: Any, backward: Any, start: torch.Tensor, shape: Any, first: Any = None
    ) -> None:
        a = torch.stack([forward(e) for e in torch.eye(shape[1]).to(start)], 1)
        top = torch.linalg.svd(a)[2][0]

        def aside(v: torch.Tensor) -> torch.Tensor:
            return v - top * (top @ v)

        start = aside(start)
        super().__init__(forward, lambda u: aside(backward(u)), start / start.norm(), shape)


@pytest.mark.mutation("coupling-entry")
def test_an_iteration_that_settles_on_the_second_value_is_seen(
    monkeypatch: pytest.MonkeyPatch, nothing_whole: None
) -> None:
    torch.manual_seed(0)
    model, batch = (
        FeedForward(8, [12, 12], 3).double(),
        (torch.randn(40, 8).double(), torch.randint(3, (40,))),
    )
    assert "coupling-entry" in blockwise.coupling_map(model, cross_entropy, batch).checked
    monkeypatch.setattr(search, "GolubKahan", _SecondValue)
    seen = 0
    for seed in range(6):  # a diagonal entry, which the mutation leaves right, may be drawn
        try:
            blockwise.coupling_map(model, cross_entropy, batch, seed=seed)
        except CheckFailed as error:
            seen += "coupling-entry" in str(error)
    assert seen >= 2


@pytest.mark.mutation("coupling-entry")
def test_a_search_that_ends_too_early_is_seen(monkeypatch: pytest.MonkeyPatch, nothing_whole: None) -> None:
    torch.manual_seed(0)
    model, batch = (
        FeedForward(8, [12, 12], 3).double(),
        (torch.randn(40, 8).double(), torch.randint(3, (40,))),
    )
    for kind in ("GolubKahan", "Lanczos"):
        hasty = type(
            "Hasty", (getattr(search, kind),), {"within": lambda self, tol, component: self.steps > 1}
        )
        monkeypatch.setattr(search, kind, hasty)
    with pytest.raises(CheckFailed, match="coupling-entry"):
        blockwise.coupling_map(model, cross_entropy, batch)


@pytest.mark.mutation("dense-blocks")
def test_columns_that_are_not_those_of_the_matrix_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, batch = FeedForward(8, [12], 3), (torch.randn(40, 8), torch.randint(3, (40,)))
    plain = Hessian.columns
    blockwise.coupling_map(model, cross_entropy, batch)
    for wrong in (
        lambda columns: [f.roll(1, 0) for f in columns],
        lambda columns: [torch.cat([f[:-1], 0 * f[-1:]]) for f in columns],
        lambda columns: [1.01 * f for f in columns],
    ):
        monkeypatch.setattr(Hessian, "columns", lambda *args, wrong=wrong: wrong(plain(*args)))
        with pytest.raises(CheckFailed, match="dense-blocks"):
            blockwise.coupling_map(model, cross_entropy, batch)


class _WrongTwice(torch.autograd.Function):
    """A sine whose gradient is right, and whose second derivative is not."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return gradient * x.detach().cos()


@pytest.mark.mutation("second-derivatives")
@pytest.mark.parametrize("kind", ["own function", "rounded", "detached"])
@pytest.mark.parametrize("matrix", ["hessian", "ggn"])
def test_second_derivatives_that_are_wrong_are_seen(kind: str, matrix: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(5, 6), nn.Linear(6, 3)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.blocks[0](x)
            if kind == "own function":
                y = _WrongTwice.apply(y)
            elif kind == "rounded":  # a straight-through estimator
                y = y + ((8 * y).round() / 8 - y).detach()
            else:
                y = y * y.abs().mean(1, keepdim=True).detach()
            return self.blocks[1](y)

    torch.manual_seed(0)
    batch = torch.randn(12, 5), torch.randint(3, (12,))
    if (kind, matrix) == ("own function", "ggn"):
        assert blockwise.GaussNewton(Net(), cross_entropy, batch).checked["second-derivatives"] < 1e-5
        return  # it needs no second derivative of the network
    with pytest.raises(CheckFailed, match="second-derivatives"):
        blockwise.coupling_map(Net(), cross_entropy, batch, matrix=matrix)


def test_kinks_and_float32_inside_are_no_faults() -> None:
    """ReLUs at exactly 0 by design (a branch that starts at 0), and networks that compute in fewer bits within."""

    class Net(nn.Module):
        def __init__(self, cast: bool) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(5, 6, bias=False), nn.Linear(6, 3)])
            self.gain, self.cast = nn.Parameter(torch.zeros(6)), cast

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.blocks[0](x).relu()
            y = (y + self.gain * y.cos()).relu()
            y = nn.functional.layer_norm(y.float(), (6,)).type_as(y) if self.cast else y
            return self.blocks[1](y)

    torch.manual_seed(0)
    batch = torch.randn(12, 5), torch.randint(3, (12,))
    whole = {"first": "blocks.0.*|gain", "second": "blocks.1.*"}
    assert Hessian(Net(False), cross_entropy, batch, whole).checked["second-derivatives"] < 1e-3
    assert Hessian(Net(True), cross_entropy, batch, whole).checked["second-derivatives"] < 1e-3


class _Inside(nn.Module):
    """A network with something inside that a copy in float64 alone cannot run, or runs in fewer bits."""

    def __init__(self, what: str, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(5, 6), nn.Linear(6, 3)])
        self.what, self.function, self.constants = what, function, [torch.eye(6), torch.ones(6)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.function(self.blocks[0](x.float() if self.what == "cast of the input" else x))
        if self.what == "constant":
            y = y @ self.constants[0]
        elif self.what == "cast and back":
            y = y.to(torch.float32).type_as(x)
        elif self.what == "written in place":
            z = torch.zeros(y.shape)
            z[:] = y
            z += self.constants[1]
            y = z.mul_(2)
        elif self.what == "numpy":
            y = y * torch.from_numpy(np.ones(6, np.float32))
        elif self.what == "its type is asserted":
            assert self.blocks[0].weight.dtype == torch.float32
        return self.blocks[1](y)


INSIDE = (
    "cast of the input",
    "constant",
    "cast and back",
    "written in place",
    "numpy",
    "its type is asserted",
)


@pytest.mark.mutation("second-derivatives")
@pytest.mark.parametrize("what", INSIDE)
@pytest.mark.parametrize("matrix", ["hessian", "ggn"])
def test_the_comparison_is_made_whatever_the_network_does_with_float64(what: str, matrix: str) -> None:
    """A right network has a number, a wrong one is refused; never is there no comparison."""
    torch.manual_seed(0)
    batch = torch.randn(12, 5), torch.randint(3, (12,))
    coupling = blockwise.coupling_map(_Inside(what, torch.sin), cross_entropy, batch, matrix=matrix)
    assert 0 < coupling.checked["second-derivatives"] < (5e-2 if "asserted" in what else 1e-2)
    assert coupling.converged.all()
    wrong = _Inside(what, _WrongTwice.apply if matrix == "hessian" else lambda y: y + y.abs().detach())
    with pytest.raises(CheckFailed, match=r"second-derivatives' failed"):
        blockwise.coupling_map(wrong, cross_entropy, batch, matrix=matrix)


@pytest.mark.mutation("second-derivatives")
def test_the_comparison_is_made_on_examples_that_count() -> None:
    """The first examples, or all but one, are left out of the loss: their gradient is none."""
    torch.manual_seed(0)
    x, y = torch.randn(60, 5), torch.zeros(60).long()
    y[7] = 1
    for reduction in ("mean", "sum"):
        loss = nn.CrossEntropyLoss(ignore_index=0, reduction=reduction)
        for function in (torch.sin, torch.relu):
            deviation = Hessian(_Inside("nothing", function), loss, (x, y)).checked["second-derivatives"]
            assert 0 < deviation < 1e-2
        with pytest.raises(CheckFailed, match="second-derivatives"):
            Hessian(_Inside("nothing", _WrongTwice.apply), loss, (x, y))


@pytest.mark.mutation("second-derivatives")
def test_where_nothing_can_be_compared_there_is_no_map() -> None:
    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(5, 6), nn.Linear(6, 3)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) != 40:
                raise ValueError("forty examples are needed")
            assert self.blocks[0].weight.dtype == torch.float32
            if float(self.blocks[0].weight.detach().sum()) != total:
                raise ValueError("the weights are fixed")
            return self.blocks[1](self.blocks[0](x).tanh())

    torch.manual_seed(0)
    model = Once()
    total = float(model.blocks[0].weight.detach().sum())
    with pytest.raises(CheckFailed, match=r"could not be made: .*the weights are fixed"):
        blockwise.coupling_map(model, cross_entropy, (torch.randn(40, 5), torch.randint(3, (40,))))


def test_entries_of_networks_that_compute_in_fewer_bits_do_not_claim_more() -> None:
    def rounding(y: torch.Tensor) -> torch.Tensor:
        return y.bfloat16().float().sin()

    torch.manual_seed(0)
    batch = torch.randn(12, 5), torch.randint(3, (12,))
    model = _Inside("nothing", rounding)
    with pytest.warns(UserWarning, match="computes in fewer bits"):
        coupling = blockwise.coupling_map(model, cross_entropy, batch)
    assert not coupling.converged.any() and "fewer bits" in coupling.stopped
    assert blockwise.coupling_map(model, cross_entropy, batch, tol=0.02).converged.all()
    plain = blockwise.coupling_map(_with_weights(_Inside("nothing", torch.sin), model), cross_entropy, batch)
    assert (np.abs(coupling.sigma / plain.sigma - 1) > 1e-4).any() and (
        coupling.upper >= plain.sigma * 0.99
    ).all()


def _with_weights(model: nn.Module, of: nn.Module) -> nn.Module:
    model.load_state_dict(of.state_dict())
    return model


@pytest.mark.mutation("coupling-entry")
def test_an_entry_of_one_column_is_checked_too() -> None:
    def forward(v: torch.Tensor) -> torch.Tensor:
        return v * torch.tensor([3.0, 4.0])

    def check(sigma: float) -> float:
        generator = torch.Generator().manual_seed(0)
        entry = ConvergedEntry((0, 1), torch.ones(1), sigma)
        return check_coupling_entry(forward, lambda u: u[:1], entry, 2, 1e-3, 1e-4, generator)

    assert check(5.0) < 1e-6
    with pytest.raises(CheckFailed, match="coupling-entry"):
        check(4.9)
