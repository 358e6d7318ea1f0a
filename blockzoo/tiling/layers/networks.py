"""Networks by name whose convolutions work on tiles of 28 x 28 pixels; `block_network` has all options.

Parameters and state_dict keys are those of torchvision's networks (MobileNetV1: blockzoo's own).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from blockzoo.core.contracts import NETWORKS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.mobilenet import MobileNetV1
from blockzoo.tiling.geometry import Blocking
from blockzoo.tiling.layers.conv import BlockConv2d, PaddingMode, StrideMode
from blockzoo.tiling.layers.convert import block_convert

IMAGENET_SIDE, CIFAR_SIDE = 224, 32


def block_network(
    name: str,
    num_classes: int = 1000,
    block_size: int | Sequence[int] = 28,
    blocking: Blocking = "fixed",
    padding_mode: PaddingMode = "constant",
    stride_mode: StrideMode = "native",
    *,
    small_images: bool = False,
) -> nn.Module:
    """A network of torchvision, or "mobilenet", on tiles.

    Args:
        name: as in torchvision (`resnet18`), with `block_` before it or not; or `mobilenet`.
        num_classes: of the data.
        block_size: see `BlockConv2d`.
        blocking: see `BlockConv2d`.
        padding_mode: see `BlockConv2d`.
        stride_mode: see `BlockConv2d`.
        small_images: for 32 x 32 images: a first convolution of 3x3 with stride 1, no first pool; VGG's classifier is one
            linear layer.

    Raises:
        UsageError: no such network, or an option out of its range.
    """
    plain = plain_network(name.removeprefix("block_"), num_classes, small_images)
    side = CIFAR_SIDE if small_images else IMAGENET_SIDE
    converted, _ = block_convert(plain, torch.zeros(1, 3, side, side), block_size, blocking, padding_mode)
    for layer in converted.modules():
        if isinstance(layer, BlockConv2d):
            layer.stride_mode = stride_mode
    return converted


def plain_network(name: str, num_classes: int, small_images: bool = False) -> nn.Module:
    """The network of `block_network` that is not cut; options as there."""
    if name == "mobilenet":
        return MobileNetV1(num_classes, small_images=small_images)
    if f"block_{name}" not in NETWORKS:
        raise UsageError(
            f"block network {name!r}: choose {', '.join(n for n in NETWORKS if n.startswith('block_'))}"
        )
    import torchvision

    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_classes)
    if small_images and name.startswith("vgg"):
        network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, num_classes)
    elif small_images:
        network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    return network


def _registered(name: str, spec: NetworkSpec) -> nn.Module:
    if spec.in_channels != 3:
        raise UsageError(f"{name} takes images of 3 channels, not {spec.in_channels}")
    return block_network(name, spec.num_classes)


@NETWORKS.register
def block_resnet18(spec: NetworkSpec) -> nn.Module:
    """ResNet-18 on tiles of 28 x 28."""
    return _registered("resnet18", spec)


@NETWORKS.register
def block_resnet34(spec: NetworkSpec) -> nn.Module:
    """ResNet-34 on tiles of 28 x 28."""
    return _registered("resnet34", spec)


@NETWORKS.register
def block_resnet50(spec: NetworkSpec) -> nn.Module:
    """ResNet-50 on tiles of 28 x 28."""
    return _registered("resnet50", spec)


@NETWORKS.register
def block_resnet101(spec: NetworkSpec) -> nn.Module:
    """ResNet-101 on tiles of 28 x 28."""
    return _registered("resnet101", spec)


@NETWORKS.register
def block_resnet152(spec: NetworkSpec) -> nn.Module:
    """ResNet-152 on tiles of 28 x 28."""
    return _registered("resnet152", spec)


@NETWORKS.register
def block_resnext50_32x4d(spec: NetworkSpec) -> nn.Module:
    """ResNeXt-50 32x4d on tiles of 28 x 28."""
    return _registered("resnext50_32x4d", spec)


@NETWORKS.register
def block_vgg11(spec: NetworkSpec) -> nn.Module:
    """VGG-11 on tiles of 28 x 28."""
    return _registered("vgg11", spec)


@NETWORKS.register
def block_vgg13(spec: NetworkSpec) -> nn.Module:
    """VGG-13 on tiles of 28 x 28."""
    return _registered("vgg13", spec)


@NETWORKS.register
def block_vgg16(spec: NetworkSpec) -> nn.Module:
    """VGG-16 on tiles of 28 x 28."""
    return _registered("vgg16", spec)


@NETWORKS.register
def block_vgg19(spec: NetworkSpec) -> nn.Module:
    """VGG-19 on tiles of 28 x 28."""
    return _registered("vgg19", spec)


@NETWORKS.register
def block_vgg11_bn(spec: NetworkSpec) -> nn.Module:
    """VGG-11 with batch norms on tiles of 28 x 28."""
    return _registered("vgg11_bn", spec)


@NETWORKS.register
def block_vgg13_bn(spec: NetworkSpec) -> nn.Module:
    """VGG-13 with batch norms on tiles of 28 x 28."""
    return _registered("vgg13_bn", spec)


@NETWORKS.register
def block_vgg16_bn(spec: NetworkSpec) -> nn.Module:
    """VGG-16 with batch norms on tiles of 28 x 28."""
    return _registered("vgg16_bn", spec)


@NETWORKS.register
def block_vgg19_bn(spec: NetworkSpec) -> nn.Module:
    """VGG-19 with batch norms on tiles of 28 x 28."""
    return _registered("vgg19_bn", spec)


@NETWORKS.register
def block_mobilenet(spec: NetworkSpec) -> nn.Module:
    """MobileNetV1 on tiles of 28 x 28."""
    return _registered("mobilenet", spec)
