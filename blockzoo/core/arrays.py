"""Arrays on disk as .npy, which every program reads, with the CRC-32 of every 4 MiB behind the last element.

header of numpy | elements | u32 CRC-32 of each piece | b"BZSUMS01" u64 pieces u32 CRC-32 of header and checksums
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.core.checksums import piece_sums
from blockzoo.core.documents import first_line
from blockzoo.core.errors import DataError

TRAILER = struct.Struct("<8sQI")
MAGIC = b"BZSUMS01"


def add_sums(path: Path) -> None:
    """Write the checksums of a complete .npy file behind its array."""
    array = _mapped(path, "r")
    with path.open("rb") as file:
        head = file.read(array.offset)
    sums = np.array(piece_sums(_bytes(array)), "<u4").tobytes()
    with path.open("ab") as file:
        file.write(sums + TRAILER.pack(MAGIC, len(sums) // 4, zlib.crc32(sums, zlib.crc32(head))))


def open_array(path: Path) -> np.memmap:
    """The array of a file, mapped; what is written into it stays in this process. All of it is read once, to compare.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is damaged, or has no checksums.
    """
    array = _mapped(path, "c")
    end = array.offset + array.nbytes
    with path.open("rb") as file:
        head = file.read(array.offset)
        file.seek(end)
        rest = file.read(path.stat().st_size - end)
    sums, trailer = rest[: -TRAILER.size], rest[-TRAILER.size :]
    if len(trailer) < TRAILER.size or TRAILER.unpack(trailer)[0] != MAGIC:
        raise DataError(f"{path} has no checksums")
    _, count, expected = TRAILER.unpack(trailer)
    if 4 * count != len(sums) or zlib.crc32(sums, zlib.crc32(head)) != expected:
        raise DataError(f"{path}: its header or its checksums are damaged")
    if piece_sums(_bytes(array)) != np.frombuffer(sums, "<u4").tolist():
        raise DataError(f"{path} is not what was written: a checksum of its elements is wrong")
    return array


def _mapped(path: Path, mode: Any) -> np.memmap:
    try:
        array: np.memmap = np.lib.format.open_memmap(path, mode)
    except FileNotFoundError:
        raise
    except (
        Exception
    ) as error:  # numpy parses its header with Python's own parser, which raises whatever it stumbles over
        raise DataError(f"{path} is no array that can be read ({first_line(error)})") from None
    return array


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1, order="A").view(np.uint8).data if array.size else memoryview(b"")
