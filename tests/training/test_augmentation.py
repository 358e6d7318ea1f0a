"""What protocols do to images: against loops over pixels, and image by image whatever the batch."""

from __future__ import annotations

import numpy as np
import torch

from blockzoo.data.batches import Chances, Pixels, ResidentBatches
from blockzoo.data.images import Images
from blockzoo.training.augmentation import augmentation, cut_out, rand_augmented
from blockzoo.training.protocols import get_protocol

MEAN = (0.2, 0.5, 0.9)
SEEDS = [0, 31, 1023, 4_000_000_000, 77, 12345]


def _images(count: int = 6, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


def _cut_by_hand(image: torch.Tensor, seed: int, side: int) -> torch.Tensor:
    height, width = image.shape[-2:]
    centre = seed % height, seed // height % width
    cut = image.clone()
    for row in range(centre[0] - side // 2, centre[0] - side // 2 + side):
        for column in range(centre[1] - side // 2, centre[1] - side // 2 + side):
            if 0 <= row < height and 0 <= column < width:
                for channel in range(3):
                    cut[channel, row, column] = round(MEAN[channel] * 255)
    return cut


def test_cutout_equals_a_loop_over_pixels() -> None:
    for side in (1, 7, 16):
        images = _images()
        images_cut = cut_out(images, SEEDS, side, MEAN)
        for image, seed, cut in zip(images, SEEDS, images_cut, strict=True):
            assert torch.equal(cut, _cut_by_hand(image, seed, side)), (seed, side)


def test_cutout_reaches_every_place() -> None:
    """All centres are possible: over all of them each pixel is cut off as often as a square can cover it."""
    side, seeds = 3, list(range(64))
    cut = cut_out(torch.full((64, 3, 8, 8), 7, dtype=torch.uint8), seeds, side, (0.0, 0.0, 0.0))[:, 0] == 0
    assert cut.sum(0)[1:-1, 1:-1].unique().tolist() == [9] and cut.sum(0)[0, 0] == 4


def test_rand_augment_depends_on_the_seed_of_an_image_alone() -> None:
    images = _images()
    before = torch.random.get_rng_state()
    together = rand_augmented(images, SEEDS, 2, 14)
    assert torch.equal(torch.random.get_rng_state(), before), "the run's own generator is left alone"
    for place in (5, 0, 3):
        alone = rand_augmented(images[place : place + 1], SEEDS[place : place + 1], 2, 14)
        assert torch.equal(alone[0], together[place])
    assert not torch.equal(rand_augmented(images, [s + 1 for s in SEEDS], 2, 14), together)
    assert together.dtype == torch.uint8 and not torch.equal(together, images)


def test_batches_augment_an_image_alike_whatever_the_batch_size() -> None:
    """Each image keeps its own crop, operations and square when the batch size changes; another epoch has others."""
    images = _images(12, 16).numpy()
    augment = augmentation(get_protocol("blox-v1"), MEAN)

    def epoch(size: int, number: int) -> dict[int, torch.Tensor]:
        batches = ResidentBatches(
            Images(images, np.arange(12)),
            size,
            pixels=Pixels(MEAN, (1, 1, 1)),
            training=Chances(4, augment=augment),
        )
        batches.set_epoch(number)
        return {int(label): x for xs, labels in batches for x, label in zip(xs, labels, strict=True)}

    small, large, later = epoch(3, 0), epoch(12, 0), epoch(12, 1)
    assert sorted(small) == sorted(large) == list(range(12))
    assert all(torch.equal(small[i], large[i]) for i in small)
    assert not all(torch.equal(large[i], later[i]) for i in large)


def test_protocols_without_either_have_no_augmentation() -> None:
    assert augmentation(get_protocol("fast-v1"), MEAN) is None
