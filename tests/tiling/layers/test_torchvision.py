"""torchvision's classification networks and the package's own, converted."""

from __future__ import annotations

import gc

import pytest
import torchvision

from blockzoo.core.contracts import BLOCKS
from tests.sampled import sampled
from tests.tiling.layers.conversion import check_conversion

ATTENTION = ("vit_", "swin_", "maxvit_")
TOO_LARGE = ("regnet_y_128gf",)  # 645 million parameters, four times in memory
NAMES = [
    name
    for name in torchvision.models.list_models(module=torchvision.models)
    if not name.startswith((*ATTENTION, *TOO_LARGE))
]
QUICK = ["resnet18", "shufflenet_v2_x0_5"]


@pytest.mark.parametrize("name", sampled(NAMES, QUICK))
def test_a_network_of_torchvision_is_converted(name: str) -> None:
    report = check_conversion(f"torchvision:{name}")
    whole = [
        layer
        for layer in report.layers
        if "onv" in layer.kind and max(layer.kernel) > 1 and not layer.blocked
    ]
    assert all("aux" in layer.name.lower() and layer.reason == "not called by the example" for layer in whole)
    gc.collect()


NOT_WHOLLY = {"CondConvBlock", "ODConvBasicBlock", "WTConvNeXtBlock", "LowFormerBlock", "CPUBoneBlock"}
"""Blocks of which some convolutions stay whole: weights that follow from the image, fixed wavelets, transposed convolutions."""


PUBLISHED = [name for name in BLOCKS if f"{name}@published" in BLOCKS.names(variants=True)]
OURS = [*(f"{name}/mid" for name in BLOCKS), "macro:0", "macro:1234", "model:resnet18"]


@pytest.mark.parametrize("subject", sampled(OURS, ["GhostBottleneck/mid"]))
def test_a_network_of_our_own_is_converted(subject: str) -> None:
    report = check_conversion(subject, pixels=32, block_size=4)
    assert (report.ratio == 1.0) == (subject.partition("/")[0] not in NOT_WHOLLY)
