"""The map is that of the network and the loss that were given: right, or refused by name where a copy would be something else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from blockzoo import blockwise
from blockzoo.core.errors import CheckFailed
from blockzoo.models.copying import duplicate
from blockzoo.models.forgetting import forget
from blockzoo.models.state import left_as_it_is
from tests.reference.coupling import coupling

cross_entropy = nn.functional.cross_entropy
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.hidden(x))

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.first(x))


class Keeps(Plain):
    """Its last hidden values, for whoever asks."""

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        self.kept = super().hidden(x)
        self.listed = [{"kept": (self.kept,)}]
        return self.kept


class Masked(Plain):
    """Tensors that it can, or cannot, do without, and flags that say something else."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: torch.Tensor | None = torch.tensor([1.0, 0.0] * 4)
        self.constants, self.tables, self.deep = [torch.full((8,), 2.0)], {"a": torch.ones(8)}, True

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        y = super().hidden(x) * self.constants[0] * self.tables["a"] * (2 if self.deep else 1)
        return y if self.mask is None else y * self.mask


class Auxiliary(Plain):
    """A head for training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> Any:
        y = super().forward(x)
        return (y, self.other(self.hidden(x))) if self.training else y


def _right() -> dict[str, tuple[nn.Module, Loss]]:
    called, listed, features, hooked = Keeps(), Keeps(), dict[str, torch.Tensor](), Plain()
    called(_batch()[0])
    with torch.no_grad():
        listed(_batch()[0])
    hooked.first.register_forward_hook(lambda module, inputs, output: features.update(h=output))
    return {
        "an activation is kept": (Keeps(), cross_entropy),
        "it was called before": (called, cross_entropy),
        "without gradients": (listed, cross_entropy),
        "penalty on what a hook keeps": (
            hooked,
            lambda o, t: cross_entropy(o, t) + features["h"].square().mean(),
        ),
        "masks and constants": (Masked(), cross_entropy),
        "a head for training alone": (Auxiliary(), cross_entropy),
        "scripted": (
            torch.jit.script(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))),
            cross_entropy,
        ),
    }


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:The .grad attribute")
@pytest.mark.parametrize("kind", list(_right()))
def test_what_a_network_keeps_does_no_harm(kind: str) -> None:
    """Against plain autograd of the network itself."""
    model, loss = _right()[kind]
    was = [(layer.training, sorted(vars(layer))) for layer in model.modules()]
    measured = blockwise.coupling_map(model, loss, _batch(), "module")
    assert was == [(layer.training, sorted(vars(layer))) for layer in model.modules()]
    blocks = [list(layer.parameters()) for layer in model.children() if list(layer.parameters())]
    truth = coupling(model, loss, _batch(), blocks)
    np.testing.assert_allclose(measured.sigma, truth, rtol=1e-5, atol=1e-12)
    assert measured.checked["network-as-given"] <= 1e-6 and measured.converged.all()


def test_hooks_on_gradients_are_no_part_of_the_loss() -> None:
    model = Plain()
    model.first.weight.register_hook(lambda gradient: 2 * gradient)
    measured = blockwise.coupling_map(model, cross_entropy, _batch(), "module")
    plain = blockwise.coupling_map(Plain(), cross_entropy, _batch(), "module")
    np.testing.assert_array_equal(measured.sigma, plain.sigma)
    model(_batch()[0]).sum().backward()
    torch.testing.assert_close(model.first.bias.grad * 0 + 2, torch.full((8,), 2.0))
    once = torch.autograd.grad(model(_batch()[0]).sum(), copy.deepcopy(model).first.weight, allow_unused=True)
    assert once == (None,) and len(model.first.weight._backward_hooks) == 1


def _penalties() -> dict[str, tuple[nn.Module, Loss, str]]:
    """Losses that read the network."""
    model, kept, ghost = Plain(), Keeps(), Keeps()
    parameters = list(model.parameters())
    old = [p.detach().clone() for p in parameters]
    kept(_batch()[0])
    with torch.no_grad():
        ghost(_batch()[0])
    target = ghost.kept.clone()

    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return cross_entropy(outputs, y) + 0.1 * self.model.first.weight.square().sum()

    def with_(penalty: Callable[[], torch.Tensor]) -> Loss:
        return lambda outputs, y: cross_entropy(outputs, y) + penalty()

    return {
        "weights": (
            model,
            with_(lambda: 0.5 * sum(p.square().sum() for p in model.parameters())),
            "first.weight",
        ),
        "weights, a little": (model, with_(lambda: 1e-9 * parameters[0].square().sum()), "first.weight"),
        "distance, 0 where it starts": (
            model,
            with_(lambda: sum((p - q).square().sum() for p, q in zip(parameters, old, strict=True))),
            "first.weight",
        ),
        "a loss that holds the network": (model, Inside(), "first.weight"),
        "activations": (kept, with_(lambda: kept.kept.square().mean()), "first.weight"),
        "activations without a graph": (ghost, with_(lambda: ghost.kept.square().mean()), "keeps kept"),
        "distance of activations": (
            ghost,
            with_(lambda: (ghost.kept - target).square().mean()),
            "keeps kept",
        ),
    }


@pytest.mark.mutation("network-as-given")
@pytest.mark.parametrize("kind", list(_penalties()))
def test_losses_that_read_the_network_are_refused(kind: str) -> None:
    model, loss, names = _penalties()[kind]
    for made in (blockwise.coupling_map, blockwise.exact_hessian):
        with pytest.raises(CheckFailed, match=f"network-as-given.*{names}"):
            made(model, loss, _batch(), "module")  # type: ignore[operator]


class Prepares(nn.Module):
    """A weight that is computed at a first call in evaluation mode, and kept until it is trained."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.w, self.scale = nn.Parameter(torch.randn(8, 6) * 0.5), nn.Parameter(torch.randn(8, 1))
        self.head, self.ready = nn.Linear(8, 3), False
        self.own: torch.Tensor | None = None
        self.table: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(x @ (self.w * self.scale if self.training else self.prepared()).T))

    def train(self, mode: bool = True) -> nn.Module:
        self.own = None
        return super().train(mode)

    def prepared(self) -> torch.Tensor:
        if self.own is None:
            self.own = self.w * self.scale
        return self.own


class ForEver(Prepares):
    """It never drops it."""

    def train(self, mode: bool = True) -> nn.Module:
        return nn.Module.train(self, mode)


class WithoutGradient(Prepares):
    def prepared(self) -> torch.Tensor:
        with torch.no_grad():
            return super().prepared()


class Flagged(ForEver):
    def prepared(self) -> torch.Tensor:
        if not self.ready:
            self.own, self.ready = self.w * self.scale, True
        assert self.own is not None
        return self.own


class InATable(ForEver):
    def prepared(self) -> torch.Tensor:
        return self.table.setdefault("w", self.w * self.scale) if "w" not in self.table else self.table["w"]


class OfTheClass(InATable):
    shared: dict[str, torch.Tensor] = {}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        del self.table

    @property
    def table(self) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return self.shared

    @table.setter
    def table(self, value: object) -> None: ...

    @table.deleter
    def table(self) -> None: ...


class Partly(ForEver):
    """The weights are used directly too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + self.head(x @ self.w.T + self.scale.T)


class Remembered(ForEver):
    @lru_cache  # noqa: B019
    def prepared(self) -> torch.Tensor:
        return self.w * self.scale


@pytest.mark.mutation("network-as-given")
@pytest.mark.parametrize("used", ["fresh", "evaluated", "evaluated with gradients"])
@pytest.mark.parametrize(
    "kind", [Prepares, ForEver, WithoutGradient, Flagged, InATable, OfTheClass, Partly, Remembered]
)
def test_weights_that_are_prepared_once_are_refused(kind: type[Prepares], used: str) -> None:
    model = kind()
    if used != "fresh":
        if kind is Remembered:
            pytest.skip("a cache of functions cannot be told from a constant")
        with torch.set_grad_enabled("with" in used):
            model.eval()(_batch()[0])
    OfTheClass.shared.clear() if used == "fresh" else None
    before = dict(vars(model))
    with pytest.raises(CheckFailed, match="network-as-given"):
        blockwise.coupling_map(model, cross_entropy, _batch(), "tensor")
    assert vars(model) == before and (used != "fresh" or not OfTheClass.shared)
    OfTheClass.shared.clear()


class Merges(Prepares):
    """Low-rank updates that are added to a frozen weight in evaluation mode."""

    merged = False

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Parameter(torch.randn(8, 6), requires_grad=False)

    def train(self, mode: bool = True) -> nn.Module:
        if mode == self.merged:
            self.frozen.data += (-1 if mode else 1) * self.w * self.scale
            self.merged = not mode
        return nn.Module.train(self, mode)

    def prepared(self) -> torch.Tensor:
        return self.frozen

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(
            torch.tanh(x @ (self.frozen if self.merged else self.frozen + self.w * self.scale).T)
        )


class Bound(Plain):
    """A function that belongs to the network it was made for, not to a copy."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.function = (lambda x: self.last(x)) if whole else (lambda x: x * self.last.bias.sum())
        self.whole = whole

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.function(self.hidden(x))
        return y if self.whole else self.last(y)


@pytest.mark.mutation("network-as-given")
@pytest.mark.parametrize(
    ("model", "names"),
    [
        (Merges(), "writes to frozen"),
        (Merges().eval(), "writes to frozen"),
        (Bound(True), "last.weight"),
        (Bound(False), "last.bias"),
    ],
)
def test_networks_whose_copies_are_something_else_are_refused(model: nn.Module, names: str) -> None:
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CheckFailed, match=f"network-as-given.*{names}"):
        blockwise.coupling_map(model, cross_entropy, _batch(), "tensor")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_copies_of_what_calls_leave() -> None:
    """In attributes, lists, tuples and dicts; the copy runs alike and shares nothing."""
    model, x = Keeps(), _batch()[0]
    y = model(x)
    other = duplicate(model)
    assert (
        torch.equal(other.listed[0]["kept"][0], model.kept) and not other.listed[0]["kept"][0].requires_grad
    )
    assert torch.equal(other(x), y)
    assert other.kept is not model.kept and model.listed[0]["kept"][0] is model.kept


def test_what_a_call_brings_back_is_forgotten_and_nothing_else() -> None:
    x = _batch()[0]
    for model, names in ((Flagged(), {"own", "ready"}), (InATable(), {"table"}), (Masked(), set())):
        model(x) if isinstance(model, Masked) else model.eval()(x)
        with left_as_it_is(model):
            assert set(forget(model, lambda model=model: model(x))) == names
            assert not any(bool(getattr(model, name)) for name in names)
        assert all(getattr(model, name) is not None and len(vars(model)) for name in names)
        assert not isinstance(model, Masked) or model.mask is not None
