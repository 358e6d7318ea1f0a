"""Families of timm's convolutional networks, converted: a sample quickly, all of them slowly."""

from __future__ import annotations

import functools
import gc
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from tests.sampled import sampled
from tests.tiling.layers.conversion import check_conversion

LISTS = (Path(__file__).parents[1] / "timm_models.txt").read_text().split("[families]")[1].split("[more]")
FAMILIES: dict[str, str] = dict(line.split() for line in LISTS[0].split("\n") if line)  # type: ignore[misc]
MORE = LISTS[1].split()

WINDOWS_OF_FUNCTIONS = {
    "resnetblur50": "blurs with F.conv2d",
    "tf_efficientnet_cc_b0_4e": "mixes its weights anew for every picture, with F.conv2d",
    "tresnet_m": "blurs with F.conv2d",
}
"""Networks with convolutions that are not modules: reported, and left whole."""


@pytest.mark.parametrize("name", sampled([*FAMILIES.values(), *MORE], 3))
def test_a_network_of_timm_is_converted(name: str) -> None:
    report = check_conversion(f"timm:{name}")
    assert (report.ratio == 1.0) == (name not in WINDOWS_OF_FUNCTIONS), str(report)
    whole = [
        layer
        for layer in report.layers
        if "onv" in layer.kind and max(layer.kernel) > 1 and not layer.blocked
    ]
    assert all(layer.reason == "called as a function, not as a module" for layer in whole)


def test_the_sample_is_large_enough() -> None:
    assert len({*FAMILIES.values(), *MORE}) >= 60


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nine_of_ten_families_are_converted() -> None:
    """One network of every module: the smallest that has a convolution larger than 1 x 1, and no attention."""
    families = {
        module: least
        for module in timm.list_modules()
        if (least := smallest(timm.list_models(module=module)))
    }
    assert FAMILIES.items() <= families.items()
    failures = {}
    for module, name in families.items():
        try:
            report = check_conversion(f"timm:{name}")
            assert report.ratio > 0, str(report)
        except Exception as error:
            failures[f"{module}: {name}"] = f"{type(error).__name__}: {error}"
        gc.collect()
    print(f"{len(families) - len(failures)} of {len(families)} families are converted", failures)
    assert len(families) >= 45 and len(failures) <= 0.1 * len(families), failures


CHANNEL_GATES = {"SplitAttn", "SelectiveKernelAttn", "ChannelAttn", "SpatialAttn"}
"""Weights for channels or places from a pooled map: called attention, and part of many CNNs."""

ATTENTION = {"LiteMLA", "MHSA", "SHMA", "SHSA", "ParallelScalingBlock", "DiffParallelScalingBlock"}
"""Attention that is not called so."""


def smallest(names: list[str]) -> str | None:
    """By the number of parameters, among networks with convolutions larger than 1 x 1 and without attention."""
    sizes = {name: size for name in names if (size := size_of_cnn(name))}
    return min(sizes, key=lambda name: sizes[name]) if sizes else None


@functools.cache
def size_of_cnn(name: str) -> int:
    """Parameters; 0 for a network of another kind."""
    with torch.device("meta"):
        model = timm.create_model(name)
    kinds = {type(module).__name__ for module in model.modules()}
    attention = {
        kind for kind in kinds if "attn" in kind.lower() or "attention" in kind.lower()
    } - CHANNEL_GATES
    if attention or kinds & ATTENTION:
        return 0
    if not any(isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1 for module in model.modules()):
        return 0
    return sum(p.numel() for p in model.parameters())
