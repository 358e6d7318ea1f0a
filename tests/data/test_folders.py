from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blockzoo.core.errors import DataError
from blockzoo.data import DatasetNotFound, load_dataset
from blockzoo.data.contracts import DATASETS
from blockzoo.data.folders import ImageNet
from blockzoo.data.images import Images, moments


def plant(root: Path, counts: dict[str, int], size: tuple[int, int] = (40, 30)) -> None:
    """`counts[class]` plain images in each class folder, each of a grey of its own."""
    for label, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for n in range(count):
            Image.new("RGB", size, (label * 60 + n,) * 3).save(root / name / f"{n:03}.png")


def greys(images: np.ndarray) -> set[int]:
    return set(images[:, 0, 0, 0].tolist())


def test_a_bare_tree_is_split_into_fifths(tmp_path: Path) -> None:
    plant(tmp_path, {"cat": 20, "dog": 10})
    data = load_dataset("folder", tmp_path)
    assert data.class_names == ("cat", "dog") and data.shape == (3, 32, 32) and data.flip
    parts = (data.train, data.val, data.test)
    assert [np.bincount(part.labels).tolist() for part in parts] == [[12, 6], [4, 2], [4, 2]]
    assert set.union(*(greys(p.images) for p in parts)) == {*range(20), *range(60, 70)}
    again = load_dataset("folder", tmp_path)
    assert np.array_equal(again.train.images, data.train.images) and isinstance(again.train.images, np.memmap)


def test_val_is_the_test_split_where_there_is_no_test(tmp_path: Path) -> None:
    plant(tmp_path / "train", {"cat": 20, "dog": 20})
    plant(tmp_path / "val", {"cat": 3, "dog": 2})
    data = load_dataset("folder", tmp_path, image_size=16)
    assert [len(p.labels) for p in (data.train, data.val, data.test)] == [36, 4, 5]
    assert data.shape == (3, 16, 16) and data.split == f"val-is-test-v1-{data.digest[:8]}"
    assert not greys(data.train.images) & greys(data.val.images)


def test_given_splits_are_kept(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 2), ("test", 3)):
        plant(tmp_path / part, {"cat": count, "dog": count})
    data = load_dataset("folder", tmp_path)
    assert [len(p.labels) for p in (data.train, data.val, data.test)] == [12, 4, 6]


def test_images_are_cropped_to_their_central_square(tmp_path: Path) -> None:
    plant(tmp_path, {"cat": 10})
    for path in (tmp_path / "cat").iterdir():
        picture = np.zeros((20, 60, 3), np.uint8)
        picture[:, 20:40] = 200
        Image.fromarray(picture).save(path)
    assert (load_dataset("folder", tmp_path, image_size=20).train.images == 200).all()


def test_a_changed_image_is_decoded_anew(tmp_path: Path) -> None:
    plant(tmp_path, {"cat": 10})
    load_dataset("folder", tmp_path)
    for path in (tmp_path / "cat").iterdir():
        Image.new("RGB", (9, 9), (99, 99, 99)).save(path)
    assert greys(load_dataset("folder", tmp_path).train.images) == {99}


def test_unreadable_images_are_named_together(tmp_path: Path) -> None:
    plant(tmp_path, {"cat": 20})
    for path in (tmp_path / "cat").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"(?s)cat.*cat.*and 7 more"):
        load_dataset("folder", tmp_path)


def test_a_class_that_training_has_not_is_refused(tmp_path: Path) -> None:
    plant(tmp_path / "train", {"cat": 5})
    plant(tmp_path / "val", {"cat": 1, "gnu": 1})
    with pytest.raises(DataError, match="gnu"):
        load_dataset("folder", tmp_path)


def test_a_class_without_test_images_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plant(tmp_path / "train", {"cat": 20, "dog": 20, "gnu": 20}, (4, 4))
    plant(tmp_path / "val", {"cat": 2}, (4, 4))
    data = load_dataset("folder", tmp_path, image_size=4)
    assert set(data.test.labels.tolist()) == {0}
    assert "val has no image of dog, gnu: its accuracies are of the other classes alone" in caplog.text


def test_what_is_no_image_is_told_alike_each_time(tmp_path: Path) -> None:
    plant(tmp_path, {"cat": 5, "dog": 5}, (4, 4))
    (tmp_path / "cat" / "000.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"000.png \(no image\)\. Remove"):
        load_dataset("folder", tmp_path)


def test_train_alone_is_not_enough(tmp_path: Path) -> None:
    plant(tmp_path / "train", {"cat": 5})
    with pytest.raises(DataError, match="val/CLASS"):
        load_dataset("folder", tmp_path)


def test_an_absent_tree_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFound, match="imagenet") as error:
        load_dataset("imagenet", tmp_path)
    assert str(tmp_path) in str(error.value) and "--data-dir" in str(error.value)


@pytest.fixture
def tiny_imagenet() -> Iterator[str]:
    class TinyImageNet(ImageNet):
        expected_classes = 2

    DATASETS["tiny-imagenet"] = TinyImageNet
    yield "tiny-imagenet"
    del DATASETS["tiny-imagenet"]


def test_imagenet_has_its_own_size_statistics_and_class_count(tmp_path: Path, tiny_imagenet: str) -> None:
    for part in ("train", "val"):
        plant(tmp_path / "imagenet" / part, {"n01": 10, "n02": 10})
    data = load_dataset(tiny_imagenet, tmp_path)
    assert data.shape == (3, 224, 224) and data.mean == (0.485, 0.456, 0.406)
    assert data.train.images.shape == (20 - 2, 3, 256, 256) and data.margin == 16, "as is usual for 224"
    small = load_dataset(tiny_imagenet, tmp_path, image_size=32)
    assert small.shape == (3, 32, 32) and small.train.images.shape[-1] == 36
    middle = small.test.images[:1, :, 2:-2, 2:-2].astype(np.float32)
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (small.mean, small.std))
    assert np.allclose(small.seen(small.test.images[:1]), (middle / 255 - mean) / std, atol=1e-5)
    with pytest.raises(DataError, match="2 class folders, not 1000"):
        load_dataset("imagenet", tmp_path)


def test_imagenet_is_evaluated_as_torchvision_does(tmp_path: Path, tiny_imagenet: str) -> None:
    from torchvision.models import ResNet18_Weights

    for part in ("train", "val"):
        plant(tmp_path / "imagenet" / part, {"n01": 10, "n02": 10})
    noise = np.random.default_rng(0).integers(0, 256, (300, 600, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((600, 300), box=(0, 0, 90, 45))
    picture.save(tmp_path / "imagenet" / "val" / "n01" / "000.png")
    data = load_dataset(tiny_imagenet, tmp_path)
    want = ResNet18_Weights.IMAGENET1K_V1.transforms()(picture).numpy()
    pixel = 1 / 255 / min(data.std)
    assert np.abs(data.seen(data.test.images[:1])[0] - want).max() < 1.01 * pixel


@pytest.mark.parametrize("validates", ["val", "valid", "Validation", "dev"])
@pytest.mark.parametrize("tests", ["test", "Testing", "EVAL"])
def test_splits_by_their_other_names(tmp_path: Path, validates: str, tests: str) -> None:
    for part, count in (("Train", 6), (validates, 2), (tests, 3)):
        plant(tmp_path / part, {"cat": count, "dog": count}, (4, 4))
    data = load_dataset("folder", tmp_path, image_size=4)
    assert [len(p.labels) for p in (data.train, data.val, data.test)] == [12, 4, 6]
    assert data.split == f"Train-{validates}-{tests}-as-given-v1-{data.digest[:8]}"


def test_one_other_folder_is_the_test_split_by_its_name(tmp_path: Path) -> None:
    for part, count in (("train", 10), ("valid", 2)):
        plant(tmp_path / part, {"cat": count, "dog": count}, (4, 4))
    data = load_dataset("folder", tmp_path, image_size=4)
    assert len(data.test.labels) == 4 and data.split.startswith("valid-is-test-v1-")


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("extra", "extra.*rename them, or move them away"),
        ("valid", "val and valid, which are one part"),
        ("training", "train and training, which are one part"),
    ],
)
def test_no_folder_beside_the_split_is_dropped_in_silence(tmp_path: Path, folder: str, says: str) -> None:
    for part in ("train", "val", "test", folder):
        plant(tmp_path / part, {"cat": 2, "dog": 2}, (4, 4))
    with pytest.raises(DataError, match=says):
        load_dataset("folder", tmp_path, image_size=4)


def test_a_split_beside_bare_classes_is_no_class(tmp_path: Path) -> None:
    plant(tmp_path, {"cat": 5, "dog": 5}, (4, 4))
    plant(tmp_path / "test", {"cat": 1, "dog": 1}, (4, 4))
    with pytest.raises(DataError, match="class folders beside test"):
        load_dataset("folder", tmp_path, image_size=4)


def test_moments_are_those_of_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    bright = np.arange(12_000) % 2  # every second image, as of day and night in turns
    pixels = np.random.default_rng(0).integers(20, 60, (12_000, 3, 4, 4)) + 150 * bright[:, None, None, None]
    images = Images(pixels.astype(np.uint8), bright.astype(np.int64))
    truth = pixels.mean((0, 2, 3)) / 255, pixels.std((0, 2, 3)) / 255
    assert np.allclose(moments(images), truth, rtol=1e-12, atol=0)
    monkeypatch.setattr("blockzoo.data.images.LOOKED_AT", 3_000 * 48)
    assert np.allclose(moments(images), truth, rtol=2e-3, atol=0), (
        "a draw of a quarter, with each class's share"
    )
