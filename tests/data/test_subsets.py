from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.spec import TrialSpec
from blockzoo.data import ImageData, Images
from blockzoo.data.images import some_of
from blockzoo.data.subsets import check_room, drawn


def ordered(each: int = 20, classes: int = 5, side: int = 8) -> ImageData:
    """Images sorted by class, as the files of class folders are; the first byte of each is its number in its split."""

    def split(count: int) -> Images:
        images = np.random.default_rng(0).integers(0, 256, (count * classes, 3, side, side)).astype(np.uint8)
        images[:, 0, 0, 0] = np.arange(count * classes)
        return Images(images, np.repeat(np.arange(classes), count))

    return ImageData(
        "folder", "as-given-v1", split(each), split(10), split(10), classes, (0.5,) * 3, (0.25,) * 3, True
    )


def counts(labels: Any) -> list[int]:
    return np.bincount(np.asarray(labels), minlength=5).tolist()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 5), st.integers(0, 3))
def test_every_beginning_of_a_draw_has_every_class_by_its_share(
    sizes: list[int], rare: int, seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes) + rare), [*sizes, *[1] * rare])
    whole, shares = drawn(labels, len(labels), seed), np.bincount(labels) / len(labels)
    assert sorted(whole) == list(range(len(labels)))
    for count in range(1, len(labels) + 1):
        per_class = np.bincount(labels[whole[:count]], minlength=len(shares))
        assert (np.abs(per_class - count * shares) < 1).all()


def test_a_smaller_draw_is_the_beginning_of_a_larger_one() -> None:
    labels = np.arange(300) % 7
    whole = drawn(labels, 300)
    assert all(np.array_equal(drawn(labels, n), whole[:n]) for n in (1, 2, 10, 77, 299))
    assert not np.array_equal(drawn(labels, 50, seed=1), whole[:50])
    assert drawn(labels, 3).tolist() == [269, 11, 196]  # the same on every machine


def test_numbers_that_are_no_classes_are_drawn_too() -> None:
    rows = drawn(np.linspace(0, 1, 100, dtype=np.float32)[:, None], 20)
    assert len(set(rows.tolist())) == 20 and rows.max() > 50


@pytest.mark.parametrize("count", [0, -1, 101])
def test_a_draw_of_what_is_not_there_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"{count} of 100 images"):
        drawn(np.zeros(100, np.int64), count)


def test_a_part_of_a_dataset_says_so_in_its_splits_name() -> None:
    data = ordered()
    part = data.limited(20, val=5, test=10)
    assert part.split == "as-given-v1-stratified-20-v1-val-stratified-5-v1-test-stratified-10-v1"
    assert [counts(s.labels) for s in (part.train, part.val, part.test)] == [[4] * 5, [1] * 5, [2] * 5]
    assert np.array_equal(part.train.images[:, 0, 0, 0] // 20, part.train.labels)  # each keeps its label
    assert data.limited(100, val=50) is data and data.limited() is data
    assert part.limited(20, val=5, test=10) is part
    with pytest.raises(UsageError, match="0 train images"):
        data.limited(0)


def test_memory_is_looked_at_before_it_is_taken() -> None:
    with pytest.raises(DataError, match="GiB are free"):
        check_room(2**60, "9 images")


def test_trials_on_the_first_images_are_others() -> None:
    whole, part = TrialSpec(), TrialSpec(limit_train=20)
    assert part.identity()["subset"] == "stratified-v1" and "subset" not in whole.identity()


# --- where images are taken from ---------------------------------------------------------------------------


def test_a_training_on_some_images_sees_every_class() -> None:
    import torch

    from blockzoo.training.loaders import asked_for, loaders

    data, spec = ordered(), TrialSpec(limit_train=20, limit_val=5, batch_size=4)
    assert asked_for(spec, data).split.startswith("as-given-v1-stratified-20")
    splits = loaders(spec, data, torch.device("cpu"))
    assert counts(torch.cat([labels for _, labels in splits.train])) == [4] * 5


def test_supernets_teachers_and_scores_see_every_class() -> None:
    import torch

    from blockzoo.nas.training.lessons import Images as Lessons

    lessons = Lessons(ordered(), batch_size=10, limit_train=20)
    assert counts(torch.cat([labels for _, labels in lessons.train()])) == [4] * 5
    assert counts(torch.cat([labels for _, labels in lessons.validation(15)])) == [3] * 5


def test_int8_is_calibrated_on_every_class(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from blockzoo.tiling.onnx import deployment, quantise

    seen: list[np.ndarray] = []

    class Asked(Exception):
        pass

    def calibration(images: np.ndarray, *_: Any) -> None:
        seen.append(images)
        raise Asked

    monkeypatch.setattr(quantise, "Calibration", calibration)
    data = ordered(side=16)
    with pytest.raises(Asked):
        quantising = deployment.Quantising(calibration_images=20)
        asked = deployment.Deployment("model:resnet8_half", data=data, quantising=quantising)
        deployment.export_subject(asked, tmp_path / "x.onnx")
    expected = some_of(data.train, 20)
    assert np.array_equal(seen[0], data.seen(expected.images)) and counts(expected.labels) == [4] * 5


def test_a_blockwise_run_and_its_probes_see_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    from blockzoo.blockwise.run.config import RunConfig
    from blockzoo.blockwise.run.frame import Frame

    monkeypatch.setattr("blockzoo.data.load_or_fallback", lambda *_, **__: (ordered(), None))
    config = RunConfig(model="feedforward", config=(4, 4), dataset="folder")
    assert replace(config, limit_train=20).fingerprint() != config.fingerprint()
    some = Frame.from_config(replace(config, limit_train=20))
    assert counts(some.train.y) == [4] * 5
    (first, second) = Frame.from_config(config).probe(batches=2, batch_size=10)
    assert counts(first[1]) == counts(second[1]) == [2] * 5


def test_a_limited_regression_is_no_beginning_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from blockzoo.blockwise.run import sources
    from blockzoo.blockwise.run.config import RunConfig

    rows = np.arange(100, dtype=np.float32)[:, None]
    monkeypatch.setattr(sources, "load_regression", lambda *_: ((rows, rows), (rows, rows)))
    examples = sources.load_problem(RunConfig(dataset="ones", limit_train=10)).train
    assert Counter(examples.x.flatten().tolist()) == Counter(examples.y.flatten().tolist())
    assert len(examples) == 10 and float(examples.x.max()) > 50
