"""Networks of torchvision and timm by name: classification, segmentation, the backbones of detection, pyramids of features."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
import torchvision
from torch import nn
from torchvision.models import detection, list_models, segmentation

SIZES = (64, 96, 128, 160, 224, 240, 256, 299, 320, 384, 512)
TOO_LARGE = ("regnet_y_128gf", "vit_h_14", "vit_l_16", "vit_l_32", "convnext_large")
"""198 to 645 million parameters, several times in memory; smaller networks of the same code are here."""
LIST = (Path(__file__).parent / "timm_families.txt").read_text()
FAMILIES = dict(line.split() for line in LIST.splitlines() if line and not line.startswith("#"))
PYRAMIDS = (
    "resnet18",
    "mobilenetv3_small_050",
    "hrnet_w18_small",
    "test_convnext",
    "fasternet_t0",
    "rexnet_100",
)
"""Of which timm gives the features of all scales."""
NAMES = [
    *(f"torchvision:{name}" for name in list_models(module=torchvision.models) if name not in TOO_LARGE),
    *(f"segmentation:{name}" for name in list_models(module=segmentation)),
    *(f"detection:{name}" for name in list_models(module=detection)),
    *(f"timm:{name}" for name in FAMILIES.values()),
    *(f"features:{name}" for name in PYRAMIDS),
]


def network(name: str) -> tuple[nn.Module, torch.Tensor]:
    """In evaluation mode, and an image of the smallest size of `SIZES` that it takes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = _made(*name.split(":")).eval()
        for size in SIZES:
            x = torch.randn(1, 3, size, size)
            try:
                with torch.no_grad():
                    made(x)
            except Exception as error:
                refusal = error
            else:
                return made, x
    raise refusal


def _made(library: str, name: str) -> nn.Module:
    if library == "timm":
        return timm.create_model(name)
    if library == "features":
        return timm.create_model(name, features_only=True)
    options = {} if library == "torchvision" else {"weights_backbone": None}
    built: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return built.backbone if library == "detection" else built  # type: ignore[return-value]
