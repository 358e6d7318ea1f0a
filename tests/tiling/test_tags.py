"""Tags, options and subjects of networks on tiles."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.models.resolve import build_network
from blockzoo.tiling.layers.conv import BlockConv2d
from blockzoo.tiling.tags import Tiling, plain_subject, read_options, tiled_subject, tiling_from, tiling_of


@pytest.mark.parametrize("tag", ["F28", "F28x14", "H2x2", "H4x2", "whole"])
def test_tags_are_their_own_names(tag: str) -> None:
    assert tiling_of(tag).tag == tag
    assert read_options(f"{tag},reflect,32px")[1] == 32
    assert tiling_of(tag, "constant") == tiling_of(tag, "zero")


@pytest.mark.parametrize("tag", ["", "G4", "F0", "H2x0", "28", "H-1", "F28x", "f28"])
def test_tags_that_there_are_not(tag: str) -> None:
    with pytest.raises(UsageError, match="F28"):
        tiling_of(tag)


def test_options_of_the_command_line() -> None:
    assert (
        tiling_from((28, 28)).tag
        == tiling_from((28,), type_=0).tag
        == tiling_from((28,), "fixed").tag
        == "F28"
    )
    assert tiling_from((4, 2), type_=1) == tiling_from((4, 2), "hierarchical", 1) == tiling_of("H4x2")
    for wrong, word in (
        (((28,), "fixed", 1), "give one of them"),
        (((28,), None, 2), "--type 2"),
        (((28,), "both"), "--blocking"),
        (((0,),), "--block-size"),
        (((1, 2, 3),), "--block-size"),
        (((28,), None, None, "wrap"), "padding mode 'wrap'"),
    ):
        with pytest.raises(UsageError, match=word):
            tiling_from(*wrong)  # type: ignore[arg-type]


def test_one_network_has_one_subject() -> None:
    names = ("block_resnet18", "resnet18", "model:block_resnet18", "torchvision:resnet18")
    assert {plain_subject(name) for name in names} == {"torchvision:resnet18"}
    assert plain_subject("block_mobilenet") == "model:mobilenet_v1"
    for wrong in ("resnet81", "ResNetBasicBlock", "tiled:F28:torchvision:resnet18"):
        with pytest.raises(UsageError, match="--arch"):
            plain_subject(wrong)
    assert (
        tiled_subject("block_resnet18", tiling_of("F28"), 224) == "tiled:F28,zeros,224px:torchvision:resnet18"
    )
    assert tiled_subject("resnet18", Tiling(), 224) == "torchvision:resnet18"
    assert tiled_subject("resnet18", Tiling(), 32) == "tiled:whole,32px:torchvision:resnet18"


def test_a_subject_of_a_subject(tmp_path: Path) -> None:
    subject = Subject.parse("tiled:F8,32px:model:resnet8_half")
    assert (
        str(subject) == "tiled:F8,32px:model:resnet8_half" and str(subject.innermost) == "model:resnet8_half"
    )
    with pytest.raises(UsageError, match="say what of"):
        Subject.parse("tiled:F8")
    file = tmp_path / "own.py"
    file.write_text(
        "from torch import nn\nclass Own(nn.Conv2d):\n    def __init__(self): super().__init__(3, 2, 3)\n"
    )
    before = NetworkSpec(f"tiled:F8:{file}:Own").fingerprint()
    file.write_text(file.read_text() + "# edited\n")
    assert NetworkSpec(f"tiled:F8:{file}:Own").fingerprint() != before, "edited code is another subject"
    with pytest.raises(UsageError, match="block without a position"):
        NetworkSpec("tiled:F8:ResNetBasicBlock")
    scaffold = [NetworkSpec("tiled:F8:ResNetBasicBlock/mid", base_channels=c).fingerprint() for c in (8, 16)]
    assert scaffold[0] != scaffold[1]


@pytest.mark.parametrize("plain", ["model:resnet8_half", "torchvision:resnet18", "model:mobilenet_v1"])
def test_cut_and_whole_start_alike_and_have_the_same_names(plain: str) -> None:
    whole, cut = (
        build_network(NetworkSpec(tiled_subject(plain, tiling, 32)), seed=3)
        for tiling in (Tiling(), tiling_of("F8"))
    )
    assert whole.state_dict().keys() == cut.state_dict().keys()
    assert all(torch.equal(v, cut.state_dict()[k]) for k, v in whole.state_dict().items())
    assert any(isinstance(m, BlockConv2d) for m in cut.modules())
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():  # batch norms in training keep the signal of random weights
        assert not torch.allclose(whole(x), cut(x), atol=1e-2)
        one_tile = build_network(NetworkSpec(tiled_subject(plain, tiling_of("F32"), 32)), seed=3)
        assert torch.allclose(whole(x), one_tile(x), atol=1e-2)
