"""Checksums of content: CRC-32 of pieces within files of our own, SHA-256 beside files of formats that have none.

A CRC finds what disks and transfers do, all but one of four thousand million times; it is no proof against someone who means
harm. What lies beside a file, `NAME.sha256`, is what `sha256sum` writes and `sha256sum -c` reads.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from blockzoo.core.errors import DataError
from blockzoo.core.files import write_text
from blockzoo.core.said import say_once

PIECE = 1 << 22
"""Bytes that share a CRC-32."""
BESIDE = ".sha256"


def crc32() -> Callable[..., int]:
    """The fastest CRC-32 that is installed."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.crc32
    return isal_zlib.crc32


def piece_sums(content: bytes | memoryview) -> list[int]:
    """The CRC-32 of every 4 MiB of some bytes, on two threads where there are many."""
    checksum, view = crc32(), memoryview(content).cast("B")
    pieces = [view[i : i + PIECE] for i in range(0, len(view), PIECE)]
    if len(pieces) > 4:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(checksum, pieces))
    return [checksum(piece) for piece in pieces]


def array_bytes(array: np.ndarray) -> memoryview:
    """The bytes of a contiguous array as `piece_sums` takes them, empty arrays included."""
    return array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")


# --- beside a file ------------------------------------------------------------------------------------


def beside(path: Path) -> Path:
    """Where the checksum of a file lies."""
    return path.with_name(path.name + BESIDE)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def write_beside(path: Path) -> None:
    """Write the checksum of a file beside it.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    write_text(beside(path), f"{file_digest(path)}  {path.name}\n")


def check_beside(path: Path) -> bool:
    """Compare a file with the checksum beside it; False where there is none, which is said once.

    Raises:
        DataError: the file is not what was written, or the checksum is none.
    """
    place = beside(path)
    try:
        with place.open("rb") as file:
            stated = file.read(4096)
    except FileNotFoundError:
        say_once(f"{path} is unverified: no {place.name} lies beside it")
        return False
    except OSError as error:
        raise DataError(f"{place}: {error.strerror or error}") from None
    match = re.match(rb"[0-9a-f]{64}(?=[ \n])", stated)
    if not match:
        raise DataError(f"{place} is no checksum; delete it to read {path.name} unverified")
    if match[0].decode() != file_digest(path):
        raise DataError(
            f"{path}: it is not what was written: its SHA-256 is not that of {place.name}; get it again, or "
            f"delete {place.name} where you changed it yourself"
        )
    return True
