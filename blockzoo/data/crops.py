"""Which part of each image a network sees: batches of crops, by tensor operations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Float, Int, Shaped, UInt8


PAD_MODES = ("zeros", "reflect")
AREAS = (0.08, 1.0)
"""Least and greatest share of the image's area in a random resized crop."""
RATIOS = (3 / 4, 4 / 3)
"""Least and greatest width over height of a random resized crop."""


def shifted_crop(
    images: Shaped[torch.Tensor, "B C H W"],
    shifts: Int[torch.Tensor, "2 B"],
    padding: int,
    mode: str,
) -> Shaped[torch.Tensor, "B C H W"]:
    """Crop each image, padded on all sides, at its own place.

    Args:
        images: (B, C, H, W).
        shifts: (2, B), rows and columns from the upper left of the padded image, 0 to 2 x padding.
        padding: pixels on each side.
        mode: "zeros" or "reflect".
    """
    height, width = images.shape[-2:]
    padded = _padded(images, padding, mode)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (B, C, shifts, shifts, H, W), a view
    which = torch.arange(len(images), device=images.device)
    down, right = shifts
    return windows[which, :, down, right]


def random_boxes(count: int, generator: torch.Generator) -> Float[torch.Tensor, "4 count"]:
    """Boxes of random resized crops: area and ratio by chance within `AREAS` and `RATIOS`, then a place by chance.

    A side that would be longer than the image's is cut to it.

    Returns:
        (4, count): top, left, height and width, as shares of the image's.

    Source: Szegedy et al., Going deeper with convolutions, 2015, arXiv:1409.4842, section 6.
    """
    area, ratio, down, right = torch.rand(4, count, generator=generator)
    area = AREAS[0] + (AREAS[1] - AREAS[0]) * area
    low, high = (math.log(bound) for bound in RATIOS)
    stretch = torch.exp((low + (high - low) * ratio) / 2)
    height = (area.sqrt() / stretch).clamp(max=1)
    width = (area.sqrt() * stretch).clamp(max=1)
    return torch.stack([down * (1 - height), right * (1 - width), height, width])


def resized_crop(
    images: UInt8[torch.Tensor, "B C H_in W_in"],
    boxes: Float[torch.Tensor, "4 B"],
    height: int,
    width: int,
) -> UInt8[torch.Tensor, "B C H W"]:
    """Cut each image's own box out and resize it bilinearly.

    Args:
        images: (B, C, H, W) uint8.
        boxes: (4, B), see `random_boxes`.
        height: of the result in pixels, not much smaller than a box's: pixels are not averaged.
        width: of the result in pixels, likewise.

    Returns:
        (B, C, height, width) uint8.
    """
    top, left, high, wide = boxes
    nothing = torch.zeros_like(top)
    # from -1..1 over the result to -1..1 over the image
    across = torch.stack([wide, nothing, 2 * left + wide - 1], 1)
    along = torch.stack([nothing, high, 2 * top + high - 1], 1)
    shape = [*images.shape[:2], height, width]
    grid = F.affine_grid(torch.stack([across, along], 1), shape, align_corners=False)
    pixels = F.grid_sample(images.to(grid.dtype), grid, padding_mode="border", align_corners=False)
    return pixels.round_().to(images.dtype)


def _padded(images: torch.Tensor, padding: int, mode: str) -> torch.Tensor:
    sides = (padding,) * 4
    if mode == "zeros":
        return F.pad(images, sides)
    # PyTorch reflects no bytes; every byte is a float, so there and back is exact
    return F.pad(images.to(torch.float32), sides, mode="reflect").to(images.dtype)
