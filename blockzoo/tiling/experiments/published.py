"""What was published of block convolution on ImageNet, to stand beside our figures as "reported".

Top-1 accuracy in percent; F28 and zero padding unless a table says otherwise. The fine-tuned networks were trained 30 (vgg16 20,
mobilenet 50) epochs more than the baseline they are compared with.
Source: Li et al., Block convolution, TCAD 2022, doi 10.1109/TCAD.2021.3082868, and its repository.
"""

from __future__ import annotations

SOURCE = "doi 10.1109/TCAD.2021.3082868"

WAYS: dict[str, dict[str, float]] = {
    "vgg16": {"baseline": 71.59, "scratch": 70.47, "fine-tuned": 71.45},
    "resnet18": {"baseline": 70.60, "scratch": 69.94, "fine-tuned": 71.21},
    "resnet50": {"baseline": 75.86, "scratch": 75.42, "fine-tuned": 76.67},
    "mobilenet": {"baseline": 72.29, "scratch": 72.05, "fine-tuned": 71.76},
}
"""network -> way of training -> accuracy."""

_BLOCKINGS = ("H2x2", "H4x4", "H8x8", "H16x16", "F112", "F56", "F28", "F14")
BLOCKINGS: dict[str, dict[str, float]] = {
    "vgg16": dict(zip(_BLOCKINGS, (70.14, 70.28, 70.76, 71.18, 71.81, 71.74, 71.45, 70.48), strict=True)),
    "resnet18": dict(zip(_BLOCKINGS, (70.06, 70.67, 71.12, 70.82, 71.60, 71.37, 71.21, 70.20), strict=True)),
    "mobilenet": dict(zip(_BLOCKINGS, (69.96, 71.49, 71.53, 71.50, 72.16, 71.89, 71.76, 71.13), strict=True)),
}
"""network -> blocking -> accuracy, fine-tuned."""

PADDINGS: dict[str, dict[str, float]] = {
    "vgg16": {"zeros": 71.45, "replicate": 70.90, "reflect": 70.22},
    "resnet18": {"zeros": 71.21, "replicate": 70.92, "reflect": 70.61},
    "resnet50": {"zeros": 76.67, "replicate": 76.71, "reflect": 76.47},
    "mobilenet": {"zeros": 71.76, "replicate": 71.92, "reflect": 71.58},
}
"""network -> padding -> accuracy, fine-tuned."""
