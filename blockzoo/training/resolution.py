"""Progressive resolution: smaller training images in early epochs, which cost less.

Source: Howard, Training ImageNet in 18 minutes, 2018; Tan and Le, EfficientNetV2, ICML 2021.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Float

WHOLE = 0.2
"""Share of the epochs, the last ones, whose images are whole: statistics and weights then fit those that are tested."""
MULTIPLE = 4
"""Pixels; sides are multiples of it, since stages halve them twice."""


def scale_in_epoch(initial: float, epoch: int, epochs: int) -> float:
    """Side of the training images of an epoch as a share of their own: `initial` in the first, then in equal steps up to 1.

    >>> [scale_in_epoch(0.5, epoch, 5) for epoch in range(5)]
    [0.5, 0.625, 0.75, 0.875, 1.0]
    >>> [scale_in_epoch(0.5, epoch, 10) for epoch in (0, 4, 8, 9)]
    [0.5, 0.75, 1.0, 1.0]

    Args:
        initial: that of the first epoch, above 0 and at most 1.
        epoch: counted from 0.
        epochs: of the whole training; in a training of one the images are whole.
    """
    rising = epochs - max(1, math.ceil(WHOLE * epochs))
    return 1.0 if epoch >= rising else initial + (1 - initial) * epoch / rising


def mean_area(initial: float, epochs: int) -> float:
    """Pixels of the training images as a share of their own, the mean over the epochs: about what a training then costs.

    >>> mean_area(1.0, 5)
    1.0
    >>> mean_area(0.5, 2)
    0.625
    """
    return sum(scale_in_epoch(initial, epoch, epochs) ** 2 for epoch in range(epochs)) / epochs


def side_at(scale: float, side: int) -> int:
    """Pixels of a side at a scale: a multiple of 4, or the whole side.

    >>> side_at(0.6, 32), side_at(0.1, 28), side_at(1.0, 30), side_at(0.99, 30)
    (20, 4, 30, 28)
    """
    return (
        side if scale >= 1 else min(side, max(MULTIPLE, MULTIPLE * math.floor(side * scale / MULTIPLE + 0.5)))
    )


def shrunk(images: Float[torch.Tensor, "B C H W"], scale: float) -> Float[torch.Tensor, "B C height width"]:
    """Images at a scale, bilinear and averaged over the pixels that become one; as they are where the scale is 1."""
    height, width = images.shape[-2:]
    size = side_at(scale, height), side_at(scale, width)
    if size == (height, width):
        return images
    smaller = F.interpolate(images, size=size, mode="bilinear", antialias=True)
    by_channels = images.is_contiguous(memory_format=torch.channels_last)
    return smaller.contiguous(memory_format=torch.channels_last if by_channels else torch.contiguous_format)
