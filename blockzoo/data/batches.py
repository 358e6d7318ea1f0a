"""The fast data path: all images at hand as bytes, augmented a batch at a time by tensor operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.seeds import mixed
from blockzoo.data.crops import PAD_MODES, random_boxes, resized_crop, shifted_crop
from blockzoo.data.epochs import Batches, Shares, permutation
from blockzoo.data.images import ImageData, Images, middle

if TYPE_CHECKING:
    from jaxtyping import Int, UInt8


Augmentation = Callable[[torch.Tensor, Sequence[int]], torch.Tensor]


@dataclass(frozen=True)
class Pixels:
    """How a network is shown the pixels of a dataset.

    Args:
        mean, std: per channel, of pixels scaled to 0..1.
        margin: pixels on each side that evaluation leaves out; training then takes random resized crops of the whole
            image instead of shifts, as large as what evaluation sees.
    """

    mean: Sequence[float]
    std: Sequence[float]
    margin: int = 0


@dataclass(frozen=True)
class Chances:
    """What happens to training images by chance, beside their order.

    Args:
        seed: drives order and augmentation.
        flip: mirror half of the images.
        padding: pixels by which a random crop may be shifted (default an eighth of the side).
        pad_mode: what stands outside the image: "zeros" (black) or "reflect".
        augment: what else happens to images (B, C, H, W) uint8; told a seed for each of them.
    """

    seed: int = 0
    flip: bool = False
    padding: int | None = None
    pad_mode: str = "zeros"
    augment: Augmentation | None = None

    def augmented(
        self, images: UInt8[torch.Tensor, "B C H W"], epoch: int, indices: Int[torch.Tensor, " B"]
    ) -> UInt8[torch.Tensor, "B C H W"]:
        """The images of these numbers as `augment` leaves them in an epoch."""
        if self.augment is None:
            return images
        return self.augment(images, [mixed(self.seed, epoch, index) for index in indices.tolist()])


@dataclass(frozen=True)
class Form:
    """Where, as which numbers and in which layout batches are."""

    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32
    channels_last: bool = False

    @property
    def layout(self) -> torch.memory_format:
        """As torch calls it."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


@dataclass(frozen=True)
class Shard:
    """Which part of how many."""

    rank: int = 0
    world_size: int = 1


def pixels_of(data: ImageData) -> Pixels:
    """Those of a dataset."""
    return Pixels(data.mean, data.std, data.margin)


CPU, ALL = Form(), Shard()


class ResidentBatches(Batches):
    """Batches of normalised images from bytes that stay in the memory of the device.

    Where they would fill more than half of what a GPU has free they stay where they are (mapped from disk, say) and
    each batch travels as bytes.

    Order and augmentation of an epoch depend on (seed, epoch) alone: not on the device, nor on whether the
    run was resumed. With several ranks each sees its own part of one permutation, and an image is augmented
    as it would be with one.

    Each iteration is an epoch, and the next one counts on; a resumed run calls `set_epoch` first.

    Args:
        split: images (N, C, H, W) uint8, memory-mapped or not, and labels (N,) int64.
        batch_size: images per batch and rank. In training a last short batch is left out, unless it is the
            only one, and all ranks have as many batches.
        pixels: of the dataset.
        training: shuffle and augment so; None: in order, all of them, as they are.
        form: of the batches.
        part: of the images, where several ranks share them.

    Raises:
        UsageError: an option is out of its range, or there is not one image for each rank.
    """

    def __init__(
        self,
        split: Images,
        batch_size: int,
        *,
        pixels: Pixels,
        training: Chances | None = None,
        form: Form = CPU,
        part: Shard = ALL,
    ) -> None:
        images, labels = split
        self._device = torch.device(form.device)
        self._height, self._width = (size - 2 * pixels.margin for size in images.shape[-2:])
        side = min(self._height, self._width)
        self._training, chances = training is not None, training or Chances()
        self._chances = chances if chances.padding is not None else replace(chances, padding=side // 8)
        _check(len(labels), side, batch_size, pixels.margin, self._chances, part)
        self._images = _at_hand(torch.from_numpy(np.require(images, requirements=["C", "W"])), self._device)
        self._labels = torch.from_numpy(np.require(labels, requirements=["C", "W"])).to(self._images.device)
        # (pixel / 255 - mean) / std as one product and one sum
        deviation = torch.tensor(pixels.std, device=form.device).view(-1, 1, 1)
        self._scale = 1 / (255 * deviation)
        self._shift = torch.tensor(pixels.mean, device=form.device).view(-1, 1, 1) / deviation
        self._margin, self._form = pixels.margin, form
        super().__init__(Shares(len(labels), batch_size, self._training, part.rank, part.world_size))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch = self._begun()
        draws = self._draws(epoch)
        for indices in self._shares.of(draws.order):
            images = self._seen(self._images[indices].to(self._device), draws.places[:, indices])
            if self._training and self._chances.flip:
                mirrored = draws.mirrored[indices].to(self._device).view(-1, 1, 1, 1)
                images = torch.where(mirrored, images.flip(-1), images)
            if self._training:
                images = self._chances.augmented(images, epoch, indices)
            yield self._normalised(images), self._labels[indices].to(self._device)

    def _seen(self, images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Each image's part that the network sees."""
        if not self._training:
            return middle(images, self._margin)
        if self._margin:
            return resized_crop(images, places.to(self._device), self._height, self._width)
        if padding := self._chances.padding:
            return shifted_crop(images, places.to(self._device), padding, self._chances.pad_mode)
        return images

    def _draws(self, epoch: int) -> _Draws:
        """All chances of an epoch, drawn at once so that no image's depend on the batches it is in."""
        device, count = self._images.device, len(self._labels)
        if not self._training:
            return _Draws(torch.arange(count, device=device), torch.empty(0, count), torch.empty(0))
        order, generator = permutation(count, self._chances.seed, epoch)
        if self._margin:
            places = random_boxes(count, generator)
        else:
            padding = self._chances.padding or 0
            places = torch.randint(2 * padding + 1, (2, count), generator=generator)
        mirrored = torch.rand(count, generator=generator) < 0.5
        return _Draws(order.to(device), places.to(device), mirrored.to(device))

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.to(torch.float32, memory_format=self._form.layout)
        return pixels.mul_(self._scale).sub_(self._shift).to(self._form.dtype)


class _Draws(NamedTuple):
    order: torch.Tensor  # (N,)
    places: torch.Tensor  # (2, N) shifts or (4, N) boxes
    mirrored: torch.Tensor  # (N,) bool


def _at_hand(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The images on the device, or as they are where they would fill more than half of what it has free."""
    if device.type == "cuda" and 2 * images.nbytes > torch.cuda.mem_get_info(device)[0]:
        return images
    return images.to(device)


def _check(count: int, side: int, batch_size: int, margin: int, chances: Chances, part: Shard) -> None:
    padding, rank, world_size = chances.padding or 0, part.rank, part.world_size
    if margin < 0 or side < 1:
        raise UsageError(
            f"margin {margin}: give 0 to {(side + 2 * margin - 1) // 2} for images of {side + 2 * margin} pixels"
        )
    faults = []
    if batch_size < 1:
        faults.append(f"batch size {batch_size}: give a positive number")
    if chances.pad_mode not in PAD_MODES:
        faults.append(f"pad mode {chances.pad_mode!r}: choose {' or '.join(PAD_MODES)}")
    if not 0 <= padding < side:
        faults.append(f"padding {padding}: give 0 to {side - 1} for images of {side} pixels")
    if not 0 <= rank < world_size:
        faults.append(f"rank {rank} of {world_size}: ranks go from 0 to {world_size - 1}")
    if count < world_size:
        faults.append(f"{count} images for {world_size} ranks: there must be one for each")
    if faults:
        raise UsageError("; ".join(faults))
