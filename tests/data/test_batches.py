from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from blockzoo.core.errors import UsageError
from blockzoo.data.batches import Chances, Form, Pixels, ResidentBatches, Shard, _at_hand
from blockzoo.data.crops import RATIOS, random_boxes, resized_crop, shifted_crop
from blockzoo.data.images import Images
from tests.reference.augmentation import augmented

RAW = Pixels((0.0,), (1 / 255,))  # batches hold the bytes as they are


def numbered(count: int, side: int = 8) -> Images:
    """Images that hold their own number everywhere, and labels that are it."""
    labels = np.arange(count)
    planes = np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (count, 1, side, side))
    return Images(planes, labels)


def labels_of(batches: ResidentBatches) -> list[int]:
    return torch.cat([labels for _, labels in batches]).tolist()


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_crop_and_flip_are_those_of_the_slow_truth(mode: str) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 2, 10, 12), dtype=np.uint8)
    shifts = random.integers(0, 2 * 3 + 1, (2, 40))
    fast = shifted_crop(torch.from_numpy(images), torch.from_numpy(shifts), 3, mode).numpy()
    slow = [augmented(i, d, r, 3, mode, False) for i, d, r in zip(images, *shifts, strict=True)]
    assert np.array_equal(fast, np.stack(slow))


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_a_whole_epoch_is_that_of_the_slow_truth(mode: str) -> None:
    images = np.random.default_rng(1).integers(0, 256, (24, 1, 16, 16), dtype=np.uint8)
    batches = ResidentBatches(
        Images(images, np.arange(24)), 8, training=Chances(flip=True, pad_mode=mode), pixels=RAW
    )
    draws = batches._draws(0)
    seen, mirrored = 0, 0
    for pixels, labels in batches:
        for image, n in zip(pixels.round().to(torch.uint8).numpy(), labels.tolist(), strict=True):
            down, right = draws.places[:, n].tolist()
            flip = bool(draws.mirrored[n])
            assert np.array_equal(image, augmented(images[n], down, right, 2, mode, flip))
            seen, mirrored = seen + 1, mirrored + flip
    assert seen == 24 and 0 < mirrored < 24
    assert draws.places.min() == 0 and draws.places.max() == 4


def test_resized_crops_are_pillows() -> None:
    """Pillow reads the pixels around a box as well, and rounds each of its two passes."""
    from PIL import Image

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (30, 2, 20, 24), dtype=np.uint8)
    boxes = random_boxes(30, torch.Generator().manual_seed(0))
    crops = resized_crop(torch.from_numpy(images), boxes, 20, 24).numpy()
    assert crops.dtype == np.uint8
    for image, crop, (top, left, height, width) in zip(images, crops, boxes.T.tolist(), strict=True):
        box = (left * 24, top * 20, min(24, (left + width) * 24), min(20, (top + height) * 20))
        for plane, cut in zip(image, crop, strict=True):
            want = np.asarray(Image.fromarray(plane).resize((24, 20), Image.Resampling.BILINEAR, box))
            assert np.abs(cut.astype(int) - want).max() <= 1


def test_boxes_have_the_areas_and_ratios_that_are_usual_and_lie_within() -> None:
    top, left, height, width = random_boxes(100_000, torch.Generator().manual_seed(1))
    for begin, length in ((top, height), (left, width)):
        assert begin.min() >= 0 and (begin + length).max() <= 1 + 1e-6 and length.min() > 0.2
    uncut = (height < 1) & (width < 1)
    area, ratio = (height * width)[uncut], (width / height)[uncut]
    assert 0.08 <= area.min() < 0.081 and area.max() > 0.95
    assert RATIOS[0] <= ratio.min() < 0.752 and 1.33 < ratio.max() <= RATIOS[1] + 1e-5
    assert (height * width).mean() == pytest.approx(0.53, abs=0.01)
    assert torch.log(ratio).mean() == pytest.approx(0, abs=0.005)


def test_a_margin_is_for_training_alone() -> None:
    images = np.random.default_rng(1).integers(0, 256, (12, 1, 20, 16), dtype=np.uint8)
    evaluated = ResidentBatches(Images(images, np.arange(12)), 5, pixels=replace(RAW, margin=2))
    assert torch.equal(
        torch.cat([x for x, _ in evaluated]).byte(), torch.from_numpy(images)[:, :, 2:18, 2:14]
    )
    batches = ResidentBatches(
        Images(images, np.arange(12)), 4, training=Chances(), pixels=replace(RAW, margin=2)
    )
    draws = batches._draws(0)
    seen = 0
    for crops, labels in batches:
        want = resized_crop(torch.from_numpy(images[labels]), draws.places[:, labels], 16, 12)
        assert torch.equal(crops.byte(), want)
        seen += len(labels)
    assert seen == 12
    assert not torch.equal(batches._draws(1).places, draws.places)
    with pytest.raises(UsageError, match="margin 8: give 0 to 7 for images of 16 pixels"):
        ResidentBatches(Images(images, np.arange(12)), 4, pixels=replace(RAW, margin=8))


def test_images_that_do_not_fit_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * images.nbytes - 1, 10**12))
    assert _at_hand(images, torch.device("cuda")) is images


def test_values_are_normalised_and_in_the_wanted_form() -> None:
    images = np.random.default_rng(2).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    labels = np.zeros(6, np.int64)
    wanted = (torch.from_numpy(images) / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(
        3, 1, 1
    )
    (plain, _), *_ = ResidentBatches(Images(images, labels), 6, pixels=Pixels(mean, std))
    assert plain.dtype == torch.float32 and torch.allclose(plain, wanted, atol=1e-5)
    (last, _), *_ = ResidentBatches(
        Images(images, labels),
        6,
        pixels=Pixels(mean, std),
        form=Form(channels_last=True, dtype=torch.bfloat16),
    )
    assert last.dtype == torch.bfloat16 and last.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(last.float(), wanted, atol=2e-2)


def test_an_epoch_depends_on_seed_and_epoch_alone() -> None:
    images = np.random.default_rng(3).integers(0, 256, (50, 1, 8, 8), dtype=np.uint8)

    def made(seed: int = 0) -> ResidentBatches:
        return ResidentBatches(
            Images(images, np.arange(50)), 10, training=Chances(seed, flip=True), pixels=RAW
        )

    def pixels(batches: ResidentBatches) -> torch.Tensor:
        return torch.cat([p for p, _ in batches])

    through = made()
    epochs = [pixels(through) for _ in range(3)]
    resumed = made()
    resumed.set_epoch(2)
    assert torch.equal(pixels(resumed), epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(pixels(made(seed=1)), epochs[0])
    torch.manual_seed(7)  # the global generator has no say
    assert torch.equal(pixels(made()), epochs[0])


def test_an_epoch_that_is_broken_off_counts() -> None:
    batches = ResidentBatches(numbered(40), 10, training=Chances(), pixels=RAW)
    next(iter(batches))
    assert batches.epoch == 1


def test_evaluation_is_everything_in_order_every_time() -> None:
    batches = ResidentBatches(numbered(25), 10, pixels=RAW)
    assert len(batches) == 3 == len(list(batches))
    assert labels_of(batches) == labels_of(batches) == list(range(25))


def test_training_leaves_out_a_short_batch_unless_it_is_the_only_one() -> None:
    batches = ResidentBatches(numbered(25), 10, training=Chances(), pixels=RAW)
    assert [len(labels) for _, labels in batches] == [10, 10] and len(batches) == 2
    small = ResidentBatches(numbered(7), 10, training=Chances(), pixels=RAW)
    assert sorted(labels_of(small)) == list(range(7)) and len(small) == 1


def test_ranks_share_one_permutation_and_one_augmentation() -> None:
    images = np.random.default_rng(4).integers(0, 256, (24, 1, 8, 8), dtype=np.uint8)

    def epoch(rank: int, world_size: int) -> dict[int, torch.Tensor]:
        batches = ResidentBatches(
            Images(images, np.arange(24)),
            4,
            training=Chances(flip=True),
            part=Shard(rank, world_size),
            pixels=RAW,
        )
        return {n: p for pixels, labels in batches for n, p in zip(labels.tolist(), pixels, strict=True)}

    alone, parts = epoch(0, 1), [epoch(rank, 3) for rank in range(3)]
    assert [len(part) for part in parts] == [8, 8, 8]
    together = {n: p for part in parts for n, p in part.items()}
    assert together.keys() == alone.keys()
    assert all(torch.equal(together[n], alone[n]) for n in alone)


def test_ranks_have_equally_many_batches_and_evaluate_everything() -> None:
    train = [
        ResidentBatches(numbered(23), 5, training=Chances(), part=Shard(r, 2), pixels=RAW) for r in (0, 1)
    ]
    assert {len(list(part)) for part in train} == {2}
    parts = [ResidentBatches(numbered(23), 5, part=Shard(r, 2), pixels=RAW) for r in (0, 1)]
    assert sorted(labels_of(parts[0]) + labels_of(parts[1])) == list(range(23))


def test_faults_are_named_all_at_once() -> None:
    with pytest.raises(UsageError) as error:
        ResidentBatches(
            numbered(2), 0, training=Chances(pad_mode="wrap", padding=8), part=Shard(3, 3), pixels=RAW
        )
    for word in ("batch size 0", "'wrap'", "padding 8", "rank 3", "2 images for 3 ranks"):
        assert word in str(error.value)


def test_a_memory_map_is_not_written_to(tmp_path: Path) -> None:
    images, labels = numbered(10)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert labels_of(ResidentBatches(Images(mapped, labels), 4, training=Chances(), pixels=RAW))
    assert np.array_equal(np.load(tmp_path / "images.npy"), images)


def test_a_run_that_lightning_resumes_sees_the_epochs_of_an_uninterrupted_one(tmp_path: Path) -> None:
    import lightning as L

    class Seen(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.batches = torch.nn.Linear(1, 1), []

        def on_train_epoch_start(self) -> None:
            self.trainer.train_dataloader.set_epoch(self.current_epoch)

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
            self.batches.append(batch[1].tolist())
            return self.linear(batch[0].mean((1, 2, 3))[:, None]).mean()

        def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None: ...

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 1e-3)

    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")

    def run(epochs: int, checkpoint: Path | None = None) -> list[list[int]]:
        train = ResidentBatches(numbered(20), 10, training=Chances(), pixels=RAW)
        validation = ResidentBatches(numbered(20), 10, pixels=RAW)
        trainer = L.Trainer(max_epochs=epochs, accelerator="cpu", **dict.fromkeys(quiet, False))
        module = Seen()
        trainer.fit(module, train, validation, ckpt_path=checkpoint)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return module.batches

    whole, _ = run(4), run(2)
    assert run(4, tmp_path / "2.ckpt") == whole[4:]
    assert len({str(batch) for batch in whole}) == len(whole)
