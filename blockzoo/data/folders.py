"""Trees with one folder per class, such as ImageNet."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from blockzoo.core.contracts import DATASETS
from blockzoo.core.errors import DataError
from blockzoo.data.cache import cached
from blockzoo.data.images import ImageData, Images, holdout, moments, stratified, take
from blockzoo.data.load import not_found

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"})


@DATASETS.register("folder")
class ClassFolders:
    """Any tree of images with one folder per class: ROOT/train/CLASS/, ROOT/val/CLASS/, or just ROOT/CLASS/.

    ROOT is --data-dir. A folder `test` is the test split, else `val` is, and a tenth of the training images,
    chosen by a fixed seed, is the validation split. A bare ROOT/CLASS/ tree is split into stratified fifths.
    Images are cropped to their central square, resized, decoded once and kept memory-mapped in the cache.
    """

    name, default_size = "folder", 32
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def load(self, roots: Sequence[Path], *, image_size: int | None = None, download: bool = True) -> ImageData:
        """The first root (or ROOT/NAME) that holds such a tree."""
        size = image_size or self.default_size
        for root in [place for root in roots for place in (root / self.name, root)]:
            if _classes(root / "train"):
                return self._from_splits(root, size)
            if self.name == "folder" and _classes(root):
                return self._from_fifths(root, size)
        raise not_found(self.name, roots, "a tree train/CLASS/image.jpg (and val/CLASS/, or test/CLASS/)")

    def _from_splits(self, root: Path, size: int) -> ImageData:
        names = _classes(root / "train")
        train = _read(root / "train", names, size)
        held = [name for name in ("test", "val") if _classes(root / name)]
        if not held:
            raise DataError(f"{root} has train/ but neither val/ nor test/; expected {root}/val/CLASS/image.jpg")
        test = _read(root / held[0], names, size)
        if len(held) == 2:
            return self._data(names, "as-given-v1", train, _read(root / "val", names, size), test)
        rest, validation = holdout(train, max(1, len(train.labels) // 10))
        return self._data(names, "tenth-v1", rest, validation, test)

    def _from_fifths(self, root: Path, size: int) -> ImageData:
        names = _classes(root)
        everything = _read(root, names, size)
        fifths = stratified(everything.labels, 5)
        train = take(everything, np.sort(np.concatenate(fifths[:3])))
        return self._data(
            names, "stratified-fifths-v1", train, take(everything, fifths[3]), take(everything, fifths[4])
        )

    def _data(self, names: list[str], split: str, train: Images, val: Images, test: Images) -> ImageData:
        mean, std = (self.mean, self.std) if self.mean and self.std else moments(train.images)
        return ImageData(self.name, split, train, val, test, len(names), mean, std, True, tuple(names))


@DATASETS.register("imagenet")
class ImageNet(ClassFolders):
    """ImageNet (ILSVRC 2012) as imagenet/train/CLASS/ and imagenet/val/CLASS/; 224x224 unless --image-size.

    Source: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015, arXiv:1409.0575.
    """

    name, default_size = "imagenet", 224
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _classes(folder: Path) -> list[str]:
    """Names of the class folders directly in `folder`, sorted: a class's label is its place."""
    if not folder.is_dir():
        return []
    return sorted(d.name for d in folder.iterdir() if d.is_dir() and any(f.suffix.lower() in SUFFIXES for f in d.iterdir()))


def _read(folder: Path, names: list[str], size: int) -> Images:
    if unknown := set(_classes(folder)) - set(names):
        raise DataError(f"{folder} has classes that train/ has not: {', '.join(sorted(unknown)[:5])}")
    files = [
        (path, label)
        for label, name in enumerate(names)
        if (folder / name).is_dir()
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    return cached([path for path, _ in files], f"folder-{size}-v1", lambda: _decode_all(files, size))


def _decode_all(files: list[tuple[Path, int]], size: int) -> Images:
    images = np.empty((len(files), 3, size, size), np.uint8)

    def decode(index: int) -> None:
        images[index] = _decode(files[index][0], size)

    with ThreadPoolExecutor() as pool:
        list(pool.map(decode, range(len(files))))
    return Images(images, np.array([label for _, label in files], np.int64))


def _decode(path: Path, size: int) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from error
    return np.asarray(square).transpose(2, 0, 1)
