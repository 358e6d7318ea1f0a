"""A block on tiles goes wherever a block goes; the stage under test alone is cut, as a conversion by hand cuts it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blockzoo.blocks.adapters import adapted
from blockzoo.blocks.lookup import block_class
from blockzoo.core.contracts import BLOCKS, CONVERSIONS
from blockzoo.core.errors import ContractBroken, UsageError
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.subject import Subject, names_of_stages
from blockzoo.measure.card import card_of
from blockzoo.measure.contenders import Failure, contenders_of
from blockzoo.models.contract import check_block
from blockzoo.models.conversion import check_conversion
from blockzoo.models.deploy import deployed
from blockzoo.models.resolve import build_network
from blockzoo.models.scaffold import ScaffoldNet, seeded
from blockzoo.profile import profile_block
from blockzoo.sweep import run_sweep
from blockzoo.tiling import block_convert
from blockzoo.tiling.layers.conv import BlockConv2d
from tests.designing import SMALL
from tests.sampled import sampled

OWN = """
from torch import nn

class Mine(nn.Sequential):
    def __init__(self, in_channels, out_channels, stride=1, position="mid"):
        super().__init__(nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels))
"""


def test_one_block_on_tiles_has_one_name_and_one_identity_of_its_own() -> None:
    for text in ("tiled:F8:RepMixer/mid", "tiled:F8,zeros:RepMixer/mid", " tiled:F8x8:RepMixer/mid "):
        assert str(Subject.parse(text)) == "tiled:F8:RepMixer/mid"
    subject = Subject.parse("tiled:H4x2,mirror:UniversalInvertedBlock+eca").at("late")
    assert (
        str(subject) == "tiled:H4x2,reflect:UniversalInvertedBottleneck+eca/late" == f"{subject.label}/late"
    )
    assert subject.is_block and str(subject.innermost) == "UniversalInvertedBottleneck+eca/late"
    assert not Subject.parse("tiled:F8,32px:model:resnet8_half").is_block
    names = (
        "RepMixer",
        "tiled:F8:RepMixer",
        "tiled:F4:RepMixer",
        "tiled:F8,reflect:RepMixer",
        "tiled:H8x8:RepMixer",
    )
    assert len({TrialSpec(NetworkSpec(f"{name}/mid")).fingerprint() for name in names}) == len(names)
    trials = [TrialSpec(NetworkSpec(f"{name}/mid")) for name in names]
    assert len({trial.comparable() for trial in trials}) == 1, "they stand in one table"
    network = NetworkSpec("tiled:F8:RepMixer@published/mid")
    assert network.filler_name == NetworkSpec("RepMixer@published/mid").filler_name
    assert network.identity()["converted"] == "stage", (
        "a record of the time when all stages were cut is another"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tiled:F8:RepMixr", "Did you mean RepMixer"),
        ("tiled:F8:RepMixer/middle", "early, mid, late"),
        ("tiled:G8:RepMixer", "blocking 'G8'"),
        ("tiled:whole:RepMixer", "that is the block itself"),
        ("tiled:F8,32px:RepMixer", "leave out the pixels"),
        ("tiled:F8,wrap:RepMixer", "padding mode 'wrap'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_built(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Subject.parse(text)


def test_blocks_of_stages_are_told_apart_by_commas_outside_of_options() -> None:
    text = "tiled:F8,reflect:RepMixer,GhostBottleneck,tiled:H2x2,zeros:tiled:F4:RepMixer"
    assert names_of_stages(text) == [
        "tiled:F8,reflect:RepMixer",
        "GhostBottleneck",
        "tiled:H2x2,zeros:tiled:F4:RepMixer",
    ]
    assert names_of_stages("A,,B,") == ["A", "", "B", ""]
    subject = Subject.parse("stages:tiled:F4,reflect:RepMixer,GhostBottleneck,RepMixer")
    assert [str(stage) for stage in subject.stages] == [
        "tiled:F4,reflect:RepMixer/early", "GhostBottleneck/mid", "RepMixer/late",
    ]  # fmt: skip


@pytest.mark.parametrize("tag", ["F4", "F5,replicate", "H3x2"])
@pytest.mark.parametrize("block", sampled(["ResNetBasicBlock", "MobileOneBlock+se", "InceptionV3Block"], 1))
def test_it_is_what_a_conversion_by_hand_makes_of_the_block(block: str, tag: str) -> None:
    tiling = CONVERSIONS["tiled"](tag).tiling  # type: ignore[attr-defined]
    for position, side in (("early", 32), ("mid", 32), ("late", 16)):
        options = {"base_channels": 16, "num_blocks": 2}
        plain = ScaffoldNet(block, position, seed=3, **options).eval()  # type: ignore[arg-type]
        cut = ScaffoldNet(f"tiled:{tag}:{block}", position, seed=3, **options).eval()  # type: ignore[arg-type]
        assert all(torch.equal(value, cut.state_dict()[name]) for name, value in plain.state_dict().items())
        assert plain.state_dict().keys() == cut.state_dict().keys()
        index = plain.blocks.index(plain.active_stage[0])
        x = torch.nn.Sequential(*plain.blocks[:index])(torch.randn(2, 3, 32, 32))
        assert x.shape[-1] == side
        by_hand, _ = block_convert(plain.active_stage, x, tiling.block, tiling.blocking, tiling.padding)
        torch.testing.assert_close(cut.active_stage(x), by_hand(x))
        assert not torch.allclose(cut.active_stage(x), plain.active_stage(x), atol=1e-4)
        others = [
            layer for block in (*cut.blocks[:index], *cut.blocks[index + 2 :]) for layer in block.modules()
        ]
        assert not any(isinstance(layer, BlockConv2d) for layer in others), "what stands around it is whole"


@pytest.mark.parametrize("block", sampled(["ResNetBasicBlock", "RepVGGBlock", "GhostBottleneckV3+eca"], 1))
def test_it_costs_what_the_plain_block_costs_and_is_deployed(block: str) -> None:
    shape = (1, 3, 30, 30)  # which tiles do not divide
    tiled, plain = (
        profile_block(f"{prefix}{block}/mid", input_shape=shape, base_channels=8, num_blocks=2, memory=False)
        for prefix in ("tiled:F4:", "")
    )
    assert tiled.stage is not None and plain.stage is not None
    for name in ("macs", "params_total", "params_trained"):
        assert getattr(tiled.stage, name) == getattr(plain.stage, name), name
    assert "changes all" in tiled.said or block.startswith("Ghost")
    network = build_network(
        NetworkSpec(f"tiled:F4:{block}/mid", base_channels=8, num_blocks=1), seed=0
    ).eval()
    made = deployed(network, x := torch.randn(2, *shape[1:]))
    torch.testing.assert_close(made(x), network(x), rtol=1e-3, atol=1e-4)


def test_where_tiles_hold_the_whole_map_it_is_the_plain_block_and_not_used() -> None:
    images = (1, 3, 32, 32)
    assert check_conversion(NetworkSpec("ResNetBasicBlock/late"), images) == ""
    said = check_conversion(NetworkSpec("tiled:F8:ResNetBasicBlock/late", num_blocks=1), images)
    assert "changes 1 of 2 layers" in said and "stage3.0.conv2 (8 x 8 pixels are one tile)" in said
    assert "changes all 2 layers" in check_conversion(
        NetworkSpec("tiled:F8:ResNetBasicBlock/early", num_blocks=1), images
    )
    shared = NetworkSpec(
        "tiled:F8:ResNetBasicBlock/late", transition="shared"
    )  # the transition makes its map 8 x 8
    of_stages = NetworkSpec("stages:ResNetBasicBlock,tiled:F16:ResNetBasicBlock,tiled:F16:ResNetBasicBlock")
    for spec in (NetworkSpec("tiled:F16:ResNetBasicBlock/late"), shared, of_stages):
        with pytest.raises(ContractBroken, match=r"at late is ResNetBasicBlock itself.*choose smaller tiles"):
            check_conversion(spec, images)
    with pytest.raises(ContractBroken, match="called as a function"):
        check_conversion(NetworkSpec("tiled:F4:CondConvBlock/mid"), images)
    with pytest.raises(ContractBroken, match="mirrored"):
        check_conversion(NetworkSpec("tiled:F8,reflect:ResNetBasicBlock/early"), (1, 3, 33, 33))
    with pytest.raises(ContractBroken, match="itself"):
        profile_block("tiled:F32:ResNetBasicBlock/mid")
    failures: list[Failure] = []
    assert not contenders_of(
        {"x": NetworkSpec("tiled:F32:ResNetBasicBlock/mid")},
        images,
        [1],
        stage=True,
        seed=0,
        failures=failures,
    )
    assert isinstance(failures[0].error, ContractBroken)


def test_the_card_says_what_a_tile_is() -> None:
    card = card_of("tiled:F4:ResNetBasicBlock")
    assert card.name == "tiled:F4:ResNetBasicBlock" and card.sentence == card_of("ResNetBasicBlock").sentence
    assert "tiles of 4 x 4 pixels" in card.caveats[0] and card.reach.side is not None and card.reach.side <= 7
    assert "4 x 2 tiles" in CONVERSIONS["tiled"]("H4x2").sentence


def test_a_block_of_ones_own_on_tiles(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    subject = f"tiled:F4:{file}:Mine/mid"
    network = ScaffoldNet(f"tiled:F4:{file}:Mine", "mid", base_channels=8, num_blocks=1)
    assert isinstance(network.active_stage[0][0], BlockConv2d) and network.spec.subject == subject
    before = NetworkSpec(subject).fingerprint()
    file.write_text(OWN + "# edited\n")
    assert NetworkSpec(subject).fingerprint() != before


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS.names())
def test_every_block_keeps_its_contract_on_tiles(name: str) -> None:
    subject = Subject.parse(f"tiled:F4:{name}")
    try:
        check_conversion(NetworkSpec(str(subject.at("mid")), num_blocks=1), (1, 3, 32, 32))
    except ContractBroken as error:
        assert name in ("CondConvBlock", "ODConvBasicBlock", "LambdaBlock"), (
            error
        )  # functions, or no convolution at all
        return
    with seeded(0, name):
        check_block(adapted(block_class(subject)), strict=False)


@pytest.mark.slow
def test_a_sweep_trains_it_beside_the_plain_block_and_refuses_where_it_is_the_plain_block(
    tmp_path: Path,
) -> None:
    options = SMALL | {"output": tmp_path, "image_size": 16, "epochs": 2}
    result = run_sweep(["ResNetBasicBlock", "tiled:F4:ResNetBasicBlock"], seeds=1, **options)
    by_place = {(row["block"], row["position"]): row for row in result.rows}
    for position in ("early", "mid"):
        tiled, plain = by_place["tiled:F4:ResNetBasicBlock", position], by_place["ResNetBasicBlock", position]
        assert tiled["status"] == plain["status"] == "ok" and tiled["macs"] == plain["macs"]
        assert tiled["train_loss"] != plain["train_loss"] and tiled["fingerprint"] != plain["fingerprint"]
        assert "layers that read their neighbours" in tiled["said"] and not plain["said"]
    refused = run_sweep(["tiled:F8:ResNetBasicBlock"], "late", **options).rows[0]
    assert refused["status"] == "failed" and "is ResNetBasicBlock itself" in refused["reason"]
    crossed = [
        "tiled:F4:ResNetBasicBlock",
        "tiled:H2x2,replicate:ResNetBasicBlock",
        "RepVGGBlock",
        "GhostBottleneck",
    ]
    made = run_sweep(crossed, design="crossed", replicates=3, dry_run=True, **options)
    assert len(made.plan.pending) == 16, "twelve networks, and four of them again"
    assert len(run_sweep(crossed[:1], "mid", track="iso-macs", dry_run=True, **options).plan.pending) == 1
