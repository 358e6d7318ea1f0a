"""CIFAR-10 and CIFAR-100, from a Parquet folder, torchvision's folder, or by download."""

from __future__ import annotations

import hashlib
import io
import pickle
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from blockzoo.core.contracts import DATASETS
from blockzoo.core.errors import DataError
from blockzoo.data.cache import cached
from blockzoo.data.images import ImageData, Images, holdout
from blockzoo.data.load import not_found

SIDE = 32
IMAGE_COLUMNS, LABEL_COLUMNS = ("img", "image"), ("label", "fine_label")


class _Cifar:
    """What CIFAR-10 and CIFAR-100 share: 50,000 + 10,000 colour images of 32x32."""

    name: ClassVar[str]
    num_classes: ClassVar[int]
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]
    folder: ClassVar[str]  # of torchvision's layout
    batches: ClassVar[dict[str, dict[str, str]]]  # split -> file -> MD5, of torchvision's layout
    label_key: ClassVar[bytes]

    split = "45k-5k-v1"
    train_count, test_count, validation_count = 50_000, 10_000, 5_000

    def load(self, roots: Sequence[Path], *, image_size: int | None = None, download: bool = True) -> ImageData:
        """Look into each root for Parquet files, then for torchvision's batches; then try to download."""
        for root in roots:
            for read in (self._from_parquet, self._from_batches):
                if found := read(root):
                    return self._data(*found)
        reason = self._download(roots[-1]) if download else "downloading was not allowed"
        if reason is None and (found := self._from_batches(roots[-1])):
            return self._data(*found)
        expected = f"{self.name}/train*.parquet and {self.name}/test*.parquet, or torchvision's {self.folder}/,"
        raise not_found(self.name, roots, expected, reason or "the download was not complete")

    def _data(self, train: Images, test: Images) -> ImageData:
        counts = len(train.labels), len(test.labels)
        if counts != (self.train_count, self.test_count):
            raise DataError(
                f"{self.name} has {self.train_count} training and {self.test_count} test images, "
                f"but {counts[0]} and {counts[1]} were found: the files are truncated or of another dataset"
            )
        rest, held_out = holdout(train, self.validation_count)
        return ImageData(
            name=self.name,
            split=self.split,
            train=rest,
            val=held_out,
            test=test,
            num_classes=self.num_classes,
            mean=self.mean,
            std=self.std,
            flip=True,
        )

    # --- Hugging Face's layout -----------------------------------------------------------------------

    def _from_parquet(self, root: Path) -> tuple[Images, Images] | None:
        for folder in (root / self.name, root / self.name / "data", root / self.name / "plain_text", root):
            files = {split: sorted(folder.glob(f"{split}*.parquet")) for split in ("train", "test")}
            if folder == root and root.name != self.name:
                continue
            if files["train"] and files["test"]:
                return self._parquet_split(files["train"]), self._parquet_split(files["test"])
        return None

    def _parquet_split(self, files: list[Path]) -> Images:
        return cached(files, f"{self.name}-v1", lambda: _decode_parquet(files, self.name))

    # --- torchvision's layout ------------------------------------------------------------------------

    def _from_batches(self, root: Path) -> tuple[Images, Images] | None:
        for folder in (root / self.folder, root / self.name / self.folder):
            if folder.is_dir():
                train, test = (self._batches(folder, files) for files in self.batches.values())
                return train, test
        return None

    def _batches(self, folder: Path, files: dict[str, str]) -> Images:
        images, labels = [], []
        for name, digest in files.items():
            batch = _open_verified(folder / name, digest)
            images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, SIDE, SIDE))
            labels.append(np.asarray(batch[self.label_key], np.int64))
        return Images(np.concatenate(images), np.concatenate(labels))

    def _download(self, root: Path) -> str | None:
        """Download into `root`; None if that worked, else the reason it did not."""
        from torchvision import datasets

        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(10)
        try:
            getattr(datasets, self.name.upper())(root, download=True)
        except Exception as error:
            return f"cannot be downloaded ({error})"
        finally:
            socket.setdefaulttimeout(before)
        return None


@DATASETS.register("cifar10")
class Cifar10(_Cifar):
    """60,000 colour images of 32x32 in 10 classes; 45,000 train, 5,000 validation, 10,000 test.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    name, num_classes, label_key = "cifar10", 10, b"labels"
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    folder = "cifar-10-batches-py"
    batches: ClassVar[dict[str, dict[str, str]]] = {
        "train": {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
    }


@DATASETS.register("cifar100")
class Cifar100(_Cifar):
    """60,000 colour images of 32x32 in 100 classes; 45,000 train, 5,000 validation, 10,000 test.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    name, num_classes, label_key = "cifar100", 100, b"fine_labels"
    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    folder = "cifar-100-python"
    batches: ClassVar[dict[str, dict[str, str]]] = {
        "train": {"train": "16019d7e3df5f24257cddd939b257f8d"},
        "test": {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    }


def _open_verified(path: Path, digest: str) -> dict[bytes, Any]:
    """Read a batch file. It is a pickle, which can run code: only the published bytes are opened."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; the folder is not complete, download it anew") from error
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != digest:
        raise DataError(f"{path} is truncated or altered (its MD5 is not {digest}), so it was not opened; download it anew")
    batch: dict[bytes, Any] = pickle.loads(content, encoding="bytes")
    return batch


def _decode_parquet(files: list[Path], name: str) -> Images:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(f"{files[0]}: reading Parquet needs pyarrow; pip install 'blockzoo[parquet]'") from None
    images, labels = [], []
    for path in files:
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} is not a readable Parquet file ({error}); it may be truncated: fetch it anew") from error
        image = next((c for c in IMAGE_COLUMNS if c in table.column_names), None)
        label = next((c for c in LABEL_COLUMNS if c in table.column_names), None)
        if image is None or label is None:
            raise DataError(
                f"{path}: {name} needs a column {' or '.join(IMAGE_COLUMNS)} and one {' or '.join(LABEL_COLUMNS)}, "
                f"but it has {', '.join(table.column_names)}"
            )
        encoded = table.column(image).to_pylist()
        with ThreadPoolExecutor() as pool:
            images += pool.map(lambda item: _decode(item, path), encoded, chunksize=1000)
        labels.append(table.column(label).to_numpy().astype(np.int64))
    return Images(np.stack(images), np.concatenate(labels))


def _decode(item: Any, path: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    content = item.get("bytes") if isinstance(item, dict) else item
    try:
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    except (UnidentifiedImageError, OSError, TypeError) as error:
        raise DataError(f"{path} holds something that is no image: {error}") from error
    if pixels.shape != (SIDE, SIDE, 3):
        raise DataError(f"{path} holds an image of {pixels.shape[:2]}, not {(SIDE, SIDE)}")
    return pixels.transpose(2, 0, 1)
