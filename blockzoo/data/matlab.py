"""Numeric arrays of a Matlab file of version 5, each length checked before it is believed.

scipy's reader ends the process on some damaged files. Source of the format: MathWorks, MAT-File Format, chapter 1.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import DataError

HEADER = 128
LITTLE_ENDIAN = b"\x00\x01IM"
"""Version and byte order, at the end of the header."""
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
"""How numbers lie in the file, by the type of an element."""
MEANT = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""What numbers are, by the class of an array."""
COMPLEX = 0x800
LARGEST_NAME = 63


def arrays(path: Path, names: tuple[str, ...], most: int) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of these names.

    Args:
        path: of the MATLAB file.
        names: of arrays; others are passed over.
        most: bytes that one of them may have.

    Raises:
        DataError: it cannot be read, is no such file, is damaged, or lacks one of them.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); place it there again") from None
    try:
        by_name = dict(_arrays(memoryview(content), names, most + HEADER * 8))
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); place it there again") from None
    if lacking := [name for name in names if name not in by_name]:
        raise DataError(f"{path} has no array {lacking[0]}; place it there again")
    return by_name


def _arrays(
    content: memoryview, names: tuple[str, ...], most: int
) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    if bytes(content[HEADER - 4 : HEADER]) != LITTLE_ENDIAN:
        raise ValueError("no Matlab file of version 5")
    at = HEADER
    while at < len(content):
        kind, data, at = _element(content, at)
        if kind == COMPRESSED:
            kind, data, _ = _element(memoryview(_inflated(data, most)), 0)
        if kind == MATRIX and (entry := _matrix(data, names)) is not None:
            yield entry


def _element(content: memoryview, at: int) -> tuple[int, memoryview, int]:
    """Type and data of an element, and where the next one begins; short ones have both in eight bytes."""
    first, size = struct.unpack_from("<II", content, at)
    if first >> 16:
        kind, size, begin, after = first & 0xFFFF, first >> 16, at + 4, at + 8
        end = begin + size
        if size > 4:
            raise ValueError("a short element is too long")
    else:
        kind, begin = first, at + 8
        end = begin + size
        after = end + (-size % 8 if kind != COMPRESSED else 0)
    if end > len(content):
        raise ValueError("it ends too early")
    return kind, content[begin:end], after


def _inflated(data: memoryview, most: int) -> bytes:
    """Up to so many bytes, whole and with the right checksum."""
    stream = zlib.decompressobj()
    content = stream.decompress(data, most)
    if not stream.eof:
        raise ValueError("it ends too early, or is larger than it can be")
    return content


def _matrix(data: memoryview, names: tuple[str, ...]) -> tuple[str, npt.NDArray[np.generic]] | None:
    """Name and numbers of an array; None if it has another name."""
    _, flags, at = _element(data, 0)
    _, sizes, at = _element(data, at)
    _, letters, at = _element(data, at)
    name = bytes(letters[:LARGEST_NAME]).decode("ascii", "replace")
    if name not in names:
        return None
    (flag_bits,) = struct.unpack_from("<I", flags)
    if flag_bits & COMPLEX or flag_bits & 0xFF not in MEANT or len(sizes) % 4:
        raise ValueError(f"{name} is no array of real numbers")
    shape = struct.unpack(f"<{len(sizes) // 4}i", sizes)
    kind, numbers, _ = _element(data, at)
    if kind not in STORED or min(shape, default=-1) < 0:
        raise ValueError(f"{name} is no array of real numbers")
    stored = np.dtype(STORED[kind])
    if math.prod(shape) * stored.itemsize != len(numbers):
        raise ValueError(f"{name} has {len(numbers):,} bytes, not those of shape {shape}")
    values = np.frombuffer(numbers, stored).reshape(shape, order="F")
    return name, values.astype(MEANT[flag_bits & 0xFF], copy=False)
