"""Images that would take more than they weigh, and decoded ones that were altered."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blockzoo.core.errors import DataError
from blockzoo.data.cache import cached_array
from blockzoo.data.decoding import MOST_PIXELS, opened

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = 1000


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_has_so_many_pixels_at_most(tmp_path: Path) -> None:
    side = 10_000
    assert side**2 > MOST_PIXELS
    Image.new("1", (side, side)).save(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size < 100_000
    with pytest.raises(DataError, match=r"x\.png \(10,000x10,000 pixels: 67,108,864 at most"):
        opened(tmp_path / "x.png", "x.png")


def test_formats_that_run_programs_are_not_tried(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "x.eps")
    (tmp_path / "x.eps").rename(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"x\.png"):
        opened(tmp_path / "x.png", "x.png")


def test_an_altered_cache_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BLOCKZOO_CACHE", str(tmp_path))
    made = []

    def fill(out: np.ndarray) -> None:
        made.append(len(out))
        out[:] = np.arange(out.size).reshape(out.shape) % 251

    def read() -> np.ndarray:
        return np.array(cached_array("x", "story", (5, 4), np.uint8, fill))

    sound = read()
    np.testing.assert_array_equal(read(), sound)
    assert made == [5] and not caplog.messages
    (path,) = (tmp_path / "arrays").iterdir()
    content = bytearray(path.read_bytes())
    content[135] ^= 4
    path.write_bytes(content)
    np.testing.assert_array_equal(read(), sound)
    assert made == [5, 5] and "is not what was written" in caplog.messages[0]


def test_one_image_for_all_rows_takes_the_memory_of_few(tmp_path: Path) -> None:
    """A dictionary holds it once; all rows would be a gigabyte."""
    from blockzoo.data.parquet import fill_images

    content = io.BytesIO()
    Image.new("RGB", (4, 4)).save(content, "PNG")
    one = pa.array([content.getvalue() + bytes(1_000_000)])
    images = pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, np.int32)), one)
    table = pa.table({"img": images, "label": list(range(ROWS))})
    pq.write_table(table, tmp_path / "train.parquet", compression="zstd")
    assert (tmp_path / "train.parquet").stat().st_size < 100_000
    del table, images
    pool = pa.default_memory_pool()
    before, peaks = pool.bytes_allocated(), []

    class Watched(np.ndarray):
        def __setitem__(self, *args: object) -> None:
            peaks.append(pool.bytes_allocated() - before)
            super().__setitem__(*args)

    out = np.zeros((ROWS, 3, 4, 4), np.uint8).view(Watched)
    fill_images("x", [tmp_path / "train.parquet"], ("label",), out)
    assert len(peaks) == ROWS and max(peaks) < 100 << 20
