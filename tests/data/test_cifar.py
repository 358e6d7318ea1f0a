from __future__ import annotations

import hashlib
import io
import pickle
import socket
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blockzoo.core.errors import DataError
from blockzoo.data import DatasetNotFound, download, load_dataset, load_or_fallback, search_roots
from blockzoo.data.cifar import Cifar10
from blockzoo.data.contracts import DATASETS
from blockzoo.data.images import holdout

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RANDOM = np.random.default_rng(0)
PIXELS = {
    split: RANDOM.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    for split, n in (("train", 60), ("test", 20))
}
LABELS = {split: np.arange(len(pixels)) % 10 for split, pixels in PIXELS.items()}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """A CIFAR-10 of 60 + 20 images under the name tiny; the checks are the real ones."""
    if request.node.get_closest_marker("realdata"):
        yield
        return

    class Tiny(Cifar10):
        counts = {"train": 60, "test": 20}  # noqa: RUF012

    monkeypatch.delenv("BLOCKZOO_DATA", raising=False)
    monkeypatch.setattr(download, "unreachable", lambda url: "no network in tests")
    DATASETS["tiny"] = Tiny
    yield
    del DATASETS["tiny"]


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def place_parquet(
    folder: Path, *, struct: bool = True, image: str = "img", shards: int = 1, **other: object
) -> None:
    """Write both splits; `other` replaces a column of the training split, or removes it (None)."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, pixels in PIXELS.items():
        encoded = [png(p) for p in pixels]
        columns = {
            image: [{"bytes": e, "path": ""} for e in encoded] if struct else encoded,
            "label": LABELS[split],
        }
        if split == "train":
            columns = {k: v for k, v in {**columns, **other}.items() if v is not None}
        table = pa.table(columns)
        for n in range(shards):
            part = table.slice(n * len(pixels) // shards, len(pixels) // shards)
            pq.write_table(part, folder / f"{split}-{n:05}-of-{shards:05}.parquet", row_group_size=7)


def place_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write torchvision's layout, with the MD5 of what was written as the published ones."""
    folder.mkdir(parents=True)
    digests: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    for split, names in (("train", ["data_batch_1", "data_batch_2"]), ("test", ["test_batch"])):
        for name, pixels, labels in zip(
            names, np.split(PIXELS[split], len(names)), np.split(LABELS[split], len(names)), strict=True
        ):
            rows = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
            content = pickle.dumps({b"data": rows, b"labels": labels.tolist()})
            (folder / name).write_bytes(content)
            digests[split][name] = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(DATASETS["tiny"], "batches", digests)


def assert_is_tiny(data: object) -> None:
    rest, held = holdout(LABELS["train"])
    expected = {"train": PIXELS["train"][rest], "val": PIXELS["train"][held], "test": PIXELS["test"]}
    for part, pixels in expected.items():
        assert np.array_equal(getattr(data, part).images, pixels.transpose(0, 3, 1, 2))
    assert np.array_equal(data.train.labels, LABELS["train"][rest])
    assert [len(part.labels) for part in (data.train, data.val, data.test)] == [54, 6, 20]


@pytest.mark.parametrize("inside", ["cifar10", "cifar10/data", "cifar10/plain_text", "."])
@pytest.mark.parametrize(
    "form", [{}, {"struct": False, "image": "image", "shards": 2}], ids=["struct", "bytes"]
)
def test_parquet_round_trip(tmp_path: Path, inside: str, form: dict[str, object]) -> None:
    place_parquet(tmp_path / inside, **form)
    assert_is_tiny(load_dataset("tiny", tmp_path))
    assert_is_tiny(load_dataset("tiny", tmp_path))  # now from the cache


def test_a_cached_dataset_needs_no_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_parquet(tmp_path)
    load_dataset("tiny", tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert_is_tiny(load_dataset("tiny", tmp_path))


def test_pyarrow_missing_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_parquet(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install .*\[parquet\]"):
        load_dataset("tiny", tmp_path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": None}, "no column label; its columns are img"),
        ({"img": None}, "no column img or image"),
        ({"label": ["cat"] * 60}, "not whole numbers"),
        ({"label": [None, *range(9)] * 6}, "null"),
        ({"label": [10] * 60}, "10 to 10, not within 0..9"),
        ({"img": [b"rubbish"] * 60}, "image 0 cannot be decoded.* and 55 more"),
        ({"img": [None] * 60}, "image 0 cannot be decoded"),
        ({"img": [png(PIXELS["test"][0][:16])] * 60}, "32x16 pixels, not 32x32"),
    ],
)
def test_a_wrong_column_is_named(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    place_parquet(tmp_path, **columns)
    with pytest.raises(DataError, match=message):
        load_dataset("tiny", tmp_path)


@pytest.mark.parametrize("keep", [0, 10, -100], ids=["empty", "head", "tail cut"])
def test_a_truncated_parquet_file_is_named(tmp_path: Path, keep: int) -> None:
    place_parquet(tmp_path)
    path = next(tmp_path.glob("train*"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=f"{path.name}.*not a whole Parquet file"):
        load_dataset("tiny", tmp_path)


def test_bytes_damaged_inside_a_parquet_file_are_noticed(tmp_path: Path) -> None:
    place_parquet(tmp_path)
    path = next(tmp_path.glob("train*"))
    content = bytearray(path.read_bytes())
    content[200:4000] = bytes(3800)
    path.write_bytes(content)
    with pytest.raises(DataError):
        load_dataset("tiny", tmp_path)


def test_too_few_rows_are_refused_before_decoding(tmp_path: Path) -> None:
    place_parquet(tmp_path)
    with pytest.raises(DataError, match="60 rows, not 50000"):
        DATASETS["tiny"].counts = Cifar10.counts
        load_dataset("tiny", tmp_path)


def test_one_split_without_the_other_is_an_error(tmp_path: Path) -> None:
    place_parquet(tmp_path / "cifar10")
    next((tmp_path / "cifar10").glob("test*")).unlink()
    with pytest.raises(DataError, match=r"no test\*\.parquet"):
        load_or_fallback(None, tmp_path)


@pytest.mark.parametrize("inside", ["cifar-10-batches-py", "cifar10/cifar-10-batches-py"])
def test_torchvision_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    place_batches(tmp_path / inside, monkeypatch)
    assert_is_tiny(load_dataset("tiny", tmp_path))


def test_both_layouts_in_one_order_have_one_split_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_batches(tmp_path / "a/cifar-10-batches-py", monkeypatch)
    place_parquet(tmp_path / "b")
    names = {load_dataset("tiny", tmp_path / place).split for place in "ab"}
    assert len(names) == 1 and names.pop().startswith("45k-5k-v1-")


class Bomb:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def test_an_altered_pickle_is_refused_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    place_batches(folder, monkeypatch)
    content = pickle.dumps(Bomb(tmp_path / "ran"))
    for name in ("data_batch_1", "data_batch_2"):
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_1 is truncated or altered.*data_batch_2 is truncated"):
        load_dataset("tiny", tmp_path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)
    assert (tmp_path / "ran").exists(), "the trap itself works"


def test_a_missing_batch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_batches(tmp_path / "cifar-10-batches-py", monkeypatch)
    (tmp_path / "cifar-10-batches-py/data_batch_2").unlink()
    with pytest.raises(DataError, match="data_batch_2 cannot be read"):
        load_dataset("tiny", tmp_path)


def test_an_absent_dataset_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFound) as error:
        load_or_fallback("cifar10", tmp_path)
    for word in (str(tmp_path / "cifar-10-batches-py"), "train*.parquet", "--data-dir", "BLOCKZOO_DATA",
                 "--dataset digits", "no network in tests"):  # fmt: skip
        assert word in str(error.value)
    assert not list(tmp_path.glob("cifar*"))


def test_digits_stand_in_where_no_dataset_was_named(tmp_path: Path) -> None:
    data, note = load_or_fallback(None, tmp_path)
    assert data.name == "digits"
    assert note and "cifar10 was not found" in note and note.count("\n") == 0 and note.endswith(".")
    data, note = load_or_fallback("digits", tmp_path)
    assert data.name == "digits" and note is None


def test_no_answer_is_known_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(download, "PATIENCE_S", 0.2)
    with socket.socket() as deaf:  # takes the connection and says nothing
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        assert download.unreachable(f"http://127.0.0.1:{deaf.getsockname()[1]}/") is not None


def test_no_network_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(download.urllib.request, "urlopen", refuse)
    assert "no route" in str(download.unreachable("https://example.org/"))


def test_roots_in_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BLOCKZOO_DATA", "/one:/two")
    monkeypatch.setenv("BLOCKZOO_CACHE", str(tmp_path / "cache"))
    roots = search_roots()
    assert [str(root) for root in roots[:3]] == ["/one", "/two", "data"]
    assert roots[3] == tmp_path / "cache/data"
    assert search_roots(tmp_path) == [tmp_path]


def test_image_size_resizes_and_is_cached(tmp_path: Path) -> None:
    place_parquet(tmp_path)
    data = load_dataset("tiny", tmp_path, image_size=48)
    assert data.shape == (3, 48, 48) and isinstance(data.train.images, np.memmap)
    truth = Image.fromarray(PIXELS["test"][3][:, :, 1]).resize((48, 48), Image.Resampling.BICUBIC)
    assert np.array_equal(data.test.images[3, 1], np.asarray(truth))


@pytest.mark.realdata
def test_cifar10_is_what_it_is_known_to_be() -> None:
    data = load_dataset("cifar10", download=False)
    assert [len(part.labels) for part in (data.train, data.val, data.test)] == [45_000, 5_000, 10_000]
    assert [np.bincount(part.labels).tolist() for part in (data.train, data.val, data.test)] == [
        [4500] * 10, [500] * 10, [1000] * 10]  # fmt: skip
    assert data.shape == (3, 32, 32) and data.class_names[3] == "cat"
    total = sum(part.images.sum((0, 2, 3), dtype=np.float64) for part in (data.train, data.val))
    assert np.allclose(total / (50_000 * 32 * 32) / 255, data.mean, atol=2e-3)
    assert np.allclose(data.train.images[::9].std((0, 2, 3)) / 255, data.std, atol=4e-3)
    seen = {image.tobytes() for image in data.train.images}
    assert len(seen) > 44_900  # the images differ
