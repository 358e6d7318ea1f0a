"""The prefix `tiled:`: any network on tiles, as a subject."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from blockzoo.core.contracts import SUBJECTS
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.models.mobilenet import MobileNetV1
from blockzoo.models.resolve import build_network
from blockzoo.tiling.layers.convert import block_convert
from blockzoo.tiling.layers.networks import plain_network
from blockzoo.tiling.tags import SMALL_SIDE, has_small_form, read_options


@SUBJECTS.register("tiled", tags=("wrapper",))
def tiled_network(subject: Subject, spec: NetworkSpec) -> nn.Module:
    """A network whose convolutions and pools work on tiles: `tiled:F28,reflect,224px:torchvision:resnet18`."""
    options, _, inner = subject.name.partition(":")
    tiling, side = read_options(options)
    plain = Subject.parse(inner)
    small = side <= SMALL_SIDE and has_small_form(plain)
    if small and plain.prefix == "torchvision":
        network = plain_network(plain.name, spec.num_classes, small_images=True)
    elif small:
        network = MobileNetV1(spec.num_classes, in_channels=spec.in_channels, small_images=True)
    else:
        network = build_network(replace(spec, subject=str(plain)))
    if tiling.blocking is None:
        return network
    example = torch.zeros(1, spec.in_channels, side, side)
    converted, _ = block_convert(network, example, tiling.block, tiling.blocking, tiling.padding)
    return converted
