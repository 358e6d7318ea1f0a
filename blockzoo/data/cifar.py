"""CIFAR-10 and CIFAR-100, from torchvision's folder, from Parquet files, or by download."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from blockzoo.core.errors import DataError
from blockzoo.data.contracts import DATASETS
from blockzoo.data.download import download_archive
from blockzoo.data.images import ImageData, Images
from blockzoo.data.parquet import read_parquet
from blockzoo.data.places import DatasetNotFound

SIDE = 32
CIFAR10_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree
pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea
seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


class Cifar:
    """What CIFAR-10 and CIFAR-100 share: 50,000 + 10,000 colour images of 32x32.

    Exports differ in the order of the images, and with it in which image a seed puts into which split. So the
    name of the split ends in a digest of the labels' order: splits of one name hold the same images.
    """

    name: ClassVar[str]
    class_names: ClassVar[tuple[str, ...]]
    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]
    folder: ClassVar[str]  # of torchvision's layout
    archive: ClassVar[tuple[str, str]]  # address and MD5
    batches: ClassVar[Mapping[str, Mapping[str, str]]]  # split -> file of torchvision's layout -> MD5
    label_key: ClassVar[bytes]  # in torchvision's batches
    label_columns: ClassVar[tuple[str, ...]]  # in Parquet files

    split = "45k-5k-v1"
    counts: ClassVar[Mapping[str, int]] = {"train": 50_000, "test": 10_000}

    def load(
        self, roots: Sequence[Path], *, image_size: int | None = None, download: bool = True
    ) -> ImageData:
        """Look into each root for torchvision's batches, then for Parquet files; then try to download."""
        for root in roots:
            for folder in self._batch_folders(root):
                if folder.is_dir():
                    return self._data(
                        folder, {split: self._from_batches(folder, split) for split in self.counts}
                    )
            for folder in self._parquet_folders(root):
                if files := self._parquet_files(folder, named=folder != root):
                    splits = {split: self._from_parquet(split, paths) for split, paths in files.items()}
                    return self._data(folder, splits)
        if not download:
            raise self._not_found(roots, "downloading it was not allowed")
        target = next((root for root in roots if _writable(root)), roots[0])
        if reason := download_archive(*self.archive, target):
            raise self._not_found(roots, f"could not be downloaded ({reason})")
        return self.load([target], image_size=image_size, download=False)

    def _data(self, folder: Path, splits: dict[str, Images]) -> ImageData:
        order = hashlib.sha256(np.ascontiguousarray(splits["train"].labels).data).hexdigest()[:6]
        return ImageData.held_out(
            **splits,
            name=self.name,
            split=f"{self.split}-{order}",
            num_classes=len(self.class_names),
            mean=self.mean,
            std=self.std,
            flip=True,
            class_names=self.class_names,
            source=str(folder),
        )

    def _not_found(self, roots: Sequence[Path], reason: str) -> DatasetNotFound:
        looked_at = [
            *(folder for root in roots for folder in self._batch_folders(root)),
            *(folder / "{train,test}*.parquet" for root in roots for folder in self._parquet_folders(root)),
        ]
        expected = f"torchvision's folder {self.folder}/, or Parquet files train*.parquet and test*.parquet"
        return DatasetNotFound(self.name, looked_at, expected, reason)

    # --- torchvision's layout ------------------------------------------------------------------------

    def _batch_folders(self, root: Path) -> list[Path]:
        return [root / self.folder, root / self.name / self.folder]

    def _from_batches(self, folder: Path, split: str) -> Images:
        contents = _verified(folder, self.batches[split])
        batches: list[dict[bytes, Any]] = [pickle.loads(content, encoding="bytes") for content in contents]
        pixels = np.concatenate([batch[b"data"] for batch in batches])
        labels = np.concatenate([np.asarray(batch[self.label_key], np.int64) for batch in batches])
        return Images(pixels.reshape(-1, 3, SIDE, SIDE), labels)

    # --- Hugging Face's layout -----------------------------------------------------------------------

    def _parquet_folders(self, root: Path) -> list[Path]:
        own = root / self.name
        return [own, own / "data", own / "plain_text", own / self.name, root]

    def _parquet_files(self, folder: Path, *, named: bool) -> dict[str, list[Path]] | None:
        """Files of both splits. One without the other is an error in a folder with the dataset's name."""
        files = {split: sorted(folder.glob(f"{split}*.parquet")) for split in self.counts}
        missing = [split for split, paths in files.items() if not paths]
        if not missing:
            return files
        if named and len(missing) < len(files):
            raise DataError(
                f"dataset {self.name}: {folder} holds no {missing[0]}*.parquet; place it beside the others"
            )
        return None

    def _from_parquet(self, split: str, files: list[Path]) -> Images:
        return read_parquet(self.name, files, self.counts[split], SIDE, self.label_columns)


@DATASETS.register("cifar10")
class Cifar10(Cifar):
    """60,000 colour images of 32x32 in 10 classes; 45,000 train, 5,000 validation, 10,000 test.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto 2009.
    """

    name = "cifar10"
    class_names = tuple(CIFAR10_CLASSES.split())
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    folder, label_key, label_columns = "cifar-10-batches-py", b"labels", ("label",)
    archive = ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a")
    batches: ClassVar[Mapping[str, Mapping[str, str]]] = {
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
class Cifar100(Cifar):
    """60,000 colour images of 32x32 in 100 classes; 45,000 train, 5,000 validation, 10,000 test.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto 2009.
    """

    name = "cifar100"
    class_names = tuple(CIFAR100_CLASSES.split())
    mean, std = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    folder, label_key, label_columns = "cifar-100-python", b"fine_labels", ("fine_label", "label")
    archive = ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85")
    batches: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "train": {"train": "16019d7e3df5f24257cddd939b257f8d"},
        "test": {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    }


def _verified(folder: Path, digests: Mapping[str, str]) -> list[bytes]:
    """The content of batch files, all checked before any is used.

    The files are pickles, and a pickle can run code when it is opened: only the published bytes may be. What
    was checked is what is returned, so a file that changes in between does no harm.
    """
    contents, faults = [], []
    for name, digest in digests.items():
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            faults.append(f"{name} cannot be read ({error.strerror})")
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != digest:
            faults.append(f"{name} is truncated or altered (its MD5 is not {digest}), so it was not opened")
        contents.append(content)
    if faults:
        raise DataError(f"{folder}: {'; '.join(faults)}. Remove the folder and fetch it anew")
    return contents


def _writable(folder: Path) -> bool:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return there.is_dir() and os.access(there, os.W_OK)
