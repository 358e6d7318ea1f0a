"""What a network gives in evaluation mode is what its weights say, also after they were others."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo.core.errors import CheckFailed, ContractBroken
from blockzoo.models.examination import examine
from blockzoo.models.following import check_following, follows_loaded_weights
from blockzoo.testing import check_block

X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Branches(nn.Module):
    """Two branches, merged at each call in evaluation mode."""

    def __init__(
        self, in_channels: int = 3, out_channels: int = 4, stride: int = 1, position: str = ""
    ) -> None:
        super().__init__()
        self.a = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
        self.b = nn.Conv2d(in_channels, out_channels, 1, stride)
        self.norm = nn.BatchNorm2d(out_channels)
        self.merged: tuple[torch.Tensor, torch.Tensor] | None = None

    def kept(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.merge()

    def merge(self) -> tuple[torch.Tensor, torch.Tensor]:
        weight = self.a.weight.detach() + F.pad(self.b.weight.detach(), (1, 1, 1, 1))
        return weight, (self.a.bias + self.b.bias).detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x) + self.b(x) if self.training else F.conv2d(x, *self.kept(), self.a.stride, 1)
        return self.norm(y).relu()


class Keeps(Branches):
    """Merged once and for all."""

    def kept(self) -> tuple[torch.Tensor, torch.Tensor]:
        self.merged = self.merged or self.merge()
        return self.merged


class DropsInTraining(Keeps):
    """As attention biases of LeViT are."""

    def train(self, mode: bool = True) -> DropsInTraining:
        if mode:
            self.merged = None
        return super().train(mode)


class DropsAtTrainingCalls(Keeps):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.merged = None
        return super().forward(x)


class MergesInEval(Branches):
    """When it is set to evaluation mode, the first time alone."""

    def train(self, mode: bool = True) -> MergesInEval:
        super().train(mode)
        if not mode and self.merged is None:
            self.merged = self.merge()
        return self

    def kept(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.merged or self.merge()


class KeepsByVersion(Branches):
    """Merged anew where a weight was written to: right."""

    def kept(self) -> tuple[torch.Tensor, torch.Tensor]:
        now = tuple((id(p), p._version) for p in (self.a.weight, self.a.bias, self.b.weight, self.b.bias))
        if getattr(self, "when", None) != now:
            self.merged, self.when = self.merge(), now
        assert self.merged is not None
        return self.merged


class KeepsInADictionary(Branches):
    """By the shape of what it is given."""

    def kept(self) -> tuple[torch.Tensor, torch.Tensor]:
        known = self.__dict__.setdefault("known", {})
        return known.setdefault(tuple(self.a.weight.shape), self.merge())


class KeepsForAll(Branches):
    """In the class, by shape: each of its blocks reads what the first one wrote."""

    known: ClassVar[dict] = {}

    def kept(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.known.setdefault(tuple(self.a.weight.shape), self.merge())


class Average(Branches):
    """A running average as a plain attribute, which no checkpoint holds."""

    centre: torch.Tensor | float = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        if self.training:
            self.centre = 0.9 * self.centre + 0.1 * y.detach().mean((0, 2, 3))[:, None, None]
        return y - self.centre


class AverageInABuffer(Branches):
    def __init__(self, *arguments: int) -> None:
        super().__init__(*arguments)
        self.register_buffer("centre", torch.zeros(self.a.out_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        if self.training:
            self.centre.mul_(0.9).add_(0.1 * y.detach().mean((0, 2, 3)))
        return y - self.centre.clone()[:, None, None]


class OnlyWithoutGradients(Branches):
    """Kept where no gradient is wanted, whatever the mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            return self.norm(self.a(x) + self.b(x)).relu()
        self.merged = self.merged or self.merge()
        return self.norm(F.conv2d(x, *self.merged, self.a.stride, 1)).relu()


WRONG = [Keeps, MergesInEval, KeepsInADictionary, KeepsForAll, Average, OnlyWithoutGradients]
RIGHT = [Branches, DropsInTraining, DropsAtTrainingCalls, KeepsByVersion, AverageInABuffer]


def in_a_network(kind: type) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 3, 1), kind(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.mutation("weights-followed")
@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_what_is_kept_while_weights_change_is_refused(kind: type) -> None:
    KeepsForAll.known.clear()
    with pytest.raises(CheckFailed, match="does not follow its weights in evaluation mode"):
        check_following(lambda: in_a_network(kind), X)
    KeepsForAll.known.clear()
    assert any("does not follow its weights" in fault for fault in examine(kind, 8, 8, 1, "mid").faults)


@pytest.mark.parametrize("kind", RIGHT, ids=lambda kind: kind.__name__)
def test_what_follows_is_let_through(kind: type) -> None:
    assert check_following(lambda: in_a_network(kind), X) < 1e-6
    assert not examine(kind, 8, 8, 1, "mid").faults


@pytest.mark.parametrize("kind", [DropsInTraining, DropsAtTrainingCalls])
def test_what_only_a_training_drops_is_told(kind: type) -> None:
    assert not follows_loaded_weights(lambda: in_a_network(kind), X)
    assert any("until train() is called" in note for note in examine(kind, 8, 8, 1, "mid").notes)
    with pytest.raises(ContractBroken, match=r"until train\(\) is called"):
        check_block(kind)
    for right in (Branches, KeepsByVersion, AverageInABuffer):
        assert follows_loaded_weights(lambda right=right: in_a_network(right), X)


def test_networks_of_chance_and_without_weights_show_nothing() -> None:
    class Noise(nn.Module):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            Noise.calls += 1
            return x * Noise.calls

    assert check_following(lambda: nn.Sequential(nn.Conv2d(3, 2, 1), Noise()), X) == 0
    assert check_following(nn.Identity, X) == 0
