"""The fast data path: all images resident as bytes, augmented a batch at a time by tensor operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F


class ResidentBatches:
    """Batches of normalised images from bytes that stay in the memory of the device.

    Order and augmentation of an epoch depend on (seed, epoch) alone, so an epoch is the same whether the run
    was resumed or not. With several ranks each sees its own part of one permutation.

    Args:
        images: (N, C, H, W) uint8, memory-mapped or not.
        labels: (N,) int64.
        batch_size: images per batch; in training a last short batch is left out, unless it is the only one.
        training: shuffle and augment; else in order and as they are.
        mean, std: per channel, of pixels scaled to 0..1.
        seed: drives order and augmentation.
        flip: mirror every other image, by chance.
        padding: pixels by which a random crop may be shifted (default an eighth of the side).
        pad_mode: what stands outside the image: "zeros" or "reflect".
        device, channels_last: where, and in which memory format.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        *,
        training: bool = False,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int = 0,
        flip: bool = False,
        padding: int | None = None,
        pad_mode: str = "zeros",
        device: torch.device | str = "cpu",
        channels_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._images = _resident(images).to(device)
        self._labels = torch.from_numpy(np.ascontiguousarray(labels)).to(device)
        scale = 255 * torch.tensor(std).view(1, -1, 1, 1)
        self._shift = (255 * torch.tensor(mean).view(1, -1, 1, 1) / scale).to(device)
        self._scale = (1 / scale).to(device)
        self._training, self._flip, self._pad_mode = training, flip, pad_mode
        self._padding = images.shape[-1] // 8 if padding is None else padding
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._share = len(labels) // world_size if training else len(range(rank, len(labels), world_size))
        self.batch_size = max(1, min(batch_size, self._share))
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and augmentation come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self._share, self.batch_size)
        return whole + (0 if self._training else bool(rest))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        count = len(self._labels)
        order = torch.randperm(count, generator=generator) if self._training else torch.arange(count)
        own = order[self._rank :: self._world_size][: self._share]
        for batch in own[: len(self) * self.batch_size].split(self.batch_size):
            yield self._batch(batch.to(self._images.device), generator)

    def _batch(self, indices: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        images = self._images[indices]
        if self._training:
            images = self._augmented(images, generator)
        pixels = images.to(torch.float32) * self._scale - self._shift
        return pixels.contiguous(memory_format=self._layout), self._labels[indices]

    def _augmented(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        count = len(images)
        if self._padding:
            shifts = torch.randint(2 * self._padding + 1, (2, count), generator=generator)
            images = shifted_crop(images, shifts.to(images.device), self._padding, self._pad_mode)
        if self._flip:
            mirrored = torch.rand(count, generator=generator).to(images.device) < 0.5
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
        return images


def shifted_crop(images: torch.Tensor, shifts: torch.Tensor, padding: int, mode: str) -> torch.Tensor:
    """Crop each image, padded on all sides, at its own place.

    Args:
        images: (B, C, H, W).
        shifts: (2, B), rows and columns from the upper left of the padded image, 0 to 2 x padding.
        padding: pixels on each side.
        mode: "zeros" or "reflect".
    """
    height, width = images.shape[-2:]
    if mode == "reflect":
        rows, columns = (_reflected(size, padding, images.device) for size in (height, width))
        padded = images[:, :, rows[:, None], columns]
    else:
        padded = F.pad(images, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (B, C, shifts, shifts, H, W), a view
    which = torch.arange(len(images), device=images.device)
    return windows[which, :, shifts[0], shifts[1]]


def _reflected(size: int, padding: int, device: Any) -> torch.Tensor:
    """Indices of a side of `size` pixels, mirrored at both ends without repeating the edge."""
    period = max(1, 2 * (size - 1))
    places = torch.arange(-padding, size + padding, device=device).remainder(period)
    return torch.minimum(places, period - places)


def _resident(images: np.ndarray) -> torch.Tensor:
    """The bytes as a tensor; a memory map stays one, and its pages are shared between processes."""
    if images.flags.writeable:
        return torch.from_numpy(np.ascontiguousarray(images))
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # read-only: nothing here writes into it
        return torch.from_numpy(np.ascontiguousarray(images))
