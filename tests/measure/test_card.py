"""The card of a block, against counts by hand and against its gradient on a map."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from blockzoo.cli import main
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import UsageError
from blockzoo.measure.card import WIDTHS, card_of


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("ResNetBasicBlock", 1 + 2 + 2),
        ("Res2NetBottleneck", 1 + 3 * 2),
        pytest.param("VANBlock", 1 + 4 + 6 * 3 + 2, marks=pytest.mark.slow),
        ("ConvNeXtBlock", 7),
        pytest.param("WTConvNeXtBlock", None, marks=pytest.mark.slow),
        ("SEResNetBottleneck", None),
    ],
)
def test_reach_by_hand(name: str, side: int | None) -> None:
    reach = card_of(name).reach
    if name == "WTConvNeXtBlock":  # 5 wavelets of the second level, to either side of any place in one
        assert reach.side is not None and 4 * 5 <= reach.side <= 4 * 5 + 2 * 4
    else:
        assert reach.side == side
    assert 1 <= reach.effective <= (reach.side or 63)


def test_sizes_and_signals_are_those_of_the_block() -> None:
    card = card_of("MobileOneBlock")
    assert [size.width for size in card.sizes] == list(WIDTHS)
    for size in card.sizes[:2]:
        block = BLOCKS["MobileOneBlock"](size.width, size.width, 1, "mid")
        assert size.trained == sum(p.numel() for p in block.parameters()) > size.deployed
        assert size.deployed == size.width * (9 + 1) + size.width * (size.width + 1)
        assert size.macs == 32 * 32 * (9 * size.width + size.width**2)
    torch.manual_seed(1)
    x = torch.randn(64, 16, 16, 16)
    block = BLOCKS["MobileOneBlock"](16, 16, 1, "mid")
    assert card.signal.forward == pytest.approx(float(block(x).detach().std()), rel=0.15)
    assert card.source.startswith("Vasu et al.") and card.sentence.endswith("(MobileOne).")


def test_a_width_that_a_block_cannot_have_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from torch import nn\n"
        "from blockzoo.blocks.transition import check_divides\n"
        "class Own(nn.Conv2d):\n"
        '    """Mine."""\n'
        "    def __init__(self, in_channels, out_channels, stride=1, position='mid'):\n"
        "        check_divides(LEAST, out_channels, 'Own', 'parts')\n"
        "        super().__init__(in_channels, out_channels, 3, stride, 1)\n".replace("LEAST", "32")
    )
    sizes = {size.width: size.refused for size in card_of(f"{own}:Own").sizes}
    assert "multiple of 32, not 16: choose 32" in sizes[16] and not sizes[32]
    assert main(["blocks", f"{own}:Own", "--format", "json"]) == 0
    first, *_ = json.loads(capsys.readouterr().out)
    assert first["width"] == 16 and first["refused"] and first["sentence"] == "Mine."
    other = tmp_path / "other.py"
    other.write_text(own.read_text().replace("32, out", "77, out"))
    with pytest.raises(UsageError, match="none of the widths"):
        card_of(f"{other}:Own")


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blocks", "ResNetBasicBlock"]) == 0
    out = capsys.readouterr().out
    assert "5 x 5" in out and "18,560" in out and "arXiv:1512.03385" in out
    assert main(["blocks", "ResNetBasicBlok"]) == 2 and "ResNetBasicBlock" in capsys.readouterr().err
    assert main(["blocks", "timm:resnet18"]) == 2
