"""The published hyper-parameters of block convolution on ImageNet, one row each; options override them.

Source: Li et al., Block convolution, TCAD 2022, doi 10.1109/TCAD.2021.3082868, and its repository's scripts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """One recipe.

    Args:
        arch: the network it was published for.
        fine_tuning: whether it starts from the weights of the network that is not cut.
        epochs, batch_size, lr, weight_decay: as published; the momentum is 0.9 in all.
        milestones: epochs after which the learning rate falls to a tenth; None for a cosine.
    """

    arch: str
    fine_tuning: bool
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    milestones: tuple[int, ...] | None
    momentum: float = 0.9

    @property
    def protocol(self) -> str:
        """The recipe of `training/protocols.py` that it is a case of."""
        return "cosine-v1" if self.milestones is None else "step-v1"

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.arch}, {'fine-tuning' if self.fine_tuning else 'from scratch'}"

    def scaled_milestones(self, epochs: int) -> tuple[int, ...] | None:
        """The milestones at the same shares of another number of epochs."""
        if self.milestones is None or epochs == self.epochs:
            return self.milestones
        return tuple(sorted({max(1, round(m * epochs / self.epochs)) for m in self.milestones}))


PRESETS = (
    Preset("resnet18", False, 90, 128, 0.1, 1e-4, (30, 60)),
    Preset("resnet50", False, 90, 128, 0.1, 1e-4, (30, 60)),
    Preset("vgg16", False, 105, 256, 0.01, 5e-4, (30, 60, 90)),
    Preset("mobilenet", False, 300, 128, 1e-4, 5e-5, None),
    Preset("resnet18", True, 30, 128, 1e-3, 1e-4, (10, 20)),
    Preset("resnet50", True, 30, 128, 1e-3, 1e-4, (10, 20)),
    Preset("vgg16", True, 20, 256, 1e-3, 1e-4, (8, 16)),
    Preset("mobilenet", True, 50, 128, 1e-4, 5e-5, None),
)
FAMILIES = (("vgg", "vgg16"), ("mobilenet", "mobilenet"))
"""Beginnings of names, and whose recipe networks so named take; all others take that of resnet18."""
DEFAULT = "resnet18"


def preset_for(arch: str, fine_tuning: bool) -> Preset:
    """The recipe of a network, or of the nearest one that has one.

    Args:
        arch: as in `--arch`: `block_vgg16`, `torchvision:vgg16`, `timm:...`.
        fine_tuning: see `Preset`.
    """
    name = arch.rpartition(":")[2].removeprefix("block_")
    archs = {preset.arch for preset in PRESETS}
    family = next((whose for begins, whose in FAMILIES if name.startswith(begins)), DEFAULT)
    chosen = name if name in archs else family
    return next(p for p in PRESETS if p.arch == chosen and p.fine_tuning == fine_tuning)
