"""Trees with one folder per class, such as ImageNet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from blockzoo.core.errors import DataError
from blockzoo.data.cache import cached_array, stamps
from blockzoo.data.content import File, digest_of_files
from blockzoo.data.contracts import DATASETS
from blockzoo.data.decoding import opened
from blockzoo.data.images import ImageData, Images, holdout, moments, stratified
from blockzoo.data.places import DatasetNotFound
from blockzoo.data.trees import (
    SHOWN,
    class_folders,
    has_images,
    images_of,
    is_image,
    tell_lacking,
    tell_left_out,
)

PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval"),
}
"""What the folders of a split are called, in lower case."""


@DATASETS.register("folder")
class ClassFolders:
    """Any tree of images with one folder per class: ROOT/train/CLASS/, ROOT/val/CLASS/, or just ROOT/CLASS/.

    ROOT is --data-dir. A folder `val` (valid, validation, dev) validates and a folder `test` (testing, eval) is the test
    split, in any case of letters; where there is one of the two it is the test split, and a stratified tenth of the training
    images, chosen by a fixed seed, validates. Any other folder with images beside train/ is refused by name. A bare
    ROOT/CLASS/ tree is split into stratified fifths: three train, one validation, one test. The split is made on the list of
    files; then each image is decoded once, cropped to its central square, resized, and kept in the cache. A digest of the
    files is part of the request.
    Subfolders belong to their class. What is no image, cannot be read, or lies elsewhere is refused by name.
    """

    name, default_size = "folder", 32
    expected_classes: int | None = None
    margin = 0.0
    """Share of the image's side that is kept on each side of it for training's random resized crops."""
    resampling = "bicubic"
    mean: tuple[float, ...] | None = None  # None: those of the training images
    std: tuple[float, ...] | None = None

    def load(
        self, roots: Sequence[Path], *, image_size: int | None = None, download: bool = True
    ) -> ImageData:
        """The first root (or ROOT/NAME) that holds such a tree."""
        return self._data(*self._tree(roots), image_size)

    def stream(self, roots: Sequence[Path], *, image_size: int | None = None) -> ImageData:
        """The same files and splits, each image read anew in each epoch."""
        from blockzoo.data.streams import StreamedData

        root, names, split, files = self._tree(roots)
        parts = {
            part: Images(np.array([os.fsencode(path) for path, _ in pairs]), _labels(pairs))
            for part, pairs in files.items()
        }
        return StreamedData(
            name=self.name,
            split=split,
            train=parts["train"],
            val=parts["val"],
            test=parts["test"],
            num_classes=len(names),
            mean=self.mean or ImageNet.mean,
            std=self.std or ImageNet.std,
            flip=True,
            class_names=tuple(names),
            source=str(root),
            digest=digest_of_files(root, files),
            size=image_size or self.default_size,
        )

    def decoded_bytes(self, roots: Sequence[Path], *, image_size: int | None = None) -> int:
        """What all images take, decoded at the size that `load` keeps."""
        size = image_size or self.default_size
        stored = size + 2 * round(self.margin * size)
        return sum(map(len, self._tree(roots)[-1].values())) * 3 * stored**2

    def _tree(self, roots: Sequence[Path]) -> tuple[Path, list[str], str, dict[str, list[File]]]:
        """The folder, the classes, the name of the split and the files of its parts."""
        places = [place for root in roots for place in (root / self.name, root)]
        for root in places:
            train = next(iter(_holders(root, PARTS["train"])), "train")
            if names := _classes(root / train):
                return self._complete(root, names, *_given_splits(root, train, names))
            if self.expected_classes is None and (names := _bare_classes(root)):
                return self._complete(root, names, *_fifths(root, names))
        expected = "a tree train/CLASS/image.jpg with val/CLASS/ or test/CLASS/ beside it"
        raise DatasetNotFound(self.name, places, expected, "cannot be downloaded")

    def _complete(
        self, root: Path, names: list[str], split: str, files: dict[str, list[File]]
    ) -> tuple[Path, list[str], str, dict[str, list[File]]]:
        if self.expected_classes not in (None, len(names)):
            raise DataError(
                f"dataset {self.name}: {root / 'train'} holds {len(names)} class folders, not "
                f"{self.expected_classes}; for a part of it use --dataset folder --data-dir {root}"
            )
        return root, names, split, files

    def _data(
        self, root: Path, names: list[str], split: str, files: dict[str, list[File]], image_size: int | None
    ) -> ImageData:
        size = image_size or self.default_size
        margin = round(self.margin * size)
        stored = size + 2 * margin
        digest = digest_of_files(root, files)
        splits = {
            part: _decoded(f"{self.name}-{part}-{stored}", digest, files[part], stored, self.resampling)
            for part in files
        }
        mean, std = (self.mean, self.std) if self.mean and self.std else moments(splits["train"])
        return ImageData(
            name=self.name,
            split=split,
            **splits,
            num_classes=len(names),
            mean=mean,
            std=std,
            flip=True,
            margin=margin,
            class_names=tuple(names),
            source=str(root),
            digest=digest,
        )


@DATASETS.register("imagenet")
class ImageNet(ClassFolders):
    """ImageNet (ILSVRC 2012) as imagenet/train/CLASS/ and imagenet/val/CLASS/; 224x224 unless --image-size.

    As is usual, images are kept at 8/7 of that (256): evaluation sees the middle, training random resized crops. They
    are crops of the central square at this size, not of the original.

    Source: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015, arXiv:1409.0575.
    """

    name, default_size, expected_classes = "imagenet", 224, 1000
    margin = 1 / 14
    resampling = "bilinear"  # as torchvision's weights are evaluated
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@DATASETS.register("mini_imagenet")
class MiniImageNet(ClassFolders):
    """A part of ImageNet as mini_imagenet/train/CLASS/, or mini_imagenet/CLASS/; 32x32 unless --image-size.

    Source: Vinyals et al., Matching Networks for One Shot Learning, NIPS 2016, arXiv:1606.04080.
    """

    name = "mini_imagenet"
    mean, std = ImageNet.mean, ImageNet.std


def _classes(folder: Path) -> list[str]:
    """Names of the class folders in `folder`; none where no image is in any of them."""
    names = class_folders(folder)
    return names if any(has_images(folder / name) for name in names) else []


def _bare_classes(root: Path) -> list[str]:
    """Names of the folders in `root` that hold images, if any holds some directly: others may lie beside them."""
    names = class_folders(root)
    if not any(has_images(root / name, deep=False) for name in names):
        return []
    classes = [name for name in names if has_images(root / name)]
    tell_left_out("without images", [str(root / name) for name in names if name not in classes])
    parts = [name for name in classes if name.lower() in sum(PARTS.values(), ()) and _classes(root / name)]
    if parts:
        raise DataError(
            f"{root} has class folders beside {', '.join(parts)}, which has some too: move the classes that are trained on to "
            f"{root / 'train'}, or {', '.join(parts)} away"
        )
    return classes


def _files(folder: Path, names: list[str]) -> list[File]:
    present = [name for name in class_folders(folder) if name in names or has_images(folder / name)]
    empty = [str(folder / name) for name in class_folders(folder) if name not in present]
    tell_left_out("without images", empty)
    if unknown := sorted(set(present) - set(names)):
        raise DataError(f"{folder} has classes that train/ has not: {', '.join(unknown[:SHOWN])}")
    label = {name: place for place, name in enumerate(names)}
    by_class = zip(present, images_of(folder, present), strict=True)
    return [(path, label[name]) for name, paths in by_class for path in paths]


def _given_splits(root: Path, train: str, names: list[str]) -> tuple[str, dict[str, list[File]]]:
    """Name of the split, which says its folders, and the files of its parts, where the tree has a folder train."""
    by_part = {part: _holders(root, aliases) for part, aliases in PARTS.items()}
    held = [name for holders in by_part.values() for name in holders]
    _check_nothing_is_left(root, held)
    if twice := [holders for holders in by_part.values() if len(holders) > 1]:
        raise DataError(
            f"{root} has {' and '.join(twice[0])}, which are one part of a split: join them or move one away"
        )
    if held == [train]:
        raise DataError(
            f"{root} has train/ but no class folders in val/ or test/; expected {root}/val/CLASS/image.jpg"
        )
    files = {name: _files(root / name, names) for name in held}
    for name in held:
        labels = {label for _, label in files[name]}
        tell_lacking(root / name, [of for label, of in enumerate(names) if label not in labels])
    if len(held) == len(PARTS):
        splits = {part: files[name] for part, (name,) in by_part.items()}
        kind = "as-given-v1" if held == list(PARTS) else f"{'-'.join(held)}-as-given-v1"
        return kind, splits
    (tested,) = (name for name in held if name != train)
    rest, validation = holdout(_labels(files[train]))
    parts = {
        "train": _pick(files[train], rest),
        "val": _pick(files[train], validation),
        "test": files[tested],
    }
    return f"{tested}-is-test-v1", parts


def _holders(root: Path, known: Sequence[str]) -> list[str]:
    """Names of the folders in `root` that are one of these, in any case of letters, and hold images."""
    return [name for name in class_folders(root) if name.lower() in known and _holds(root / name)]


def _holds(folder: Path) -> bool:
    return bool(_classes(folder)) or _loose(folder)


def _check_nothing_is_left(root: Path, held: Sequence[str]) -> None:
    others = [name for name in class_folders(root) if name not in held and has_images(root / name)]
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        raise DataError(
            f"{root} has folders beside {', '.join(held)} that hold images: {', '.join(others[:SHOWN])}{more}. A split is called "
            f"{'; '.join(' or '.join(aliases) for aliases in PARTS.values())}: rename them, or move them away"
        )


def _loose(folder: Path) -> bool:
    """Whether images lie in a split without class folders: reading it says so by name."""
    return folder.is_dir() and any(is_image(path.name) for path in folder.iterdir())


def _fifths(root: Path, names: list[str]) -> tuple[str, dict[str, list[File]]]:
    """Name of the split and the files of its parts, for a bare ROOT/CLASS/ tree."""
    files = _files(root, names)
    *train, validation, test = stratified(_labels(files), 5)
    parts = {"train": np.sort(np.concatenate(train)), "val": validation, "test": test}
    return "stratified-fifths-v1", {part: _pick(files, indices) for part, indices in parts.items()}


def _labels(files: Sequence[File]) -> np.ndarray:
    return np.array([label for _, label in files], np.int64)


def _pick(files: Sequence[File], indices: np.ndarray) -> list[File]:
    return [files[index] for index in indices]


def _decoded(what: str, digest: str, files: Sequence[File], size: int, resampling: str) -> Images:
    paths = [path for path, _ in files]
    shape = (len(paths), 3, size, size)

    def decode(out: np.ndarray) -> None:
        _decode_all(paths, out, resampling)

    return Images(
        cached_array(f"{what}-{resampling}-v2", (digest, stamps(paths)), shape, np.uint8, decode),
        _labels(files),
    )


def _decode_all(paths: Sequence[Path], out: np.ndarray, resampling: str) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda path, target: _decode(path, target, resampling), paths, out)
        faults = [fault for fault in outcomes if fault]
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise DataError(
            f"cannot be read as images: {'; '.join(faults[:SHOWN])}{more}. Remove or replace them"
        )


def _decode(path: Path, out: np.ndarray, resampling: str) -> str | None:
    """Decode into `out` (3, size, size); what went wrong, in words."""
    from PIL import Image, ImageOps

    try:
        square = ImageOps.fit(opened(path, str(path)), out.shape[:0:-1], Image.Resampling[resampling.upper()])
    except DataError as error:
        return str(error)
    out[:] = np.asarray(square).transpose(2, 0, 1)
    return None
