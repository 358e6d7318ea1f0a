"""What a protocol does to training images beside crop and flip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from blockzoo.data.batches import Augmentation
from blockzoo.training.protocols import Protocol

if TYPE_CHECKING:
    from jaxtyping import UInt8


def augmentation(protocol: Protocol, mean: Sequence[float]) -> Augmentation | None:
    """RandAugment and cutout as the protocol says; None where it has neither.

    Args:
        protocol: its `rand_augment` and `cutout` are read.
        mean: per channel, 0..1: the colour that cutout leaves.
    """
    if protocol.rand_augment is None and not protocol.cutout:
        return None

    def augment(images: torch.Tensor, seeds: Sequence[int]) -> torch.Tensor:
        if protocol.rand_augment is not None:
            images = rand_augmented(images, seeds, *protocol.rand_augment)
        return cut_out(images, seeds, protocol.cutout, mean) if protocol.cutout else images

    return augment


def rand_augmented(
    images: UInt8[torch.Tensor, "B C H W"],
    seeds: Sequence[int],
    operations: int,
    magnitude: int,
) -> UInt8[torch.Tensor, "B C H W"]:
    """torchvision's RandAugment, image by image: each has its own operations, drawn from its own seed.

    Source: Cubuk et al., RandAugment, 2020. Images (B, C, H, W) uint8 on any device.
    """
    from torchvision.transforms.v2 import RandAugment

    transform = RandAugment(operations, magnitude)
    result = torch.empty_like(images)
    with torch.random.fork_rng(devices=[]):
        for place, seed in enumerate(seeds):
            torch.manual_seed(seed)
            result[place] = transform(images[place])
    return result


def cut_out(
    images: UInt8[torch.Tensor, "B C H W"],
    seeds: Sequence[int],
    side: int,
    mean: Sequence[float],
) -> UInt8[torch.Tensor, "B C H W"]:
    """A square of each image in the mean colour, its centre anywhere in the image, cut off at the borders.

    Source: DeVries and Taylor, Improved regularization with cutout, 2017.
    """
    height, width = images.shape[-2:]
    place = (
        torch.tensor([[seed % height, seed // height % width] for seed in seeds], device=images.device)
        - side // 2
    )
    rows = (
        torch.arange(height, device=images.device) - place[:, :1]
    )  # (B, H), 0 at the upper edge of the square
    columns = torch.arange(width, device=images.device) - place[:, 1:]
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    colour = (torch.tensor(mean, device=images.device) * 255).round().to(images.dtype).view(-1, 1, 1)
    return torch.where(inside[:, None], colour, images)
