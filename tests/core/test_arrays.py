"""Arrays on disk: numpy reads them, and every flipped bit is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blockzoo.core.arrays import add_sums, open_array
from blockzoo.core.checksums import PIECE, piece_sums
from blockzoo.core.errors import DataError


@pytest.mark.parametrize(
    "array", [np.arange(24.0).reshape(2, 3, 4), np.zeros((0, 5)), np.array(3), np.arange(6).reshape(2, 3).T]
)
def test_numpy_reads_it_and_so_do_we(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    add_sums(tmp_path / "x.npy")
    for opened in (np.load(tmp_path / "x.npy"), open_array(tmp_path / "x.npy")):
        np.testing.assert_array_equal(opened, array)


def test_flipped_bits_and_missing_bytes_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(5, dtype=np.uint8))
    add_sums(path)
    sound = path.read_bytes()
    for bit in range(0, 8 * len(sound), 5):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"x\.npy"):
            open_array(path)
    for size in range(0, len(sound), 3):
        path.write_bytes(sound[:size])
        with pytest.raises(DataError, match=r"x\.npy"):
            open_array(path)


def test_pieces_are_those_of_zlib() -> None:
    import zlib

    content = np.random.default_rng(0).bytes(6 * PIECE + 17)
    expected = [zlib.crc32(content[start : start + PIECE]) for start in range(0, len(content), PIECE)]
    assert piece_sums(content) == expected and piece_sums(b"") == []


def test_an_array_of_objects_is_not_opened(tmp_path: Path) -> None:
    array: Any = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=r"x\.npy is no array"):
        open_array(tmp_path / "x.npy")
