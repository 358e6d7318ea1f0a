"""The native store (.native): the small forms of the columns as they lie in memory, mapped rather than read.

Behind the YAML header: a directory (JSON with its own checksum: kind, type, shape, place of each column and the CRC-32 of
every 4 MiB of it), then the columns at multiples of 64 bytes. Opening checks everything; the checksums run on two threads at
the speed of memory where isal is installed.

    header | b"BZN1" u32 length u32 CRC-32 | directory | columns
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from blockzoo.nas.formats.columns import (
    ACCURACY,
    FLOATS,
    HASH,
    MILLIONTHS,
    TEXT,
    VECTOR,
    WHOLE,
    Array,
    Column,
    as_objects,
)
from blockzoo.nas.formats.errors import DamagedFile, describe
from blockzoo.nas.formats.header import Header, dump

MAGIC = b"BZN1"
PREFIX = struct.Struct("<4sII")
ALIGNMENT = 64
PIECE = 1 << 22
LONGEST_DIRECTORY = 1 << 24
DTYPES = {
    HASH: "|u1",
    VECTOR: "|u1",
    ACCURACY: "<u2",
    MILLIONTHS: "<u4",
    WHOLE: "<u4",
    FLOATS: "<f8",
    TEXT: "|u1",
}
ENDS = "<u4"
"""Text (UTF-8) and lists of different lengths lie one after the other, with where each ends."""


def crc32() -> Callable[..., int]:
    """The fastest CRC-32 that is installed."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.crc32
    return isal_zlib.crc32  # type: ignore[no-any-return]


def write(header: Header, columns: Mapping[str, Column]) -> tuple[Header, Iterator[bytes]]:
    """The header and the payload in pieces."""
    kept = {k: v for k, v in header.items() if k != "column_types"}
    header = {**kept, "format": "native"}
    return header, _pieces(columns, len(dump(header)))


def _pieces(columns: Mapping[str, Column], offset: int) -> Iterator[bytes]:
    checksum, at, entries, parts = crc32(), 0, [], []
    for name, column in columns.items():
        for role, array in _arrays(column).items():
            raw = array.tobytes()
            entry = {"name": name, "role": role, "kind": column.kind, "total": column.total}
            sums = [checksum(raw[i : i + PIECE]) for i in range(0, len(raw), PIECE)]
            entries.append(
                {**entry, "dtype": array.dtype.str, "shape": list(array.shape), "at": at, "crc32": sums}
            )
            parts.append(raw)
            at += _aligned(len(raw))
    directory = json.dumps(entries, separators=(",", ":")).encode()
    start = offset + PREFIX.size + len(directory)
    yield (
        PREFIX.pack(MAGIC, len(directory), zlib.crc32(directory)) + directory + bytes(_aligned(start) - start)
    )
    for raw in parts:
        yield raw + bytes(_aligned(len(raw)) - len(raw))


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _arrays(column: Column) -> dict[str, Array]:
    """The arrays of plain numbers that a column consists of."""
    dtype = DTYPES[column.kind]
    if column.kind == TEXT:
        parts = [np.frombuffer(text.encode(), dtype) for text in column.data.tolist()]
    elif column.ragged:
        parts = list(column.data)
    else:
        return {"values": column.data.astype(dtype, copy=False)}
    joined = np.concatenate(parts) if parts else np.zeros(0)
    ends = np.cumsum([len(part) for part in parts])
    return {"values": joined.astype(dtype, copy=False), "ends": ends.astype(ENDS)}


def read(header: Header, payload: memoryview, *, offset: int = 0) -> dict[str, Column]:
    """The columns of a payload, as views of it.

    Args:
        offset: where the payload begins in its file.

    Raises:
        DamagedFile: truncated, altered, or a directory that says something impossible.
    """
    if len(payload) < PREFIX.size:
        raise DamagedFile("it ends before its directory")
    magic, size, expected = PREFIX.unpack_from(payload)
    directory = bytes(payload[PREFIX.size : PREFIX.size + size])
    if (
        magic != MAGIC
        or size > LONGEST_DIRECTORY
        or len(directory) < size
        or zlib.crc32(directory) != expected
    ):
        raise DamagedFile("its directory is damaged")
    start = _aligned(offset + PREFIX.size + size) - offset
    try:
        entries = [_Entry(**entry) for entry in json.loads(directory)]
        found = {(e.name, e.role): (e, e.view(payload, start)) for e in entries}
        _verify(found.values())
        columns = {name: _column(found, name) for name in header["columns"]}
    except DamagedFile:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedFile(f"its directory says something impossible ({describe(str(error))})") from None
    if start + sum(_aligned(view.nbytes) for _, view in found.values()) != len(payload):
        raise DamagedFile("its length is not what its directory says")
    return columns


@dataclass(frozen=True)
class _Entry:
    """One array of the directory."""

    name: str
    role: str
    kind: str
    total: int
    dtype: str
    shape: list[int]
    at: int
    crc32: list[int]

    def view(self, payload: memoryview, start: int) -> Array:
        """The array, where the payload holds it."""
        dtype = np.dtype(ENDS if self.role == "ends" else DTYPES[self.kind])
        count = math.prod(self.shape)
        faulty = (
            self.dtype != dtype.str or len(self.shape) not in (1, 2) or min(self.shape) < 0 or self.at < 0
        )
        if faulty or start + self.at + count * dtype.itemsize > len(payload):
            raise DamagedFile(f"column {self.name!r} does not lie within it: it is truncated or altered")
        return np.frombuffer(payload, dtype, count, start + self.at).reshape(self.shape)


def _verify(arrays: Iterable[tuple[_Entry, Array]]) -> None:
    """Compare all checksums, two pieces at a time."""
    checksum = crc32()
    pieces = []
    for entry, array in arrays:
        raw = array.reshape(-1).view(np.uint8)
        if len(entry.crc32) != -(-len(raw) // PIECE):
            raise DamagedFile(f"column {entry.name!r} has not one checksum for every {PIECE >> 20} MiB")
        pieces += [(entry.name, raw[i * PIECE : (i + 1) * PIECE], want) for i, want in enumerate(entry.crc32)]

    def wrong(piece: tuple[str, Array, int]) -> str | None:
        name, raw, want = piece
        return name if checksum(raw) != want else None

    if sum(len(raw) for _, raw, _ in pieces) > 4 * PIECE:
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(wrong, pieces))
    else:
        results = [wrong(piece) for piece in pieces]
    bad = sorted({name for name in results if name is not None})
    if bad:
        raise DamagedFile(f"the checksum of {', '.join(map(repr, bad))} is wrong: it was altered or torn")


def _column(found: Mapping[tuple[str, str], tuple[_Entry, Array]], name: str) -> Column:
    entry, values = found[name, "values"]
    if entry.kind in (HASH, VECTOR) and (values.ndim != 2 or (entry.kind == HASH and values.shape[1] != 16)):
        raise DamagedFile(f"column {name!r} has the impossible shape {entry.shape}")
    if entry.kind == ACCURACY and not 0 < entry.total < 1 << 16:
        raise DamagedFile(f"column {name!r} counts out of {describe(entry.total)}")
    if (name, "ends") not in found:
        return Column(entry.kind, values, entry.total)
    ends = found[name, "ends"][1]
    if (
        ends.ndim != 1
        or values.ndim != 1
        or (ends.size and (int(ends[-1]) != len(values) or (np.diff(ends.astype(np.int64)) < 0).any()))
    ):
        raise DamagedFile(f"column {name!r} ends elsewhere than its values")
    parts = np.split(values, ends[:-1]) if ends.size else []
    if entry.kind == TEXT:
        return Column(TEXT, np.array([part.tobytes().decode() for part in parts], dtype=str))
    return Column(entry.kind, as_objects(parts), entry.total)
