"""Attention behind a block: what it computes, what it costs, and that it goes wherever a block goes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blockzoo.blocks.lookup import block_class
from blockzoo.core.contracts import ATTENTIONS, BLOCKS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.subject import Subject
from blockzoo.models.deploy import deployed
from blockzoo.models.scaffold import ScaffoldNet, seeded
from blockzoo.profile import profile_block
from tests.sampled import sampled

OWN = """
from torch import nn


class Mine(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__()
        self.layer = nn.Conv2d(in_channels, out_channels, 3, stride, 1)

    def forward(self, x):
        return self.layer(x)
"""


@pytest.mark.parametrize("name", ATTENTIONS.names())
@pytest.mark.parametrize("block", ["ResNetBasicBlock", "MobileOneBlock"])
def test_it_weighs_what_the_block_gives(block: str, name: str) -> None:
    x = torch.randn(2, 16, 8, 8)
    with seeded(0, "x"):
        made = block_class(Subject.parse(f"{block}+{name}"))(16, 32, 2, "mid").eval()
    with seeded(0, "x"):
        plain = BLOCKS[block](16, 32, 2, "mid").eval()
        attention = ATTENTIONS[name](32).eval()
    assert torch.equal(made(x), attention(plain(x))) and made(x).shape == (2, 32, 4, 4)
    assert not torch.equal(made(x), plain(x))


@pytest.mark.parametrize("name", sampled(ATTENTIONS.names(), 2))
@pytest.mark.parametrize("width", sampled([8, 24, 64], [24]))
def test_it_adds_its_own_parameters_and_is_deployed(name: str, width: int) -> None:
    options = {"num_blocks": 2, "base_channels": width}
    added = sum(p.numel() for p in ATTENTIONS[name](width).parameters())
    with_it = profile_block(f"RepVGGBlock+{name}/early", **options).stage  # type: ignore[arg-type]
    without = profile_block("RepVGGBlock/early", **options).stage  # type: ignore[arg-type]
    assert with_it is not None and without is not None
    assert with_it.params_trained - without.params_trained == 2 * added
    network = ScaffoldNet(f"RepVGGBlock+{name}", "early", seed=0, num_blocks=2, base_channels=width).eval()
    deployed(network, torch.randn(2, 3, 16, 16))


def test_names_are_canonical_and_part_of_the_request() -> None:
    assert str(Subject.parse("RepMixer+eca/late")) == "RepMixer+eca/late"
    prints = {
        TrialSpec(NetworkSpec(f"{name}/mid")).fingerprint()
        for name in ("RepMixer", "RepMixer+eca", "RepMixer+se")
    }
    assert len(prints) == 3
    assert NetworkSpec("RepMixer/mid", filler="ResNetBasicBlock+se").filler_name == "ResNetBasicBlock+se"
    ScaffoldNet("RepMixer", "mid", filler="ResNetBasicBlock+se", base_channels=8, num_blocks=1)
    for wrong, said in (
        ("RepMixer+nope", "unknown attention 'nope'"),
        ("Nope+se", "unknown block 'Nope'"),
        ("RepMixer+", "unknown attention"),
    ):
        with pytest.raises(UsageError, match=said):
            Subject.parse(wrong)


def test_behind_a_block_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    subject = f"{tmp_path / 'mine.py'}:Mine+cbam"
    parsed = Subject.parse(subject)
    assert parsed.is_block and parsed.own_origin == str(tmp_path / "mine.py")
    plain = Subject.parse(subject.removesuffix("+cbam"))
    assert parsed.source_digest() == plain.source_digest() is not None
    profiled = profile_block(subject, "mid", base_channels=8, num_blocks=1)
    alone = profile_block(str(plain), "mid", base_channels=8, num_blocks=1)
    assert profiled.network.params_total > alone.network.params_total
    of_timm = profile_block("timm.models.resnet:BasicBlock+se", "mid", base_channels=8, num_blocks=1)
    assert of_timm.network.params_total > alone.network.params_total
