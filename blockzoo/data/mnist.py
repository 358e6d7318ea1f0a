"""MNIST and FashionMNIST from torchvision's folder layout."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from blockzoo.core.errors import DataError
from blockzoo.data.contracts import DATASETS
from blockzoo.data.images import ImageData, Images
from blockzoo.data.places import DatasetNotFound
from blockzoo.data.subsets import seeded_order

SIDE = 28
FILES = {"train": "train", "test": "t10k"}


@DATASETS.register("mnist")
class MNIST:
    """70,000 handwritten digits of 28x28, as three equal channels; 54,000 train, 6,000 validation, 10,000 test.

    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 1998.
    """

    name, folder, split = "mnist", "MNIST/raw", "54k-6k-v1"
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    flip = False
    channels = 3
    counts: ClassVar[dict[str, int]] = {"train": 60_000, "test": 10_000}
    per_class: int | None = None
    """Training images of each class that are used; None: all."""

    def load(
        self, roots: Sequence[Path], *, image_size: int | None = None, download: bool = True
    ) -> ImageData:
        """Look into each root for the four idx files, compressed or not."""
        places = [place for root in roots for place in (root / self.folder, root / self.name / self.folder)]
        folder = next((place for place in places if place.is_dir()), None)
        if folder is None:
            expected = f"torchvision's folder {self.folder}/ with {FILES['train']}-images-idx3-ubyte and the other three files"
            raise DatasetNotFound(self.name, places, expected, "is not downloaded by blockzoo")
        splits = {split: self._split(folder, split) for split in FILES}
        if self.per_class is not None:
            splits["train"] = _some_of_each(splits["train"], self.per_class)
        return ImageData.held_out(
            **splits,
            name=self.name,
            split=self.split,
            num_classes=len(self.class_names),
            flip=self.flip,
            class_names=self.class_names,
            source=str(folder),
        )

    def _split(self, folder: Path, split: str) -> Images:
        count = self.counts[split]
        pixels = read_idx(folder / f"{FILES[split]}-images-idx3-ubyte", (count, SIDE, SIDE))
        labels = read_idx(folder / f"{FILES[split]}-labels-idx1-ubyte", (count,))
        return Images(np.repeat(pixels[:, None], self.channels, axis=1), labels.astype(np.int64))


@DATASETS.register("mini_mnist")
class MiniMNIST(MNIST):
    """500 images of each class of MNIST's training images, a tenth of them for validation; all 10,000 to test.

    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 1998.
    """

    name, split, per_class = "mini_mnist", "mini-4500-500-v1", 500


@DATASETS.register("mini_mnist_8chanel")
class MiniMNIST8(MiniMNIST):
    """The images of mini_mnist as eight equal channels.

    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 1998.
    """

    name, channels = "mini_mnist_8chanel", 8


@DATASETS.register("mnist_flat")
class FlatMNIST(MNIST):
    """The images of mnist with one channel, for networks that take each pixel as a number.

    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 1998.
    """

    name, channels = "mnist_flat", 1


@DATASETS.register("fashion-mnist")
class FashionMNIST(MNIST):
    """70,000 pictures of clothes of 28x28, as three equal channels; 54,000 train, 6,000 validation, 10,000 test.

    Source: Xiao et al., Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, 2017,
    arXiv:1708.07747.
    """

    name, folder = "fashion-mnist", "FashionMNIST/raw"
    class_names = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
    flip = True


def _some_of_each(images: Images, count: int) -> Images:
    """So many of each class, drawn by the seed of all subsets."""
    order = seeded_order(len(images.labels))
    labels = images.labels[order]
    chosen = np.sort(np.concatenate([order[labels == c][:count] for c in np.unique(labels)]))
    return Images(images.images[chosen], images.labels[chosen])


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An idx file of bytes, or its .gz, of a known shape.

    Raises:
        DataError: it is missing, truncated, or holds something else.
    """
    packed = path.with_name(path.name + ".gz")
    size = 4 + 4 * len(shape) + math.prod(shape)
    try:
        if path.is_file():
            raw = path.read_bytes()
        else:
            with gzip.open(packed) as file:
                raw = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); place torchvision's file there again") from None
    head = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    if len(raw) != size or raw[: len(head)] != head:
        raise DataError(
            f"{path} is not {' x '.join(map(str, shape))} bytes in idx form; place torchvision's file there again"
        )
    return np.frombuffer(raw, np.uint8, offset=len(head)).reshape(shape).copy()
