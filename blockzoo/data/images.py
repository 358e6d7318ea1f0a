"""Labelled images in memory, checked when they are made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np

from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.units import exact
from blockzoo.data.cache import cached_array
from blockzoo.data.subsets import VERSION, check_room, drawn, seeded_order

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Int, UInt8

Maps = TypeVar("Maps", np.ndarray, "torch.Tensor")
LOOKED_AT = 2**29
"""Bytes of images of which mean and deviation are taken, at most."""
PIECE = 2**24  # bytes of them at a time


class Images(NamedTuple):
    """One split: images (N, C, H, W) uint8 and labels (N,) int64."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class ImageData:
    """A dataset: three splits and what one must know to use them.

    `mean` and `std` are per channel, of pixels scaled to 0..1. `flip` says whether a mirrored image keeps its
    class. `margin` is how many pixels on each side only training sees: it takes random resized crops of the whole
    image, evaluation the middle. `split` names the way the splits were made, with its version: results compare only within one.
    `source` says where the images came from. `digest` is of the content, where the name does not say what that is; then the
    split's name ends in its beginning.
    """

    kept: ClassVar[Literal["resident", "stream"]] = "resident"
    """How the images are at hand: decoded, or as files that are read in each epoch (see `StreamedData`)."""

    name: str
    split: str
    train: Images
    val: Images
    test: Images
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    margin: int = 0
    class_names: tuple[str, ...] = ()
    source: str = ""
    digest: str = ""

    @classmethod
    def held_out(cls, train: Images, test: Images, **facts: Any) -> ImageData:
        """Of a dataset that comes in two splits: a stratified tenth of its training images is for validation.

        Args:
            train: the training split, which the validation images are taken from.
            test: the test split, which stays as it is.
            facts: the other fields; `mean` and `std` are those of all training images where they are not given.
        """
        if "mean" not in facts:
            facts["mean"], facts["std"] = moments(train)
        rest, validation = holdout(train.labels)
        return cls(train=take(train, rest), val=take(train, validation), test=test, **facts)

    def __post_init__(self) -> None:
        faults = [fault for name in ("train", "val", "test") for fault in self._faults(name)]
        if not faults and len({split.images.shape[1:] for split in self._splits().values()}) > 1:
            faults.append("the splits hold images of different shapes")
        if not faults and not len(self.mean) == len(self.std) == self.shape[0]:
            faults.append(
                f"mean and std have {len(self.mean)} and {len(self.std)} values for {self.shape[0]} channels"
            )
        if not faults and not 0 <= 2 * self.margin < min(self.train.images.shape[-2:]):
            faults.append(
                f"a margin of {self.margin} leaves nothing of images {self.train.images.shape[-2:]}"
            )
        if not all(value > 0 for value in self.std):
            faults.append(f"std {self.std} is not positive")
        if self.class_names and len(self.class_names) != self.num_classes:
            faults.append(f"{len(self.class_names)} class names for {self.num_classes} classes")
        if faults:
            place = f" ({self.source})" if self.source else ""
            raise DataError(f"dataset {self.name}{place} is not as it should be: " + "; ".join(faults))

    def _faults(self, name: str) -> list[str]:
        images, labels = getattr(self, name)
        faults = []
        if images.dtype != np.uint8 or images.ndim != 4:
            faults.append(f"{name} images are {images.dtype} {images.shape}, not uint8 (N, C, H, W)")
        if labels.dtype != np.int64 or labels.ndim != 1:
            faults.append(f"{name} labels are {labels.dtype} {labels.shape}, not int64 (N,)")
        elif len(images) != len(labels) or not len(labels):
            faults.append(f"{name} has {len(images)} images and {len(labels)} labels")
        elif labels.min() < 0 or labels.max() >= self.num_classes:
            span = f"{labels.min()} to {labels.max()}"
            faults.append(f"{name} labels go from {span}, not within 0..{self.num_classes - 1}")
        return faults

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image as a network sees it, without the margin."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height - 2 * self.margin, width - 2 * self.margin

    def known_by(self, digest: str) -> ImageData:
        """The same with a digest of its content."""
        return replace(self, digest=digest, split=f"{self.split}-{digest[:8]}")

    def faults_of(self, digest: str) -> list[str]:
        """What is wrong with these images for a request that was made of those with this digest."""
        if digest == self.digest:
            return []
        claim = f"was made of others, {digest[:8]}" if digest else "does not say so"
        return [
            f"dataset {self.name}: the images at {self.source or 'hand'} are {self.digest[:8] or 'as published'}, and the "
            f"request {claim}: make it again with these (their data_digest), or name the folder of those with --data-dir"
        ]

    def seen(self, images: UInt8[np.ndarray, "N C H_in W_in"]) -> Float[np.ndarray, "N C H W"]:
        """(N, C, H, W) uint8 of one of the splits as a network evaluates them: without the margin, float32, normalised."""
        mean, std = (np.array(values, np.float32)[:, None, None] * 255 for values in (self.mean, self.std))
        pixels: np.ndarray = middle(images, self.margin).astype(np.float32)
        pixels -= mean
        pixels /= std
        return pixels

    def resized(self, size: int) -> ImageData:
        """The images at another side length, by Pillow's bicubic filter; kept in the cache."""
        if size == self.shape[1] == self.shape[2]:
            return self
        margin = round(self.margin * size / self.shape[1])
        stored = size + 2 * margin
        splits = {n: Images(self._resized(s.images, stored), s.labels) for n, s in self._splits().items()}
        return self._with(splits, margin=margin)

    def with_validation(self, share: float) -> ImageData:
        """This share of the training and validation images together validates, chosen by a fixed seed, alike in every class.

        The images are copied in memory. The split's name says so: results compare only within one.
        """
        both = Images(*(np.concatenate(parts) for parts in zip(self.train, self.val, strict=True)))
        images, count = len(both.labels), round(share * len(both.labels))
        if not 0 < count < images:
            raise DataError(f"validation share {share:g} of {images} images leaves a split empty")
        order = seeded_order(images)
        by_class = order[np.argsort(both.labels[order], kind="stable")]
        validates = np.zeros(images, bool)
        validates[by_class[np.arange(count) * images // count]] = True
        name = f"{self.split}-validation-{exact(share)}-v1"
        rest, held = np.flatnonzero(~validates), np.flatnonzero(validates)
        return replace(self, train=take(both, rest), val=take(both, held), split=name)

    def limited(
        self, train: int | None = None, *, val: int | None = None, test: int | None = None
    ) -> ImageData:
        """At most so many images of each split: a draw by a fixed seed with every class's share, see `subsets.drawn`.

        They are copied in memory, in the order of the draw. The split's name says so: results compare only within one.
        A split that has no more images stays as it is.

        Raises:
            UsageError: fewer than one image.
            DataError: they do not fit in memory.
        """
        name, splits = self.split, self._splits()
        for part, count in (("train", train), ("val", val), ("test", test)):
            if count is not None and count < 1:
                raise UsageError(f"{count} {part} images: give 1 or more")
            if count is not None and count < len(splits[part].labels):
                name += f"{'' if part == 'train' else f'-{part}'}-stratified-{count}-{VERSION}"
                splits[part] = some_of(splits[part], count)
        return self if name == self.split else self._with(splits, split=name)

    def _resized(self, images: np.ndarray, size: int) -> np.ndarray:
        content = hashlib.blake2b(np.ascontiguousarray(images).data).hexdigest()
        shape = (*images.shape[:2], size, size)
        return cached_array(
            f"{self.name}-{size}-v1", content, shape, np.uint8, lambda out: resize(images, out)
        )

    def _with(self, splits: dict[str, Images], **changes: Any) -> ImageData:
        return replace(self, train=splits["train"], val=splits["val"], test=splits["test"], **changes)

    def _splits(self) -> dict[str, Images]:
        return {"train": self.train, "val": self.val, "test": self.test}


def middle(images: Maps, margin: int) -> Maps:
    """(..., H, W), an array or a tensor, without `margin` pixels on each side; a view."""
    height, width = images.shape[-2:]
    return images[..., margin : height - margin, margin : width - margin]


def resize(
    images: UInt8[np.ndarray, "N C H_in W_in"],
    out: UInt8[np.ndarray, "N C H W"],
) -> UInt8[np.ndarray, "N C H W"]:
    """(N, C, H, W) uint8 into `out` (N, C, size, size) uint8, by Pillow's bicubic filter; returns `out`."""
    from PIL import Image

    size = out.shape[-2:][::-1]  # Pillow has the width first
    for image, target in zip(images, out, strict=True):
        for plane, target_plane in zip(image, target, strict=True):
            target_plane[:] = Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)
    return out


def moments(split: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels scaled to 0..1, of all images.

    Of more than 512 MiB, a stratified draw of so many.
    """
    images, labels = split
    most = max(1, LOOKED_AT // images[:1].nbytes)
    chosen = np.arange(len(images)) if len(images) <= most else np.sort(drawn(labels, most))
    counts = np.zeros((images.shape[1], 256), np.int64)
    for some in np.array_split(chosen, max(1, images[:1].nbytes * len(chosen) // PIECE)):
        for channel, pixels in enumerate(images[some].swapaxes(0, 1)):
            counts[channel] += np.bincount(pixels.ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(1)
    std = np.sqrt((counts * (values - mean[:, None]) ** 2).sum(1) / counts.sum(1))
    return tuple(mean.tolist()), tuple(np.maximum(std, 1e-3).tolist())


def stratified(labels: Int[np.ndarray, " N"], parts: int, seed: int = 0) -> list[Int[np.ndarray, " part"]]:
    """Indices of `parts` disjoint parts with equal shares of every class (to one image)."""
    order = seeded_order(len(labels), seed)
    by_class = np.concatenate([order[labels[order] == c] for c in np.unique(labels)])
    return [np.sort(by_class[part::parts]) for part in range(parts)]


def holdout(
    labels: Int[np.ndarray, " N"], parts: int = 10, seed: int = 0
) -> tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " part"]]:
    """Indices (the rest, the held-out part): one of `parts` stratified parts, each in the original order."""
    held, *rest = stratified(labels, parts, seed)
    return np.sort(np.concatenate(rest)), held


def take(images: Images, indices: Sequence[int] | Int[np.ndarray, " part"]) -> Images:
    """Some of the images."""
    return Images(np.ascontiguousarray(images.images[indices]), images.labels[indices])


def some_of(images: Images, count: int, seed: int = 0) -> Images:
    """A stratified draw of so many (all, where there are no more), in the order of the draw: see `subsets.drawn`."""
    count = min(count, len(images.labels))
    check_room(count * images.images[:1].nbytes, f"{count:,} images")
    return take(images, drawn(images.labels, count, seed))
