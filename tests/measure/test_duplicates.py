"""Blocks that are one under two names are found, and others are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import UsageError
from blockzoo.measure.duplicates import near_duplicates

OWN = """
from blockzoo.contracts import BLOCKS
from torch import nn


class Renamed(nn.Module):
    "The basic block behind a module of its own."

    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__()
        self.inner = BLOCKS["ResNetBasicBlock"](in_channels, out_channels, stride, position)

    def forward(self, x):
        return self.inner(x)


class OtherActivation(Renamed):
    "Equal multiply-adds, another function."

    def __init__(self, *given):
        super().__init__(*given)
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.ReLU):
                    setattr(parent, name, nn.Hardswish())
"""


def test_a_renamed_block_is_found(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    names = [f"{tmp_path / 'own.py'}:{name}" for name in ("Renamed", "OtherActivation")]
    (found,) = near_duplicates(["ResNetBasicBlock", "ConvNeXtBlock", "ConvNeXtV2Block", *names])
    assert set(found.names) == {"ResNetBasicBlock", names[0]} and found.macs[0] == found.macs[1]
    with pytest.raises(UsageError, match="Nope"):
        near_duplicates(["Nope"])


@pytest.mark.slow
def test_no_two_blocks_of_the_zoo_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert near_duplicates(BLOCKS.names()) == []
    assert main(["blocks", "--duplicates"]) == 0
    assert "0 pairs of" in capsys.readouterr().out
