"""The slow truth of augmentation: one image at a time, one pixel at a time."""

from __future__ import annotations

import numpy as np


def augmented(
    image: np.ndarray, down: int, right: int, padding: int, mode: str, mirrored: bool
) -> np.ndarray:
    """Crop (C, H, W) from its padded self at (down, right), then mirror it."""
    channels, height, width = image.shape
    out = np.zeros_like(image)
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                source_row, source_column = row + down - padding, column + right - padding
                if mode == "reflect":
                    source_row, source_column = _mirror(source_row, height), _mirror(source_column, width)
                if 0 <= source_row < height and 0 <= source_column < width:
                    target = width - 1 - column if mirrored else column
                    out[channel, row, target] = image[channel, source_row, source_column]
    return out


def _mirror(place: int, size: int) -> int:
    if place < 0:
        return -place
    if place >= size:
        return 2 * (size - 1) - place
    return place
