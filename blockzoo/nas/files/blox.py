"""The published binary format (.blox): zlib of a bit count, a row count and rows of byte-aligned columns.

Where all lists of a column have one length, rows have one size: they are unpacked in blocks, on a second thread, while the
next block is inflated. Other files are first walked once to find where each value lies. Memory is bounded by what the
header and the size of the file allow, before it is taken.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from blockzoo.core.bounds import allowance, check_room
from blockzoo.nas.files.bits import SPARE, pack, packed_bytes, unpack
from blockzoo.nas.files.columns import (
    ACCURACY,
    HASH,
    MILLIONTHS,
    TEXT,
    VECTOR,
    WHOLE,
    Array,
    Column,
    accuracy_total,
    as_objects,
    text_column,
)
from blockzoo.nas.files.errors import DamagedFile, describe
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.inflate import Inflated
from blockzoo.nas.files.types import LONGEST, ColumnType, parse_type, type_of

PREFIX = struct.Struct("<QI")
BLOCK_BYTES = 1 << 21
INFLATES_AT_MOST = 1032
"""zlib never shrinks more than this."""
ROW_COSTS = {"any": 8, "text": 120, "list": 120}
"""Bytes that a walk keeps of each value: where it lies; objects of Python for text and lists of different lengths."""
DTYPES = {ACCURACY: np.uint16, MILLIONTHS: np.uint32, WHOLE: np.uint32}


# --- reading ----------------------------------------------------------------------------------------


def read(header: Header, payload: memoryview) -> dict[str, Column]:
    """The columns of a payload.

    Raises:
        DamagedFile: truncated, altered, or not what the header says.
    """
    stated = header.get("column_types")
    types = {
        name: parse_type(name, stated.get(name) if isinstance(stated, Mapping) else None)
        for name in header["columns"]
    }
    stream = Inflated(payload)
    _, rows = PREFIX.unpack(stream.take(PREFIX.size))
    least = sum(t.least_bytes for t in types.values()) * rows
    if least > INFLATES_AT_MOST * len(payload):
        raise DamagedFile(f"it claims {rows:,} rows, more than its {len(payload):,} bytes can hold")
    if rows == 0:
        stream.expect_end()
        return {name: _empty(name, t) for name, t in types.items()}
    if any(t.kind == TEXT for t in types.values()):
        return _read_walking(types, rows, stream)
    first = stream.peek(sum(t.most_bytes for t in types.values()))
    lengths = _lengths_of_first_row(types, first)
    columns = _read_equal_rows(types, rows, lengths, stream)
    return columns if columns is not None else _read_walking(types, rows, _skipped(payload))


def _skipped(payload: memoryview) -> Inflated:
    stream = Inflated(payload)
    stream.take(PREFIX.size)
    return stream


def _lengths_of_first_row(types: Mapping[str, ColumnType], row: bytes) -> dict[str, int]:
    """How many values each list column has in the first row."""
    lengths, at = {}, 0
    for name, t in types.items():
        if t.is_list:
            if at >= len(row):
                raise DamagedFile("it ends within its first row")
            lengths[name] = row[at]
        at += packed_bytes(lengths[name], t.width) + 1 if t.is_list else t.least_bytes
    return lengths


def _read_equal_rows(
    types: Mapping[str, ColumnType], rows: int, lengths: Mapping[str, int], stream: Inflated
) -> dict[str, Column] | None:
    """The columns where every row has the sizes of the first; None where one differs."""
    places, row_bytes = {}, 0
    for name, t in types.items():
        places[name] = row_bytes + t.is_list
        row_bytes += packed_bytes(lengths[name], t.width) + 1 if t.is_list else t.least_bytes
    if row_bytes * rows > INFLATES_AT_MOST * stream.size:
        raise DamagedFile(
            f"it claims {rows:,} rows of {row_bytes:,} bytes, more than its {stream.size:,} bytes can hold"
        )
    check_room(
        rows * sum(_value_bytes(t, lengths.get(name, 1)) for name, t in types.items()),
        allowance(stream.size),
        f"its {rows:,} rows",
    )
    arrays = {name: _target(t, rows, lengths.get(name, 1)) for name, t in types.items()}
    block_rows = min(rows, max(1, BLOCK_BYTES // max(1, row_bytes)))
    blocks = [np.empty(block_rows * row_bytes + SPARE, np.uint8) for _ in range(2)]
    equal: Future[bool] | None = None
    with ThreadPoolExecutor(1) as worker:
        for turn, start in enumerate(range(0, rows, block_rows)):
            n, block = min(block_rows, rows - start), blocks[turn % 2]
            stream.fill(block.data[: n * row_bytes])
            if equal is not None and not equal.result():
                return None
            targets = {name: array[start : start + n] for name, array in arrays.items()}
            equal = worker.submit(_unpack_rows, types, lengths, places, block, row_bytes, targets)
        if equal is not None and not equal.result():
            return None
    stream.expect_end()
    return {name: _column(name, t, arrays.pop(name)) for name, t in types.items()}


def _value_bytes(t: ColumnType, count: int) -> int:
    """Bytes of one row of `_target`."""
    return t.least_bytes if t.kind in (HASH, VECTOR) else count * np.dtype(DTYPES[t.kind]).itemsize


def _target(t: ColumnType, rows: int, count: int) -> Array:
    """Where the values of one column go. Pages that no row reaches are never taken from the machine."""
    if t.kind in (HASH, VECTOR):
        return np.empty((rows, t.least_bytes), np.uint8)
    return np.empty((rows, count) if t.is_list else (rows,), DTYPES[t.kind])


def _unpack_rows(
    types: Mapping[str, ColumnType],
    lengths: Mapping[str, int],
    places: Mapping[str, int],
    block: Array,
    row_bytes: int,
    targets: Mapping[str, Array],
) -> bool:
    """Fill the targets from a block of rows; False if a list has another length than in the first row."""
    rows = len(next(iter(targets.values())))
    table = block[: rows * row_bytes].reshape(rows, row_bytes)
    for name, t in types.items():
        target = targets[name]
        if t.is_list and (table[:, places[name] - 1] != lengths[name]).any():
            return False
        if t.kind in (HASH, VECTOR):
            target[...] = table[:, places[name] : places[name] + t.least_bytes]
        else:
            matrix = target.reshape(rows, -1)
            unpack(block, places[name], rows, row_bytes, matrix.shape[1], t.width, matrix)
    return True


def _read_walking(types: Mapping[str, ColumnType], rows: int, stream: Inflated) -> dict[str, Column]:
    """The columns of a file whose rows differ in size: find where each value lies, then gather column by column."""
    allowed = allowance(stream.size)
    costs = [
        ROW_COSTS["any"] + ROW_COSTS.get("text" if t.kind == TEXT else "list" if t.is_list else "", 0)
        for t in types.values()
    ]
    check_room(rows * sum(costs), allowed, f"its {rows:,} rows of different sizes")
    whole = stream.rest(min(allowed, rows * sum(t.most_bytes for t in types.values())))
    stream.expect_end()
    starts, at, end = np.empty((len(types), rows), np.int64), 0, len(whole)
    steps = [(t.kind == TEXT, t.is_list, t.width, t.least_bytes) for t in types.values()]
    for row in range(rows):
        for place, (is_text, is_list, width, size) in enumerate(steps):
            if at >= end:
                raise DamagedFile(f"it ends in row {row:,} of {rows:,}")
            starts[place, row] = at
            if is_text:
                size = 1 + whole[at]
            elif is_list:
                size = 1 + (whole[at] * width + 7) // 8
            at += size
    if at != end:
        raise DamagedFile(f"its rows take {at:,} bytes, but {end:,} are there")
    whole += bytes(SPARE)
    flat = np.frombuffer(whole, np.uint8)
    return {name: _gathered(name, t, flat, starts[place]) for place, (name, t) in enumerate(types.items())}


def _gathered(name: str, t: ColumnType, flat: Array, starts: Array) -> Column:
    if t.kind == TEXT:
        ends = starts + 1 + flat[starts]
        raw = flat.tobytes()
        texts = [raw[a + 1 : b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        if not all(text.isascii() for text in texts):
            raise DamagedFile(f"column {name!r} holds text that is not ASCII")
        return text_column(name, [text.decode() for text in texts])
    if not t.is_list:
        return _column(name, t, _gathered_values(t, flat, starts, 1, t.least_bytes))
    counts = flat[starts]
    value_bytes = int(counts.sum(dtype=np.int64)) * np.dtype(DTYPES[t.kind]).itemsize
    check_room(value_bytes, allowance(len(flat)), f"column {name!r}")
    if len(set(counts.tolist())) == 1:
        count = int(counts[0])
        return _column(name, t, _gathered_values(t, flat, starts + 1, count, packed_bytes(count, t.width)))
    parts: list[Array] = [np.zeros(0)] * len(starts)
    for count in sorted(set(counts.tolist())):
        rows = np.flatnonzero(counts == count)
        values = _gathered_values(t, flat, starts[rows] + 1, count, packed_bytes(count, t.width))
        for row, part in zip(rows.tolist(), _column(name, t, values).data, strict=True):
            parts[row] = part
    return Column(t.kind, as_objects(parts), accuracy_total(name) if t.kind == ACCURACY else 0)


def _gathered_values(t: ColumnType, flat: Array, starts: Array, count: int, size: int) -> Array:
    block = np.zeros(len(starts) * size + SPARE, np.uint8)
    table = block[: len(starts) * size].reshape(len(starts), size)
    table[...] = flat[starts[:, None] + np.arange(size)]
    if t.kind in (HASH, VECTOR):
        return table.copy()
    target = _target(t, len(starts), count)
    unpack(block, 0, len(starts), size, count, t.width, target.reshape(len(starts), count))
    return target


def _column(name: str, t: ColumnType, data: Array) -> Column:
    """Unpacked values as a column in its small form."""
    if t.kind == HASH:
        return Column(HASH, data[:, ::-1])
    if t.kind == VECTOR:
        return Column(VECTOR, vectors_of_cells(data))
    if t.kind != ACCURACY:
        return Column(t.kind, data)
    if data.size and int(data.max()) > t.high - t.low:
        raise DamagedFile(f"column {name!r} holds an accuracy above the maximum that its header states")
    np.add(data, t.low, out=data, casting="unsafe")
    return Column(ACCURACY, data, accuracy_total(name))


def vectors_of_cells(cells: Array) -> Array:
    """(N, 15) flat vectors of (N, 3) cell bytes ((op1*3+op2) << 3 | prev << 2 | inp << 1 | sc)."""
    if cells.size and int(cells.max()) >= 72:
        raise DamagedFile("arch_vec holds a cell that does not exist")
    ops = cells >> 3
    columns = [ops // 3, ops % 3, cells >> 2 & 1, cells >> 1 & 1, cells & 1]
    return np.stack(columns, axis=-1).reshape(len(cells), -1)


def cells_of_vectors(vectors: Array) -> Array:
    """(N, 3) cell bytes of (N, 15) flat vectors."""
    op1, op2, prev, inp, sc = np.moveaxis(vectors.reshape(len(vectors), -1, 5), -1, 0)
    return (op1 * 3 + op2) << 3 | prev << 2 | inp << 1 | sc


def _empty(name: str, t: ColumnType) -> Column:
    if t.kind == TEXT:
        return Column(TEXT, np.zeros(0, "U1"))
    return _column(name, t, _target(t, 0, 0))


# --- writing ----------------------------------------------------------------------------------------

WRITE_ROWS = 2048


def write(header: Header, columns: Mapping[str, Column]) -> tuple[Header, Iterator[bytes]]:
    """The header with its column types, and the payload in pieces.

    Raises:
        DamagedFile: values that the format cannot hold, with their column.
    """
    types = {name: type_of(name, column) for name, column in columns.items()}
    for name, column in columns.items():
        _check_lengths(name, column)
    header = {**header, "format": "custom", "column_types": {name: t.text for name, t in types.items()}}
    return header, _pieces(types, columns)


def _check_lengths(name: str, column: Column) -> None:
    if column.kind == TEXT:
        texts = column.data.tolist()
        bad = next((text for text in texts if len(text) > LONGEST or not text.isascii()), None)
        if bad is not None:
            raise DamagedFile(
                f"column {name!r} holds {describe(bad)}: .blox takes ASCII up to {LONGEST} characters"
            )
    elif column.is_list:
        longest = max((len(part) for part in column.data), default=0)
        if longest > LONGEST:
            raise DamagedFile(f"column {name!r} holds lists of {longest} values: .blox takes up to {LONGEST}")


def _pieces(types: Mapping[str, ColumnType], columns: Mapping[str, Column]) -> Iterator[bytes]:
    rows = len(next(iter(columns.values())))
    deflate = zlib.compressobj()
    bits = 32 + sum(_published_bits(t, columns[name]) for name, t in types.items())
    yield deflate.compress(PREFIX.pack(bits, rows))
    for start in range(0, rows, WRITE_ROWS):
        part = slice(start, min(start + WRITE_ROWS, rows))
        cells = [_encoded(t, columns[name].data[part]) for name, t in types.items()]
        if all(isinstance(cell, np.ndarray) for cell in cells):
            yield deflate.compress(np.concatenate(cells, axis=1).tobytes())
        else:
            listed = [[row.tobytes() for row in c] if isinstance(c, np.ndarray) else c for c in cells]
            yield deflate.compress(b"".join(piece for row in zip(*listed, strict=True) for piece in row))
    yield deflate.flush()


def _published_bits(t: ColumnType, column: Column) -> int:
    if t.kind == TEXT:
        return sum(t.published_bits(len(text)) for text in column.data.tolist())
    if column.ragged:
        return sum(t.published_bits(len(part)) for part in column.data)
    return len(column) * t.published_bits(column.data.shape[1] if t.is_list else 1)


def _encoded(t: ColumnType, data: Array) -> Array | list[bytes]:
    """Rows of one column as (rows, bytes), or as a list where they differ in size."""
    if t.kind == TEXT:
        return [bytes([len(text)]) + text.encode() for text in data.tolist()]
    if data.dtype == object:
        return [_encoded(t, part[None])[0].tobytes() for part in data]  # type: ignore[union-attr]
    if t.kind == HASH:
        return np.ascontiguousarray(data[:, ::-1])
    if t.kind == VECTOR:
        return cells_of_vectors(data)
    values = data - t.low if t.kind == ACCURACY else data
    if not t.is_list:
        return pack(values[:, None], t.width)
    length = np.full((len(data), 1), data.shape[1], np.uint8)
    return np.concatenate([length, pack(values, t.width)], axis=1)
