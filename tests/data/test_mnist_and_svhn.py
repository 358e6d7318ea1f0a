"""Files written here in others' layouts, and what is wrong with damaged ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from blockzoo.core.errors import DataError
from blockzoo.data import load_dataset
from blockzoo.data.mnist import MNIST, MiniMNIST
from blockzoo.data.places import DatasetNotFound
from blockzoo.data.svhn import SVHN

COUNTS = {"train": 200, "test": 40}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (MNIST, SVHN):
        monkeypatch.setattr(kind, "counts", COUNTS)


def write_idx(path: Path, array: np.ndarray, packed: bool = False) -> None:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = head + array.tobytes()
    path.with_name(path.name + ".gz" * packed).write_bytes(gzip.compress(raw) if packed else raw)


def mnist(folder: Path, packed: bool = False) -> dict[str, np.ndarray]:
    rng, images = np.random.default_rng(0), {}
    for split, name in (("train", "train"), ("test", "t10k")):
        images[split] = rng.integers(0, 256, (COUNTS[split], 28, 28), np.uint8)
        write_idx(folder / f"{name}-images-idx3-ubyte", images[split], packed)
        write_idx(folder / f"{name}-labels-idx1-ubyte", np.arange(COUNTS[split], dtype=np.uint8) % 10, packed)
    return images


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST/raw"), ("fashion-mnist", "FashionMNIST/raw")])
def test_idx_files(name: str, folder: str, packed: bool, tmp_path: Path) -> None:
    images = mnist(tmp_path / folder, packed)
    data = load_dataset(name, tmp_path)
    assert (len(data.train.labels), len(data.val.labels), data.shape) == (180, 20, (3, 28, 28))
    np.testing.assert_array_equal(data.test.images[:, 1], images["test"])
    np.testing.assert_array_equal(data.test.labels, np.arange(40) % 10)
    assert load_dataset(name, tmp_path, image_size=32).shape == (3, 32, 32)


def test_smaller_ones_of_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MiniMNIST, "per_class", 10)
    images = mnist(tmp_path / "MNIST" / "raw")
    for name, channels, count in (
        ("mini_mnist", 3, 100),
        ("mini_mnist_8chanel", 8, 100),
        ("mnist_flat", 1, 200),
    ):
        data = load_dataset(name, tmp_path)
        assert (len(data.train.labels) + len(data.val.labels), data.shape) == (count, (channels, 28, 28))
        seen = np.concatenate([data.train.labels, data.val.labels])
        assert np.bincount(seen).tolist() == [count // 10] * 10
        theirs = {image.tobytes(): n % 10 for n, image in enumerate(images["train"])}
        assert [theirs[x[-1].tobytes()] for x in data.train.images] == data.train.labels.tolist()
        assert load_dataset(name, tmp_path, image_size=32).shape == (channels, 32, 32)


def test_svhn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kept = {}
    for split, count in COUNTS.items():
        kept[split] = rng.integers(0, 256, (32, 32, 3, count), np.uint8)
        savemat(tmp_path / f"{split}_32x32.mat", {"X": kept[split], "y": np.arange(count)[:, None] % 10 + 1})
    data = load_dataset("svhn", tmp_path)
    assert data.test.images[7, 2, 3, 4] == kept["test"][3, 4, 2, 7]
    assert data.test.labels[:11].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    (tmp_path / "test_32x32.mat").write_bytes((tmp_path / "test_32x32.mat").read_bytes()[:1000])
    with pytest.raises(DataError, match=r"test_32x32\.mat"):
        load_dataset("svhn", tmp_path)


def test_absent_and_damaged(tmp_path: Path) -> None:
    for name, says in (("mnist", "MNIST/raw"), ("svhn", "train_32x32.mat")):
        with pytest.raises(DatasetNotFound, match=says):
            load_dataset(name, tmp_path)
    folder = tmp_path / "MNIST" / "raw"
    mnist(folder)
    path = folder / "train-images-idx3-ubyte"
    sound = path.read_bytes()
    for damaged in (sound[:-1], sound + b"x", b"\1" + sound[1:], b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="idx form"):
            load_dataset("mnist", tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset("mnist", tmp_path)
