"""A block that breaks one part of the contract is refused with that fault, one that keeps all of it is not."""

from __future__ import annotations

import random
import threading
import warnings
from pathlib import Path
from typing import ClassVar

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from blockzoo import ScaffoldNet
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import ContractBroken, UsageError
from blockzoo.core.said import forget_what_was_said
from blockzoo.models.contract import SHAPES
from blockzoo.models.examination import TOLERANCE, examine
from blockzoo.profile import profile_block
from blockzoo.testing import check_block

FEW = SHAPES[:2]


class Good(nn.Module):
    """Keeps the contract."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, position: str = "mid") -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)))


class IgnoresStride(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, 1, position)


class OtherWidth(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, in_channels, stride, position)


class WritesToInput(Good):
    def forward(self, x):
        return super().forward(x.relu_())


class WritesToInputThroughAView(Good):
    def forward(self, x):
        if self.training:
            x[:, :1].mul_(2)
        return super().forward(x)


class Chance(Good):
    def forward(self, x):
        return F.dropout(super().forward(x), 0.5)


class Memory(Good):
    def forward(self, x):
        last, self.last = getattr(self, "last", x.mean()), x.mean().detach()
        return super().forward(x) * (1 + last)


class BatchStatistics(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.norm = nn.BatchNorm2d(out_channels, track_running_stats=False)


class LooksAtOthers(Good):
    def forward(self, x):
        return super().forward(x) + x.mean()


class Returns(Good):
    def forward(self, x):
        return {"out": super().forward(x)}


class ReturnsMoreInTraining(Good):
    def forward(self, x):
        y = super().forward(x)
        return (y, y) if self.training else y


class OtherShapeInTraining(Good):
    def forward(self, x):
        y = super().forward(x)
        return y[..., ::2] if self.training else y


class OtherNumbers(Good):
    def forward(self, x):
        return super().forward(x).double()


class SharesWeights(Good):
    weights: ClassVar[dict] = {}

    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        shape = in_channels, out_channels
        self.conv.weight = self.weights.setdefault(shape, self.conv.weight)


class SetsTheSeed(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        torch.manual_seed(0)
        super().__init__(in_channels, out_channels, stride, position)


class DrawsElsewhere(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        with torch.no_grad():
            self.norm.weight.copy_(torch.from_numpy(numpy.random.rand(out_channels)))


class CutsTheGradient(Good):
    def forward(self, x):
        return super().forward(x.detach())


class GivesNoGradient(Good):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class CountsInEvaluation(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class WritesToWeights(Good):
    def forward(self, x):
        if self.training:
            self.conv.weight.data /= self.conv.weight.data.norm()
        return super().forward(x)


class ChangesOthers(Good):
    all: ClassVar[list] = []

    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.all.append(self)

    def forward(self, x):
        if self.training:
            for block in self.all:
                block.norm.running_mean.add_(1)
        return super().forward(x)


class CopyReadsTheOriginal(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        original = [self.conv]
        self.convolve = lambda x: original[0](x)

    def forward(self, x):
        return F.relu(self.norm(self.convolve(x)))


class CannotBeCopied(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.lock = threading.Lock()


class NotFinite(Good):
    def forward(self, x):
        return super().forward(x).log()


class Lazy(nn.Sequential):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(nn.LazyConv2d(out_channels, 3, stride, 1))


class Raises(Good):
    def forward(self, x):
        raise NotImplementedError("not written yet")


class NoSingleImage(Good):
    def forward(self, x):
        if len(x) == 1 and not self.training:
            raise ValueError("more than one image, please")
        return super().forward(x)


class LosesABatch(Good):
    def forward(self, x):
        return super().forward(x).mean(0, keepdim=True)


class Flattens(Good):
    def forward(self, x):
        return super().forward(x).flatten(2)


class MixesMany(Good):
    def forward(self, x):
        y = super().forward(x)
        return y - y.mean(0, keepdim=True) if len(x) >= 4 and not self.training else y


def not_a_module(in_channels: int, out_channels: int, stride: int, position: str) -> object:
    return lambda x: x


FAULTS = {
    IgnoresStride: "ignores stride 2",
    MixesMany: "another output when others are in its batch",
    OtherWidth: "gives 16 channels where 32 are asked for",
    WritesToInput: "changes its input in evaluation mode",
    WritesToInputThroughAView: "changes its input in training mode",
    Chance: "differs between two calls",
    Memory: "differs between two calls",
    BatchStatistics: "another output when others are in its batch",
    LooksAtOthers: "another output when others are in its batch",
    Returns: "returns a dict in evaluation mode",
    ReturnsMoreInTraining: "returns a tuple in training mode",
    OtherShapeInTraining: "gives another shape in training mode",
    OtherNumbers: "returns torch.float64",
    SharesWeights: "shares conv.weight with other blocks",
    SetsTheSeed: "sets torch's seed",
    DrawsElsewhere: "starts from other weights each time",
    CutsTheGradient: "no gradient through to its input",
    GivesNoGradient: "output without a gradient",
    CountsInEvaluation: "changes calls in evaluation mode",
    WritesToWeights: "writes to its parameters conv.weight",
    ChangesOthers: "changes norm.running_mean of another block",
    CopyReadsTheOriginal: "a copy still reads the weights of the original",
    CannotBeCopied: "cannot be copied",
    NotFinite: "not finite",
    Lazy: "lazy layers",
    Raises: "NotImplementedError: not written yet",
    NoSingleImage: "does not take one image",
    LosesABatch: "makes 1 images of 2",
    Flattens: "four numbers B C H W",
    not_a_module: "makes a function, not a torch nn.Module",
}


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    forget_what_was_said()


def test_a_good_block_passes_and_the_process_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()
    assert check_block(Good) < 1e-5
    after = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


@pytest.mark.mutation("block-contract")
@pytest.mark.parametrize("block", FAULTS, ids=lambda block: block.__name__)
def test_each_fault_is_named(block: type) -> None:
    with pytest.raises(ContractBroken, match=FAULTS[block]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's on lazy layers
        check_block(block, FEW, strict=False)


class IgnoresStrideOnLargeMaps(Good):
    def forward(self, x):
        y = super().forward(x)
        stride = self.conv.stride[0]
        return y if x.shape[-1] <= 12 else y.repeat_interleave(stride, 2).repeat_interleave(stride, 3)


class WidensOnLargeMaps(Good):
    def forward(self, x):
        y = super().forward(x)
        return y if x.shape[-1] <= 12 else torch.cat([y, y], 1)


class WritesOnLargeMaps(Good):
    def forward(self, x):
        if x.shape[-1] > 12:
            x[:, :, 1:].relu_()
        return super().forward(x)


@pytest.mark.mutation("block-contract")
@pytest.mark.parametrize(
    ("block", "says"),
    [
        (
            IgnoresStrideOnLargeMaps,
            r"makes \(1, 16, 32, 32\) of its input of shape \(1, 8, 32, 32\), .*stride 2",
        ),
        (WidensOnLargeMaps, r"makes \(1, 32, 16, 16\) of its input"),
        (WritesOnLargeMaps, r"changes its input of shape \(1, 8, 32, 32\)"),
    ],
)
def test_a_fault_that_only_its_own_maps_show_is_named(block: type, says: str) -> None:
    assert not any(examine(block, *shape, "mid").faults for shape in FEW), "nothing shows on the small ones"
    with pytest.raises(ContractBroken, match=says):
        profile_block(block, "mid", num_blocks=1, base_channels=8)
    profile_block(Good, "mid", num_blocks=1, base_channels=8, input_shape=(1, 3, 31, 33))


class ChanceOnLargeMaps(Good):
    """DropBlock without `if self.training`."""

    def forward(self, x):
        y = super().forward(x)
        return y if x.shape[-1] <= 12 else y * (torch.rand_like(y[:, :1]) > 0.1)


class OverTheBatchOnLargeMaps(Good):
    def forward(self, x):
        y = super().forward(x)
        return y if x.shape[-1] <= 12 else y - y.mean((0, 2, 3), keepdim=True)


class KeepsItsFirstLargeMaps(Good):
    first = None

    def forward(self, x):
        y = super().forward(x)
        if x.shape[-1] <= 12:
            return y
        if self.first is None and not y.is_meta:
            self.first = y.mean().item()
        return y - (self.first or 0)


@pytest.mark.mutation("block-contract")
@pytest.mark.parametrize(
    ("block", "says"),
    [
        (ChanceOnLargeMaps, "differs between two calls"),
        (OverTheBatchOnLargeMaps, "another output when others are in its batch"),
        (KeepsItsFirstLargeMaps, "other outputs when other images came first"),
    ],
)
def test_evaluation_mode_is_tried_on_the_maps_of_the_network(block: type, says: str) -> None:
    assert not any(examine(block, *shape, "mid").faults for shape in FEW), "nothing shows on the small ones"
    with pytest.raises(ContractBroken, match=f"{says}.*on maps of 32 x 32"):
        check_block(block, FEW)
    with pytest.raises(ContractBroken, match=f"{says}.*on maps of 24 x 40"):
        profile_block(block, "early", num_blocks=1, base_channels=8, input_shape=(1, 3, 24, 40))


def test_where_its_maps_cost_too_much_it_is_tried_on_smaller_ones_and_says_so() -> None:
    notes = profile_block(Good, "early", num_blocks=1, base_channels=64, input_shape=(1, 3, 512, 768)).notes
    assert [
        note
        for note in notes
        if note.endswith("on maps of 128 x 192, since those of 512 x 768 cost too much")
    ]


class EvenOnly(Good):
    def forward(self, x):
        return super().forward(
            F.pixel_unshuffle(x, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)[:, : x.shape[1]]
        )


class RoundsDown(Good):
    def forward(self, x):
        y = super().forward(x)
        return y[..., : x.shape[-2] // self.conv.stride[0], : x.shape[-1] // self.conv.stride[0]]


class Unused(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.forgotten = nn.Conv2d(1, 1, 1)


class OtherAtPosition(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.last = nn.Conv2d(out_channels, out_channels, 5 if position == "late" else 3, padding="same")

    def forward(self, x):
        return self.last(super().forward(x))


class NeedsValues(Good):
    def forward(self, x):
        y = super().forward(x)
        return y * 2 if float(y.detach().flatten()[0]) == 1e30 else y


class NeedsContiguous(Good):
    def forward(self, x):
        return super().forward(x.view(len(x), -1).view_as(x))


class UsesPythonsChance(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        random.random()
        super().__init__(in_channels, out_channels, stride, position)


NOTES = {
    EvenOnly: "does not take maps of 9 x 7",
    RoundsDown: "rounds odd sizes down",
    Unused: "no gradient reaches: forgotten.weight, forgotten.bias",
    OtherAtPosition: "another network at another position",
    NeedsValues: "does not run without values",
    NeedsContiguous: "does not take maps in channels_last",
    UsesPythonsChance: "generator of Python or NumPy",
}


@pytest.mark.parametrize("block", NOTES, ids=lambda block: block.__name__)
def test_what_changes_no_number_is_a_note(block: type) -> None:
    check_block(block, FEW, strict=False)
    with pytest.raises(ContractBroken, match=NOTES[block]):
        check_block(block, FEW)


class WeightNormed(Good):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.conv = nn.utils.parametrizations.weight_norm(self.conv)


class ZeroStart(Good):
    """A residual branch that starts at nothing, as with zero-init or layer scale: its faults would not show at the start."""

    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.scale = nn.Parameter(torch.zeros(()))
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride)

    def forward(self, x):
        return self.shortcut(x) + self.scale * self.branch(x)

    def branch(self, x):
        return super().forward(x)


class HiddenChance(ZeroStart):
    def branch(self, x):
        return F.dropout(super().branch(x), 0.5)


def test_what_is_unusual_and_right_passes() -> None:
    for block in (WeightNormed, ZeroStart):
        assert check_block(block, FEW) <= TOLERANCE


def test_faults_behind_a_scale_of_zero_are_seen() -> None:
    with pytest.raises(ContractBroken, match="differs between two calls"):
        check_block(HiddenChance, FEW)


def test_the_zoo_is_not_examined_in_networks_and_others_are_once() -> None:
    examine.cache_clear()
    ScaffoldNet("ResNetBasicBlock", base_channels=4)
    assert examine.cache_info().misses == 0
    for _ in range(2):
        ScaffoldNet(Good, base_channels=4)
    assert examine.cache_info().misses == 2  # the block that widens and those behind it


def test_a_class_a_plugin_and_a_file_are_examined(tmp_path: Path) -> None:
    for place in ("early", "mid", "late"):
        with pytest.raises(ContractBroken, match="differs between two calls"):
            ScaffoldNet(Chance, place, base_channels=4)
    BLOCKS["Whim"] = Chance
    try:
        with pytest.raises(ContractBroken, match="differs between two calls"):
            profile_block("Whim", base_channels=4)
        with pytest.raises(ContractBroken, match="differs between two calls"):
            profile_block("ResNetBasicBlock", base_channels=4, filler="Whim")
    finally:
        del BLOCKS["Whim"]
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n"
        "class Mine(nn.Conv2d):\n"
        "    def __init__(self, in_channels, out_channels, stride=1, position='mid'):\n"
        "        super().__init__(in_channels, out_channels, 3, 1, 1)\n"
    )
    with pytest.raises(ContractBroken, match=r"Mine is not used.*\n.*ignores stride 2") as refused:
        profile_block(f"{file}:Mine", base_channels=4)
    assert refused.value.exit_code == 2


class NeedsSixtyFour(Good):
    """Fails at every width that 64 does not divide, as a norm of 32 groups may."""

    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.norm = nn.GroupNorm(64, out_channels)


class NormOfTheBatchWhereWide(Good):
    """Without running statistics from 100 channels on."""

    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.norm = nn.BatchNorm2d(out_channels, track_running_stats=out_channels < 100)


class NoGradientWhereWide(Good):
    def forward(self, x):
        return super().forward(x.detach() if x.shape[1] > 99 else x)


class ChanceWhereWide(Good):
    def forward(self, x):
        return F.dropout(super().forward(x), 0.5, x.shape[1] > 99)


@pytest.mark.slow
def test_wide_blocks_are_tried_as_wide_as_they_are() -> None:
    examine.cache_clear()
    profile_block(Good, "late", base_channels=128, memory=False)
    assert examine.cache_info().misses == 2
    examine(Good, 256, 512, 2, "late")
    assert examine.cache_info().misses == 2
    with pytest.raises(UsageError, match=r"\(96\) must be divisible by num_groups \(64\)"):
        profile_block(NeedsSixtyFour, "mid", base_channels=48, memory=False)


@pytest.mark.mutation("block-contract")
@pytest.mark.parametrize(
    "block, says",
    [
        (NormOfTheBatchWhereWide, "another output when others are in its batch"),
        (NoGradientWhereWide, "no gradient through"),
        (ChanceWhereWide, "differs between two calls"),
    ],
)
def test_what_is_broken_where_it_is_wide_alone_is_refused(block: type, says: str) -> None:
    assert not examine(block, 32, 64, 2, "late").faults
    with pytest.raises(ContractBroken, match=says):
        profile_block(block, "late", base_channels=32, memory=False)


class Centred(Good):
    """Averages its maps in the dtype of its buffer, whatever the maps have."""

    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(in_channels, out_channels, stride, position)
        self.register_buffer("centre", torch.zeros(out_channels))

    def forward(self, x):
        y = super().forward(x)
        if self.training:
            with torch.no_grad():
                self.centre.lerp_(y.mean((0, 2, 3)), 0.1)
        return y - self.centre.clone()[:, None, None]


def test_a_block_that_does_not_train_in_bfloat16_is_told() -> None:
    (note,) = examine(Centred, 16, 16, 1, "mid").notes
    assert "does not train under autocast in bfloat16" in note and "BFloat16" in note
