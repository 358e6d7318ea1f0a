"""The fast data path: all images at hand as bytes, augmented a batch at a time by tensor operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from blockzoo.core.errors import RequestError
from blockzoo.core.seeds import mixed
from blockzoo.data.crops import PAD_MODES, random_boxes, resized_crop, shifted_crop
from blockzoo.data.epochs import Batches, Shares, permutation
from blockzoo.data.images import middle

if TYPE_CHECKING:
    from jaxtyping import Int, UInt8


Augmentation = Callable[[torch.Tensor, Sequence[int]], torch.Tensor]


class ResidentBatches(Batches):
    """Batches of normalised images from bytes that stay in the memory of the device.

    Where they would fill more than half of what a GPU has free they stay where they are (mapped from disk, say) and
    each batch travels as bytes.

    Order and augmentation of an epoch depend on (seed, epoch) alone: not on the device, nor on whether the
    run was resumed. With several ranks each sees its own part of one permutation, and an image is augmented
    as it would be with one.

    Each iteration is an epoch, and the next one counts on; a resumed run calls `set_epoch` first.

    Args:
        images: (N, C, H, W) uint8, memory-mapped or not.
        labels: (N,) int64.
        batch_size: images per batch and rank. In training a last short batch is left out, unless it is the
            only one, and all ranks have as many batches.
        training: shuffle and augment; else in order, all of them, as they are.
        mean, std: per channel, of pixels scaled to 0..1.
        seed: drives order and augmentation.
        flip: mirror half of the images, by chance.
        padding: pixels by which a random crop may be shifted (default an eighth of the side).
        pad_mode: what stands outside the image: "zeros" (black) or "reflect".
        margin: pixels on each side that evaluation leaves out; training then takes random resized crops of the whole
            image instead of shifts, as large as what evaluation sees.
        augment: what else happens to training images (B, C, H, W) uint8; told a seed for each of them.
        device, dtype, channels_last: where, and as what, the batches are.
        rank, world_size: which part of how many.

    Raises:
        RequestError: an option is out of its range, or there is not one image for each rank.
    """

    def __init__(
        self,
        images: UInt8[np.ndarray, "N C H W"],
        labels: Int[np.ndarray, " N"],
        batch_size: int,
        *,
        training: bool = False,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int = 0,
        flip: bool = False,
        padding: int | None = None,
        pad_mode: str = "zeros",
        margin: int = 0,
        augment: Augmentation | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._device = torch.device(device)
        self._height, self._width = (size - 2 * margin for size in images.shape[-2:])
        side = min(self._height, self._width)
        self._padding = side // 8 if padding is None else padding
        _check(len(labels), side, batch_size, self._padding, margin, pad_mode, rank, world_size)
        self._images = _at_hand(torch.from_numpy(np.require(images, requirements=["C", "W"])), self._device)
        self._labels = torch.from_numpy(np.require(labels, requirements=["C", "W"])).to(self._images.device)
        # (pixel / 255 - mean) / std as one product and one sum
        deviation = torch.tensor(std, device=device).view(-1, 1, 1)
        self._scale = 1 / (255 * deviation)
        self._shift = torch.tensor(mean, device=device).view(-1, 1, 1) / deviation
        self._training, self._flip, self._pad_mode, self._margin = training, flip, pad_mode, margin
        self._augment = augment
        self._dtype = dtype
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._seed = seed
        super().__init__(Shares(len(labels), batch_size, training, rank, world_size))

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch = self._begun()
        draws = self._draws(epoch)
        for indices in self._shares.of(draws.order):
            images = self._seen(self._images[indices].to(self._device), draws.places[:, indices])
            if self._training and self._flip:
                mirrored = draws.mirrored[indices].to(self._device).view(-1, 1, 1, 1)
                images = torch.where(mirrored, images.flip(-1), images)
            if self._training and self._augment:
                images = self._augment(
                    images, [mixed(self._seed, epoch, index) for index in indices.tolist()]
                )
            yield self._normalised(images), self._labels[indices].to(self._device)

    def _seen(self, images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Each image's part that the network sees."""
        if not self._training:
            return middle(images, self._margin)
        if self._margin:
            return resized_crop(images, places.to(self._device), self._height, self._width)
        if self._padding:
            return shifted_crop(images, places.to(self._device), self._padding, self._pad_mode)
        return images

    def _draws(self, epoch: int) -> _Draws:
        """All chances of an epoch, drawn at once so that no image's depend on the batches it is in."""
        device, count = self._images.device, len(self._labels)
        if not self._training:
            return _Draws(torch.arange(count, device=device), torch.empty(0, count), torch.empty(0))
        order, generator = permutation(count, self._seed, epoch)
        if self._margin:
            places = random_boxes(count, generator)
        else:
            places = torch.randint(2 * self._padding + 1, (2, count), generator=generator)
        mirrored = torch.rand(count, generator=generator) < 0.5
        return _Draws(order.to(device), places.to(device), mirrored.to(device))

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.to(torch.float32, memory_format=self._layout)
        return pixels.mul_(self._scale).sub_(self._shift).to(self._dtype)


class _Draws(NamedTuple):
    order: torch.Tensor  # (N,)
    places: torch.Tensor  # (2, N) shifts or (4, N) boxes
    mirrored: torch.Tensor  # (N,) bool


def _at_hand(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The images on the device, or as they are where they would fill more than half of what it has free."""
    if device.type == "cuda" and 2 * images.nbytes > torch.cuda.mem_get_info(device)[0]:
        return images
    return images.to(device)


def _check(
    count: int,
    side: int,
    batch_size: int,
    padding: int,
    margin: int,
    pad_mode: str,
    rank: int,
    world_size: int,
) -> None:
    if margin < 0 or side < 1:
        raise RequestError(
            f"margin {margin}: give 0 to {(side + 2 * margin - 1) // 2} for images of {side + 2 * margin} pixels"
        )
    faults = []
    if batch_size < 1:
        faults.append(f"batch size {batch_size}: give a positive number")
    if pad_mode not in PAD_MODES:
        faults.append(f"pad mode {pad_mode!r}: choose {' or '.join(PAD_MODES)}")
    if not 0 <= padding < side:
        faults.append(f"padding {padding}: give 0 to {side - 1} for images of {side} pixels")
    if not 0 <= rank < world_size:
        faults.append(f"rank {rank} of {world_size}: ranks go from 0 to {world_size - 1}")
    if count < world_size:
        faults.append(f"{count} images for {world_size} ranks: there must be one for each")
    if faults:
        raise RequestError("; ".join(faults))
