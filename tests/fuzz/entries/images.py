"""Images in trees and in Parquet files, decoded caches, and the files of known datasets."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.core.arrays import add_sums, open_array
from blockzoo.core.errors import DataError
from blockzoo.data import parquet
from blockzoo.data.decoding import MOST_PIXELS, opened
from blockzoo.data.mnist import read_idx
from blockzoo.data.svhn import read_mat
from tests.fuzz.formats import fuzzed

SIDE = 16


def pixels(count: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def image(form: str, **options: Any) -> Any:
    """The entry of one format of Pillow."""
    from PIL import Image

    class Entry:
        def write(folder: Path) -> Path:
            path = folder / f"image.{form.lower()}"
            Image.fromarray(pixels()[0]).save(path, form, **options)
            return path

        def read(path: Path) -> Any:
            return np.asarray(opened(path, str(path)))

    return fuzzed(f"image ({form})", floor=8 * MOST_PIXELS)(Entry)


for form in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"):
    image(form)


@fuzzed("images in Parquet")
class Parquet:
    def write(folder: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from PIL import Image

        encoded = []
        for picture in pixels(4):
            content = io.BytesIO()
            Image.fromarray(picture).save(content, "PNG")
            encoded.append({"bytes": content.getvalue(), "path": None})
        pq.write_table(pa.table({"img": encoded, "label": [0, 1, 2, 3]}), folder / "train.parquet")
        return folder / "train.parquet"

    def read(path: Path) -> Any:
        images, labels = np.empty((4, 3, SIDE, SIDE), np.uint8), np.empty(4, np.int64)
        parquet.fill_images("x", [path], ("label",), images)
        parquet.fill_labels("x", [path], ("label",), labels)
        return images, labels


@fuzzed("decoded images", checksum=True)
class Decoded:
    def write(folder: Path) -> Path:
        path = folder / "images.npy"
        np.save(path, pixels(3).transpose(0, 3, 1, 2).copy())
        add_sums(path)
        return path

    def read(path: Path) -> Any:
        return np.array(open_array(path))


@fuzzed("idx file")
class Idx:
    def write(folder: Path) -> Path:
        content = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 5]) + bytes(range(75))
        (folder / "train.gz").write_bytes(gzip.compress(content))
        return folder / "train.gz"

    def read(path: Path) -> Any:
        try:
            return read_idx(path.with_suffix(""), (3, 5, 5))
        except DataError as error:
            raise DataError(f"{path.name}: {error}") from error


@fuzzed("Matlab file")
class Matlab:
    def write(folder: Path) -> Path:
        from scipy.io import savemat

        content = {"X": np.ones((32, 32, 3, 2), np.uint8), "y": np.array([[1], [10]], np.uint8)}
        savemat(folder / "train.mat", content, do_compression=True)
        return folder / "train.mat"

    def read(path: Path) -> Any:
        return read_mat(path, 2)
