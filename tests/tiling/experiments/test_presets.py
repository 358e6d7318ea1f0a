"""The published hyper-parameters, and the published figures."""

from __future__ import annotations

import pytest

from blockzoo.tiling.experiments import published
from blockzoo.tiling.experiments.presets import PRESETS, preset_for
from blockzoo.training.protocols import get_protocol


@pytest.mark.parametrize(
    ("arch", "fine_tuning", "values"),
    [
        ("block_resnet18", False, (90, 128, 0.1, 1e-4, (30, 60))),
        ("torchvision:resnet50", False, (90, 128, 0.1, 1e-4, (30, 60))),
        ("block_vgg16", False, (105, 256, 0.01, 5e-4, (30, 60, 90))),
        ("block_mobilenet", False, (300, 128, 0.0001, 5e-5, None)),
        ("resnet18", True, (30, 128, 0.001, 1e-4, (10, 20))),
        ("model:block_resnet50", True, (30, 128, 0.001, 1e-4, (10, 20))),
        ("vgg16", True, (20, 256, 0.001, 1e-4, (8, 16))),
        ("model:mobilenet_v1", True, (50, 128, 0.0001, 5e-5, None)),
        ("block_vgg16_bn", True, (20, 256, 0.001, 1e-4, (8, 16))),
        ("timm:regnety_002", False, (90, 128, 0.1, 1e-4, (30, 60))),
    ],
)
def test_presets(arch: str, fine_tuning: bool, values: tuple) -> None:
    p = preset_for(arch, fine_tuning)
    assert (p.epochs, p.batch_size, p.lr, p.weight_decay, p.milestones) == values
    assert get_protocol(p.protocol).schedule == ("step" if p.milestones else "cosine") and p.momentum == 0.9


def test_milestones_keep_their_shares() -> None:
    p = preset_for("resnet18", False)
    assert p.scaled_milestones(90) == (30, 60)
    assert p.scaled_milestones(9) == (3, 6)
    assert p.scaled_milestones(1) == (1,)
    assert preset_for("mobilenet", False).scaled_milestones(10) is None


def test_there_is_one_preset_of_each_kind() -> None:
    assert len({(p.arch, p.fine_tuning) for p in PRESETS}) == len(PRESETS) == 8


def test_published_figures_agree_with_each_other() -> None:
    for network, ways in published.WAYS.items():
        assert published.PADDINGS[network]["zeros"] == ways["fine-tuned"]
        if network in published.BLOCKINGS:
            assert published.BLOCKINGS[network]["F28"] == ways["fine-tuned"]
