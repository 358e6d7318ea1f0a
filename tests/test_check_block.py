"""A block that breaks one thing fails with that fault and its remedy; `tests/models/test_contract.py` has the contract's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import blockzoo
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import ContractBroken
from blockzoo.models.examination import TOLERANCE
from blockzoo.models.findings import Broken
from blockzoo.testing import CHECKED_HERE, REMEDIES, SHAPES, _deployed, check_block, with_remedies

ONE = SHAPES[1:2]


class Good(nn.Module):
    """A convolution beside another, merged into one."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
        self.beside = nn.Conv2d(in_channels, out_channels, 1, stride)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x) + self.beside(x)).relu()


class Merges(Good):
    def fuse(self) -> nn.Module:
        conv = nn.Conv2d(self.conv.in_channels, self.conv.out_channels, 3, self.conv.stride, 1)
        conv.weight.data = self.conv.weight + nn.functional.pad(self.beside.weight, (1, 1, 1, 1))
        conv.bias.data = self.conv.bias + self.beside.bias
        return nn.Sequential(conv, self.norm, nn.ReLU())


class MergesWrongly(Merges):
    def fuse(self) -> nn.Module:
        return nn.Sequential(self.conv, self.norm, nn.ReLU())


class MergeFails(Merges):
    def fuse(self) -> nn.Module:
        raise ValueError("not today")


class DeafOnceBranchesDoSomething(Good):
    """At the start a gradient reaches the gate, which is 0."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y * (1 + self.gate) if not self.gate.any() else y


class KeepsWeightsOutOfItsState(Good):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.scale = torch.rand(1) + 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * self.scale


class HasAnObjectInItsState(Good):
    def get_extra_state(self) -> Any:
        return Good

    def set_extra_state(self, state: Any) -> None: ...


class HasAnOperationOfItsOwn(Good):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y + torch.linalg.eigvalsh(torch.eye(4) * y.mean())[0] * 0


FAULTS = {
    DeafOnceBranchesDoSomething: ("no gradient reaches: gate", "use each parameter"),
    MergesWrongly: ("something else once its branches are merged", "correct its method fuse"),
    MergeFails: ("cannot be merged", "correct its method fuse"),
    KeepsWeightsOutOfItsState: ("something else after its state_dict was loaded", "register_buffer"),
    HasAnObjectInItsState: ("does not load its own state_dict", "register_buffer"),
    HasAnOperationOfItsOwn: ("cannot be profiled", "register_flop_formula"),
}


@pytest.mark.parametrize("block", [Good, Merges], ids=lambda block: block.__name__)
def test_a_good_block_passes(block: Any) -> None:
    assert check_block(block, ONE) <= TOLERANCE and blockzoo.check_block is check_block


@pytest.mark.parametrize("block", FAULTS, ids=lambda block: block.__name__)
def test_a_fault_is_named_with_its_remedy(block: Any) -> None:
    with pytest.raises(ContractBroken) as caught:
        check_block(block, ONE)
    for words in (block.__name__, *FAULTS[block]):
        assert words in str(caught.value)


def test_a_form_that_is_folded_wrongly_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "blockzoo.testing.deployed", lambda module, example: nn.Sequential(module, nn.Sigmoid())
    )
    with pytest.raises(
        Broken, match=r"once its batch norms are folded: compute with the modules' own outputs"
    ):
        _deployed(lambda seed: Good(16, 32, 2).eval(), ONE[0])
    monkeypatch.setattr("blockzoo.testing.deployed", lambda module, example: 1 / 0)
    with pytest.raises(Broken, match="has no deployed form"):
        _deployed(lambda seed: Good(16, 32, 2).eval(), ONE[0])
    assert _deployed in CHECKED_HERE


def test_parameters_that_are_not_there_without_values_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fewer(Good):
        pass

    true = blockzoo.testing.get_model_profile
    monkeypatch.setattr(
        "blockzoo.testing.get_model_profile", lambda module, *rest, **named: true(module.conv, *rest, **named)
    )
    with pytest.raises(
        ContractBroken, match=r"has \d+ parameters, of which \d+ are profiled: make its parameters"
    ):
        check_block(Fewer, ONE)


class IgnoresStride(Good):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__(in_channels, out_channels, 1, position)


def test_faults_of_the_contract_have_remedies() -> None:
    with pytest.raises(ContractBroken, match=r"ignores stride 2[\s\S]*Remedy: give `stride` to one"):
        check_block(IgnoresStride, ONE)
    assert with_remedies("nothing of the kind") == "nothing of the kind"


def test_each_remedy_is_for_words_that_are_said() -> None:
    package = __import__("pathlib").Path(blockzoo.__file__).parent
    said = "".join(
        (package / "models" / f"{name}.py").read_text() for name in ("examination", "findings", "following")
    )
    assert [words for words in REMEDIES if words not in said] == []


def test_the_zoo_is_held_to_it() -> None:
    assert check_block(BLOCKS["MobileOneBlock"], ONE) <= TOLERANCE
