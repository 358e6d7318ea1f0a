"""Batch norms are folded where the graph proves it; everywhere else they stay, and the network computes what it did."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize, weight_norm

from blockzoo.core.errors import CheckFailed
from blockzoo.models import folding
from blockzoo.models.agreement import deviation, probes, random_statistics
from blockzoo.models.deploy import deployed, fold_batch_norm
from blockzoo.models.folding import Pair, safe_pairs


class Block(nn.Module):
    """A convolution and a batch norm, used as `way` says."""

    def __init__(self, way: Callable[[Any, torch.Tensor], Any], norm: nn.Module | None = None) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), norm or nn.BatchNorm2d(4)
        self.way = way

    def forward(self, x: torch.Tensor) -> Any:
        return self.way(self, x)


def in_place_before(block: Any, x: torch.Tensor) -> torch.Tensor:
    y = block.conv(x)
    z = block.norm(y)
    y[:, :2] += 1
    return z + y


def without_statistics(block: Any, x: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(block.conv(x), None, None, block.norm.weight, block.norm.bias, training=True)


READ_ELSEWHERE: dict[str, Callable[[Any, torch.Tensor], Any]] = {
    "a residual around the norm": lambda b, x: b.norm(y := b.conv(x)) + y,
    "a concatenation": lambda b, x: torch.cat([b.norm(y := b.conv(x)), y], 1),
    "an output": lambda b, x: (b.norm(y := b.conv(x)), y),
    "a view": lambda b, x: b.norm(y := b.conv(x)) + y[:, :1],
    "a function of the weight": lambda b, x: b.norm(b.conv(x)) + F.conv2d(x, b.conv.weight, padding=1),
    "the weight in a sum": lambda b, x: b.norm(b.conv(x)) * b.conv.weight.abs().mean(),
    "statistics read": lambda b, x: b.norm(b.conv(x)) + b.norm.running_mean[0],
    "the convolution twice": lambda b, x: b.norm(b.conv(b.conv(x))),
    "the norm twice": lambda b, x: b.norm(b.conv(b.norm(x))),
    "a write in place": in_place_before,
    "another axis": lambda b, x: b.norm(b.conv(x).transpose(1, 2)).transpose(1, 2),
    "something between": lambda b, x: b.norm(b.conv(x) * 2),
    "statistics of the batch": without_statistics,
    "a functional norm": lambda b, x: F.batch_norm(b.conv(x), b.norm.running_mean, b.norm.running_var),
}


@pytest.mark.parametrize("what", READ_ELSEWHERE)
def test_what_is_read_elsewhere_is_not_folded(what: str) -> None:
    block, x = Block(READ_ELSEWHERE[what]).eval(), torch.randn(2, 4, 4, 4)
    drawn = random_statistics(block)
    assert safe_pairs(drawn, x) == []
    with torch.no_grad():
        assert deviation(drawn(x), fold_batch_norm(drawn, x)(x)) < 1e-6
        assert deviation(drawn(x), deployed(drawn, x)(x)) < 1e-6


def plain(block: Any, x: torch.Tensor) -> torch.Tensor:
    return block.norm(block.conv(x))  # type: ignore[no-any-return]


class Twofold(nn.BatchNorm2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) * 2


class Standardised(nn.Conv2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(input, weight, self.bias, self.stride, self.padding)


class Deaf(nn.Conv2d):
    """Never adds its bias."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.conv2d(input, self.weight, None, self.stride, self.padding)


class Stubborn(nn.BatchNorm2d):
    """Stays in training mode."""

    def train(self, mode: bool = True) -> nn.BatchNorm2d:
        return super().train(True)


def unusual() -> dict[str, nn.Module]:
    networks: dict[str, nn.Module] = {
        name: Block(plain, norm)
        for name, norm in {
            "no running statistics": nn.BatchNorm2d(4, track_running_stats=False),
            "a norm that does more": Twofold(4),
            "a norm that stays in training": Stubborn(4),
            "a norm of another kind": nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
        }.items()
    }
    for name, kind in (("standardised weights", Standardised), ("a bias nobody adds", Deaf)):
        networks[name] = Block(plain)
        networks[name].conv = kind(4, 4, 3, padding=1, bias=False)
    networks["weight normalisation"] = Block(plain)
    networks["weight normalisation"].conv = weight_norm(nn.Conv2d(4, 4, 3, padding=1))
    networks["a parametrised weight"] = Block(plain)
    parametrize.register_parametrization(networks["a parametrised weight"].conv, "weight", nn.Tanh())  # type: ignore[arg-type]
    networks["a hook that changes"] = Block(plain)
    networks["a hook that changes"].conv.register_forward_hook(lambda m, args, output: output + 1)  # type: ignore[union-attr]
    networks["a hook that looks"] = Block(plain)
    networks["a hook that looks"].norm.register_forward_pre_hook(lambda m, args: None)  # type: ignore[union-attr]
    inner = nn.Sequential(nn.Conv2d(4, 4, 1))
    inner.register_forward_hook(lambda m, args, output: None)
    networks["a hook of the module around"] = nn.Sequential(inner, nn.BatchNorm2d(4))
    tied = Block(lambda b, x: b.norm(b.conv(x)) + b.other(x))
    tied.other = nn.Conv2d(4, 4, 3, padding=1)
    tied.other.weight = tied.conv.weight  # type: ignore[assignment]
    networks["a weight that two share"] = tied
    own = Block(plain)
    own.conv.forward = lambda x, conv=own.conv: nn.Conv2d.forward(conv, x) * 3  # type: ignore[method-assign]
    networks["a forward pass of the object's own"] = own
    return networks


@pytest.mark.parametrize("what", unusual())
def test_unusual_layers_are_not_folded(what: str) -> None:
    drawn, x = random_statistics_of(unusual()[what]), torch.randn(2, 4, 4, 4)
    assert safe_pairs(drawn, x) == []
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        wanted = copy.deepcopy(drawn)(x) if what != "weight normalisation" else drawn(x)
        assert deviation(wanted, deployed(drawn, x)(x)) < 1e-6


def random_statistics_of(module: nn.Module) -> nn.Module:
    """In the module itself: some of these cannot be copied as they are."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(getattr(layer, "running_mean", None), torch.Tensor):
                layer.running_mean.uniform_(-0.5, 0.5)
                layer.running_var.uniform_(0.5, 2)
                layer.weight.uniform_(0.5, 2)
    return module.eval()


def two_names() -> nn.Module:
    block = Block(lambda b, x: b.layers(x))
    block.layers = nn.Sequential(block.conv, block.norm, nn.ReLU())
    return block


def in_a_list() -> nn.Module:
    block = Block(lambda b, x: b.layers[1](b.layers[0](x)))
    block.layers = [block.conv, block.norm]  # type: ignore[assignment]
    return block


class Same(nn.BatchNorm2d):
    """A subclass that does what its parent does."""


SAFE: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: Block(plain),
    "two names": two_names,
    "a plain list besides": in_a_list,
    "an activation in the norm": lambda: Block(plain, BatchNormAct2d(4)),
    "a subclass": lambda: Block(plain, Same(4)),
    "a sequence": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU()),
    "no weights": lambda: Block(plain, nn.BatchNorm2d(4, affine=False)),
}


@pytest.mark.parametrize("what", SAFE)
def test_what_is_safe_is_folded(what: str) -> None:
    drawn, x = random_statistics(SAFE[what]()).eval(), torch.randn(2, 4, 4, 4)
    before = {key: value.clone() for key, value in drawn.state_dict().items()}
    assert len(safe_pairs(drawn, x)) == 1
    folded = deployed(drawn, x)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    with torch.no_grad():
        assert deviation(drawn(x), folded(x)) < 1e-6
    assert all(torch.equal(value, before[key]) for key, value in drawn.state_dict().items())


def test_the_network_of_the_user_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    deployed(model, torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0)))
    assert all(layer.training for layer in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_network_that_cannot_be_traced_is_left_unfolded() -> None:
    block = Block(lambda b, x: b.norm(y) if (y := b.conv(x)).mean() > 0 else b.norm(-y))
    drawn, x = random_statistics(block).eval(), torch.randn(2, 4, 4, 4)
    assert safe_pairs(drawn, x) == []
    with torch.no_grad():
        assert deviation(drawn(x), deployed(drawn, x)(x)) == 0


@pytest.mark.parametrize("number", [1, 2, 8])
def test_a_network_that_reads_the_convolution_for_some_numbers_of_images_is_right_for_all(
    number: int,
) -> None:
    def forward(b: Any, x: torch.Tensor) -> torch.Tensor:
        y = b.conv(x)
        return b.norm(y) + y if len(x) == number else b.norm(y)

    drawn = random_statistics(Block(forward)).eval()
    made = deployed(drawn, torch.randn(2, 4, 4, 4), batch_sizes=(8,))
    with torch.no_grad():
        for x in (torch.randn(n, 4, 4, 4) for n in (1, 2, 8)):
            assert deviation(drawn(x), made(x)) == 0


@pytest.mark.mutation("folded-norms")
@pytest.mark.parametrize("broken", ["mean", "variance", "epsilon", "an unsafe pair"])
def test_a_wrong_fold_is_noticed(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the norms are fresh, as before any training: the check draws statistics of its own."""
    fused = folding.fuse_conv_bn_weights

    def wrong(weight: Any, bias: Any, mean: Any, variance: Any, eps: float, *others: Any) -> Any:
        mean = torch.zeros_like(mean) if broken == "mean" else mean
        variance = torch.ones_like(variance) if broken == "variance" else variance
        return fused(weight, bias, mean, variance, 0.1 if broken == "epsilon" else eps, *others)

    way, x = plain, torch.randn(2, 4, 4, 4)
    if broken == "an unsafe pair":
        way = READ_ELSEWHERE["a residual around the norm"]
        monkeypatch.setattr("blockzoo.models.deploy.safe_pairs", lambda *_, **__: [Pair("conv", "norm")])
    else:
        monkeypatch.setattr(folding, "fuse_conv_bn_weights", wrong)
    with pytest.raises(CheckFailed, match="folding norm"):
        deployed(Block(way).eval(), x)


def test_probes_show_what_a_fold_could_hide() -> None:
    x = probes(torch.zeros(1, 4, 4, 4))
    assert (x[0] < 0).any() and x[1].abs().max() > 100 and x[2].isnan().any()
    assert x[0].isfinite().all() and x[1].isfinite().all()


class OtherEpsilon(nn.BatchNorm2d):
    """Frozen statistics of another framework, whose epsilon its forward pass has and its attribute has not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, 1e-3)


class TwoOutputsInOne(nn.Module):
    """Scores beside coordinates that are a thousand times as large."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), OtherEpsilon(4)
        self.box = nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.box(x) * 1280, torch.sigmoid(self.norm(self.conv(x)))], 1)


def test_the_epsilon_is_that_of_the_graph() -> None:
    """With variances below it, where it decides."""
    torch.manual_seed(0)
    network, x = TwoOutputsInOne().eval(), torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        network.norm.running_var.fill_(1e-4)
        network.conv.weight.mul_(0.02)
        folded = fold_batch_norm(network, x)
        assert type(folded.norm) is nn.Sequential, "it can be folded"
        assert torch.allclose(folded(x)[:, 4:], network(x)[:, 4:], atol=1e-5)
