"""Images that are read from their files in each epoch: what does not fit in memory at any one size, at the resolution it has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed, DataError
from blockzoo.core.seeds import mixed
from blockzoo.data.batches import ALL, CPU, Chances, Form, Shard
from blockzoo.data.decoding import opened
from blockzoo.data.epochs import Batches, Shares, permutation
from blockzoo.data.images import ImageData, Images
from blockzoo.data.trees import SHOWN

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


EVALUATED_SHARE = 7 / 8
"""Of the shorter side, what evaluation sees: 224 of 256 pixels."""


@dataclass(frozen=True)
class StreamedData(ImageData):
    """A dataset of files: `images` of a split is (N,) paths as bytes, `size` the side that a network sees.

    Training takes random resized crops of the original image and mirrors half of them; evaluation the middle of the image,
    its shorter side resized to 8/7 of `size`. That is how networks are trained on ImageNet elsewhere.
    """

    kept: ClassVar[Literal["resident", "stream"]] = "stream"
    size: int = 224

    def __post_init__(self) -> None:
        if empty := [name for name, split in self._splits().items() if not len(split.labels)]:
            raise DataError(f"dataset {self.name} ({self.source}): no images in {', '.join(empty)}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) as a network sees an image."""
        return 3, self.size, self.size

    def resized(self, size: int) -> StreamedData:
        """The same files, seen at another side length."""
        return self if size == self.size else StreamedData(**{**vars(self), "size": size})

    def seen(self, images: Shaped[np.ndarray, " N"]) -> Float[np.ndarray, "N 3 size size"]:
        """(N, 3, size, size) float32 of some paths as a network evaluates them."""
        batches = StreamedBatches(Images(images, np.zeros(len(images), np.int64)), len(images), data=self)
        return batches.read(0, range(len(images))).numpy()


class StreamedBatches(Batches):
    """Batches of normalised images, read from their files by `workers` processes; used as `ResidentBatches` is.

    Crop and mirroring of an image depend on (seed, epoch, its index) alone: not on the workers, the ranks, or whether
    the run was resumed. The order is that of `ResidentBatches`.

    Args:
        split: paths (N,) of the files, as bytes, and labels (N,) int64.
        batch_size: images per batch and rank.
        data: mean, std, size and whether to mirror.
        training: shuffle, crop and mirror by chance, driven by its seed, and augment; None: in order, all of them, the middle.
        form: of the batches.
        part: of the images, where several ranks share them.
        workers: processes that read; 0 reads in this one.
    """

    def __init__(
        self,
        split: Images,
        batch_size: int,
        *,
        data: StreamedData,
        training: Chances | None = None,
        form: Form = CPU,
        part: Shard = ALL,
        workers: int = 0,
    ) -> None:
        paths, labels = split
        self._reader = _Reader(paths, evaluation(data.size), None)
        if training is not None:
            self._reader = _Reader(paths, random_crops(data.size, data.flip), training.seed)
        self._labels = torch.from_numpy(np.require(labels, requirements=["C", "W"]))
        self._data, self._chances, self._form = data, training, form
        self._device = torch.device(form.device)
        super().__init__(Shares(len(labels), batch_size, training is not None, part.rank, part.world_size))
        self._workers = min(workers, len(self._shares))

    @property
    def paths(self) -> Shaped[np.ndarray, " N"]:
        """(N,) of the files, as bytes."""
        return self._reader.paths

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch = self._begun()
        order = torch.arange(len(self._labels))
        if self._chances is not None:
            order, _ = permutation(len(self._labels), self._chances.seed, epoch)
        batches = list(self._shares.of(order))
        requests = [[(epoch, index) for index in batch.tolist()] for batch in batches]
        loader = DataLoader(
            self._reader,
            batch_sampler=requests,
            num_workers=self._workers,
            collate_fn=_collated,
            pin_memory=self._device.type == "cuda",
        )
        waiting = None  # the next batch is asked for before this one is given, so the workers have ended before the last
        for loaded, indices in zip(loader, batches, strict=True):
            if waiting is not None:
                yield waiting
            waiting = self._ready(loaded, epoch, indices)
        if waiting is not None:
            yield waiting

    def read(self, epoch: int, indices: Sequence[int]) -> Float[torch.Tensor, "B 3 size size"]:
        """(n, 3, size, size): some images as this epoch has them, read in this process."""
        loaded = _collated([self._reader[epoch, index] for index in indices])
        return self._ready(loaded, epoch, torch.tensor(indices))[0]

    def _ready(
        self, loaded: torch.Tensor | list[str], epoch: int, indices: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if isinstance(loaded, list):
            more = f" and {len(loaded) - SHOWN} more" if len(loaded) > SHOWN else ""
            raise DataError(f"cannot be read as images: {'; '.join(loaded[:SHOWN])}{more}. Replace them")
        images = loaded.to(self._device, non_blocking=True)
        if self._chances is not None:
            images = self._chances.augmented(images, epoch, indices)
        pixels = v2.functional.to_dtype(images, torch.float32, scale=True)
        pixels = v2.functional.normalize(pixels, list(self._data.mean), list(self._data.std), inplace=True)
        return pixels.to(self._form.dtype).contiguous(memory_format=self._form.layout), self._labels[
            indices
        ].to(self._device)


class _Reader(Dataset[Any]):
    """(epoch, index) to (3, size, size) uint8, or to a sentence where the file cannot be read."""

    def __init__(self, paths: np.ndarray, transform: Any, seed: int | None) -> None:
        self.paths, self.transform, self.seed = paths, transform, seed

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, request: tuple[int, int]) -> torch.Tensor | str:
        epoch, index = request
        try:
            path = os.fsdecode(self.paths[index])
            image = opened(path, path)
        except DataError as error:
            return str(error)
        with torch.random.fork_rng(devices=[]):
            if self.seed is not None:
                torch.manual_seed(crop_seed(self.seed, epoch, index))
            pixels: torch.Tensor = v2.functional.pil_to_tensor(self.transform(image))
        return pixels


def random_crops(size: int, flip: bool) -> v2.Transform:
    """Of a training image: a random resized crop of the original, mirrored by chance."""
    mirrored = [v2.RandomHorizontalFlip()] if flip else []
    return v2.Compose([v2.RandomResizedCrop(size, antialias=True), *mirrored])


def evaluation(size: int) -> v2.Transform:
    """Of an image that is evaluated: resized, then its middle."""
    return v2.Compose([v2.Resize(round(size / EVALUATED_SHARE), antialias=True), v2.CenterCrop(size)])


def crop_seed(seed: int, epoch: int, index: int) -> int:
    """What an image's crop is drawn from; what else happens to it is drawn from another."""
    return mixed(seed, epoch, index, 1)


def _collated(images: list[torch.Tensor | str]) -> torch.Tensor | list[str]:
    faults = [image for image in images if isinstance(image, str)]
    return faults or torch.stack([image for image in images if not isinstance(image, str)])


@CHECKS.register("streamed-images")
def check_streamed_images(batches: StreamedBatches, count: int = 4) -> float:
    """Some images as a training that reads files sees them, against torchvision's own loader and its first transforms.

    Training images have the same draws in both, evaluated ones none. Images of 16 bits are left out: that loader saturates them.

    Catches: another crop, resizing without averaging, a channel order, a mean or deviation that is not the dataset's, images
    read through a wrong index.

    Tolerance: 1e-5 of the largest value, the rounding of a normalisation.

    Cost: eight images read, once a training; of 500 x 375 pixels, 38 ms of one core (AMD EPYC).

    Args:
        batches: of a split.
        count: how many of its images, from all over it.
    """
    from PIL import Image
    from torchvision import transforms
    from torchvision.datasets.folder import default_loader

    data, chances, worst = batches._data, batches._chances, 0.0
    size = data.size
    middle = [transforms.Resize(round(size / EVALUATED_SHARE)), transforms.CenterCrop(size)]
    crops = [transforms.RandomResizedCrop(size), *([transforms.RandomHorizontalFlip()] if data.flip else [])]
    plain = transforms.Compose(
        [
            *(middle if chances is None else crops),
            transforms.ToTensor(),
            transforms.Normalize(data.mean, data.std),
        ]
    )
    if chances is not None and chances.augment is not None:
        return worst  # what a protocol adds has no counterpart there
    for index in np.unique(np.linspace(0, len(batches.paths) - 1, count).astype(int)).tolist():
        path = os.fsdecode(batches.paths[index])
        streamed = batches.read(0, [index])[
            0
        ].cpu()  # first: it refuses what torchvision's loader would run a program for
        with Image.open(path) as image:
            if image.mode.startswith("I"):
                continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(crop_seed(0 if chances is None else chances.seed, 0, index))
            expected = plain(default_loader(path))
        deviation = float((streamed - expected).abs().max() / expected.abs().max().clamp_min(1e-12))
        if not deviation <= 1e-5:
            raise CheckFailed(
                f"check 'streamed-images' failed: {path} differs from what torchvision makes of it by {deviation:.1e} "
                "(relative; allowed 1e-05), so nothing is trained on it; --images resident keeps decoded images"
            )
        worst = max(worst, deviation)
    return worst
