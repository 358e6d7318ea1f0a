"""The native store (.native): the small forms of the columns as they lie in memory, mapped rather than read.

Behind the YAML header: a directory (JSON: kind, type, shape, place of each column and the CRC-32 of every 4 MiB of it) with a
checksum of the header and itself, then the columns at multiples of 64 bytes. Opening checks everything; the checksums run on
two threads at the speed of memory where isal is installed.

    header | b"BZN2" u32 length u32 CRC-32 | directory | columns

In files of the first version, BZN1, the checksum is of the directory alone: they are read, and said to be unverified.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from blockzoo.core.bounds import TooLarge, allowance, check_room
from blockzoo.core.checksums import array_bytes, piece_sums
from blockzoo.core.documents import from_json
from blockzoo.core.errors import DataError
from blockzoo.core.said import say_once
from blockzoo.nas.files.columns import (
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
    text_column,
)
from blockzoo.nas.files.errors import DamagedFile, describe
from blockzoo.nas.files.header import Header, dump

MAGIC, FIRST = b"BZN2", b"BZN1"
PREFIX = struct.Struct("<4sII")
ALIGNMENT = 64
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
OBJECT = 240
"""Bytes that one text or list takes as an object of Python, beside what it holds."""
ENDS = "<u4"
"""Text (UTF-8) and lists of different lengths lie one after the other, with where each ends."""


def write(header: Header, columns: Mapping[str, Column]) -> tuple[Header, Iterator[bytes]]:
    """The header and the payload in pieces."""
    fields = {k: v for k, v in header.items() if k != "column_types"}
    header = {**fields, "format": "native"}
    return header, _pieces(columns, dump(header))


def _pieces(columns: Mapping[str, Column], head: bytes) -> Iterator[bytes]:
    at, entries, parts = 0, [], []
    for name, column in columns.items():
        for role, array in _arrays(column).items():
            raw = array.tobytes()
            entry = {"name": name, "role": role, "kind": column.kind, "total": column.total}
            where = {"dtype": array.dtype.str, "shape": list(array.shape), "at": at}
            entries.append({**entry, **where, "crc32": piece_sums(raw)})
            parts.append(raw)
            at += _aligned(len(raw))
    directory = json.dumps(entries, separators=(",", ":")).encode()
    start = len(head) + PREFIX.size + len(directory)
    checksum = zlib.crc32(directory, zlib.crc32(head))
    yield PREFIX.pack(MAGIC, len(directory), checksum) + directory + bytes(_aligned(start) - start)
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


def read(header: Header, payload: memoryview, *, head: bytes = b"", name: str = "") -> dict[str, Column]:
    """The columns of a payload, as views of it.

    Args:
        header: of the file; `columns` says which are returned.
        payload: what follows the header in the file.
        head: the header as it stands in the file before the payload.
        name: of the file, where something is to be said of it.

    Raises:
        DamagedFile: truncated, altered, or a directory that says something impossible.
    """
    if len(payload) < PREFIX.size:
        raise DamagedFile("it ends before its directory")
    magic, size, expected = PREFIX.unpack_from(payload)
    if magic not in (MAGIC, FIRST) or size > LONGEST_DIRECTORY:
        raise DamagedFile("its directory is damaged")
    directory = bytes(payload[PREFIX.size : PREFIX.size + size])
    if len(directory) < size or zlib.crc32(directory, zlib.crc32(head) if magic == MAGIC else 0) != expected:
        raise DamagedFile("its header or its directory is damaged: their checksum is wrong")
    if magic == FIRST:
        say_once(
            f"{name or 'a .native file'} is of the first version: its header is unverified; nas convert writes it anew"
        )
    start = _aligned(len(head) + PREFIX.size + size) - len(head)
    try:
        entries = [_Entry(**entry) for entry in from_json(directory.decode(), "its directory")]
        views = {(e.name, e.role): (e, e.view(payload, start)) for e in entries}
        _verify(views.values())
        columns = {name: _column(views, name) for name in header["columns"]}
    except (DamagedFile, TooLarge):
        raise
    except DataError as error:
        raise DamagedFile(str(error)) from None
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedFile(f"its directory says something impossible ({describe(str(error))})") from None
    if start + sum(_aligned(view.nbytes) for _, view in views.values()) != len(payload):
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
        if (
            faulty
            or (not count and math.prod(filter(None, self.shape)) > len(payload))
            or start + self.at + count * dtype.itemsize > len(payload)
        ):
            raise DamagedFile(f"column {self.name!r} does not lie within it: it is truncated or altered")
        return np.frombuffer(payload, dtype, count, start + self.at).reshape(self.shape)


def _verify(arrays: Iterable[tuple[_Entry, Array]]) -> None:
    """Compare all checksums."""
    bad = sorted({entry.name for entry, array in arrays if piece_sums(array_bytes(array)) != entry.crc32})
    if bad:
        raise DamagedFile(f"the checksum of {', '.join(map(repr, bad))} is wrong: it was altered or torn")


def _column(views: Mapping[tuple[str, str], tuple[_Entry, Array]], name: str) -> Column:
    entry, values = views[name, "values"]
    if entry.kind in (HASH, VECTOR) and (values.ndim != 2 or (entry.kind == HASH and values.shape[1] != 16)):
        raise DamagedFile(f"column {name!r} has the impossible shape {entry.shape}")
    if entry.kind == ACCURACY and not 0 < entry.total < 1 << 16:
        raise DamagedFile(f"column {name!r} counts out of {describe(entry.total)}")
    if (name, "ends") not in views:
        return Column(entry.kind, values, entry.total)
    ends = views[name, "ends"][1]
    if (
        ends.ndim != 1
        or values.ndim != 1
        or (ends.size and (int(ends[-1]) != len(values) or (np.diff(ends.astype(np.int64)) < 0).any()))
    ):
        raise DamagedFile(f"column {name!r} ends elsewhere than its values")
    check_room(OBJECT * len(ends), allowance(values.nbytes + ends.nbytes), f"column {name!r}")
    parts = np.split(values, ends[:-1]) if ends.size else []
    if entry.kind == TEXT:
        return text_column(name, [part.tobytes().decode() for part in parts])
    return Column(entry.kind, as_objects(parts), entry.total)
