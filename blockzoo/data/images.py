"""Labelled images in memory, checked when they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from blockzoo.core.errors import DataError


class Images(NamedTuple):
    """One split: images (N, C, H, W) uint8 and labels (N,) int64."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class ImageData:
    """A dataset: three splits and what one must know to use them.

    `mean` and `std` are per channel, of pixels scaled to 0..1. `flip` says whether a mirrored image keeps its
    class. `split` names the way the splits were made, with its version.
    """

    name: str
    split: str
    train: Images
    val: Images
    test: Images
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if faults := [fault for name in ("train", "val", "test") for fault in self._faults(name)]:
            raise DataError(f"{self.name} is not as it should be: " + "; ".join(faults))

    def _faults(self, name: str) -> list[str]:
        images, labels = getattr(self, name)
        faults = []
        if images.dtype != np.uint8 or images.ndim != 4:
            faults.append(f"{name} images are {images.dtype} {images.shape}, not uint8 (N, C, H, W)")
        if len(images) != len(labels) or not len(labels):
            faults.append(f"{name} has {len(images)} images and {len(labels)} labels")
        elif labels.min() < 0 or labels.max() >= self.num_classes:
            faults.append(f"{name} labels go from {labels.min()} to {labels.max()}, not within 0..{self.num_classes - 1}")
        return faults

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        return tuple(self.train.images.shape[1:])

    def resized(self, size: int) -> ImageData:
        """The images at another side length, by Pillow's bicubic filter."""
        if size == self.shape[1] == self.shape[2]:
            return self
        splits = {n: Images(resize(s.images, size), s.labels) for n, s in self._splits().items()}
        return replace(self, **splits)

    def _splits(self) -> dict[str, Images]:
        return {"train": self.train, "val": self.val, "test": self.test}


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """(N, C, H, W) uint8 to (N, C, size, size), by Pillow's bicubic filter."""
    from PIL import Image

    out = np.empty((*images.shape[:2], size, size), np.uint8)
    for n, image in enumerate(images):
        for c, plane in enumerate(image):
            out[n, c] = Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC)
    return out


def moments(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of (N, C, H, W) uint8, pixels scaled to 0..1."""
    scaled = images[:: max(1, len(images) // 5000)].astype(np.float64) / 255
    mean, std = scaled.mean((0, 2, 3)), scaled.std((0, 2, 3))
    return tuple(mean.tolist()), tuple(np.maximum(std, 1e-3).tolist())


def seeded_order(count: int, seed: int = 0) -> np.ndarray:
    """A permutation that is the same on every machine and in every version of numpy."""
    return np.argsort(np.random.Generator(np.random.PCG64(seed)).random(count), kind="stable")


def stratified(labels: np.ndarray, parts: int, seed: int = 0) -> list[np.ndarray]:
    """Indices of `parts` disjoint parts with equal shares of every class (to one image)."""
    order = seeded_order(len(labels), seed)
    by_class = np.concatenate([order[labels[order] == c] for c in np.unique(labels)])
    return [np.sort(by_class[part::parts]) for part in range(parts)]


def holdout(images: Images, size: int, seed: int = 0) -> tuple[Images, Images]:
    """Split off `size` images chosen by the seed: (the rest, the held out), each in the original order."""
    order = seeded_order(len(images.labels), seed)
    rest, held = np.sort(order[size:]), np.sort(order[:size])
    return take(images, rest), take(images, held)


def take(images: Images, indices: Sequence[int] | np.ndarray) -> Images:
    """Some of the images."""
    return Images(np.ascontiguousarray(images.images[indices]), images.labels[indices])
