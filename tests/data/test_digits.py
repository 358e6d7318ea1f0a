from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np

from blockzoo.data import load_dataset
from blockzoo.data.images import stratified


def test_content_is_that_of_scikit_learn() -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    truth = load_digits()
    fifths = stratified(truth.target, 5)
    data = load_dataset("digits")
    assert data.shape == (3, 32, 32) and not data.flip and data.num_classes == 10
    small = load_dataset("digits", image_size=8)
    for part, indices in (
        ("val", fifths[3]),
        ("test", fifths[4]),
        ("train", np.sort(np.concatenate(fifths[:3]))),
    ):
        images, labels = getattr(small, part)
        assert np.array_equal(labels, truth.target[indices])
        grey = np.round(truth.images[indices] * 255 / 16).astype(np.uint8)
        assert np.array_equal(images, np.repeat(grey[:, None], 3, axis=1))
        large = Image.fromarray(grey[0]).resize((32, 32), Image.Resampling.BICUBIC)
        assert np.array_equal(getattr(data, part).images[0, 0], np.asarray(large))


def test_split_is_stratified_and_stays_as_it_is() -> None:
    data = load_dataset("digits")
    assert data.split == "stratified-fifths-v1"
    assert [len(part.labels) for part in (data.train, data.val, data.test)] == [1079, 359, 359]
    for part, share in ((data.train, 3), (data.val, 1), (data.test, 1)):
        every = np.bincount(np.concatenate([data.train.labels, data.val.labels, data.test.labels]))
        assert np.abs(np.bincount(part.labels) - every * share / 5).max() < share
    small = load_dataset("digits", image_size=8)
    content = hashlib.sha256(b"".join(getattr(small, p).images.tobytes() for p in ("train", "val", "test")))
    assert content.hexdigest()[:16] == "02486fd9be4e22dd"


def test_parts_of_a_split_are_disjoint_and_complete() -> None:
    labels = np.arange(1000) * 7919 % 7
    parts = stratified(labels, 5)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1000))
    assert {len(part) for part in parts} == {200}
    assert hashlib.sha256(np.concatenate(parts).tobytes()).hexdigest()[:16] == "126c2967bd3242e1"


def test_listing_and_loading_import_neither_torch_nor_scikit_learn() -> None:
    code = (
        "import sys, blockzoo.data as d; from blockzoo.data.contracts import DATASETS; "
        "assert {'cifar10', 'cifar100', 'digits', 'folder', 'imagenet'} <= set(DATASETS); "
        "d.load_dataset('digits'); "
        "print([m for m in ('torch', 'sklearn', 'torchvision', 'pyarrow') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
