"""The text format (.csv): a row per network, lists in quotes.

Where pyarrow is installed and all lists of a column have one length, rows are numbers between commas once brackets and
quotes are gone, which its reader parses on all cores. Everything else goes through Python's own reader.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from blockzoo.nas.files.columns import (
    ACCURACY,
    FLOATS,
    MILLIONTHS,
    VECTOR,
    Array,
    Column,
    accuracy_total,
    counts_of,
    from_values,
    millionths_of,
    text_column,
)
from blockzoo.nas.files.errors import DamagedFile, describe
from blockzoo.nas.files.header import Header
from blockzoo.nas.files.table import Table, python_rows

LONGEST_ROW = 1 << 20
MOST_FIELDS = 4096
"""Values in a row that pyarrow reads: each is a column to it, with memory of its own."""
LARGE = 1 << 19
"""Bytes from which importing pyarrow pays."""


def write(header: Header, columns: Mapping[str, Column]) -> tuple[Header, Iterator[bytes]]:
    """The header and the payload in pieces."""
    shape = (header.get("search_space") or {}).get("shape")
    fields = {k: v for k, v in header.items() if k != "column_types"}
    return {**fields, "format": "csv"}, _pieces(Table(columns), shape)


def _pieces(table: Table, shape: Any) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    for number, row in enumerate(python_rows(table, shape), 1):
        writer.writerow(row)
        if number % 1024 == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def read(header: Header, payload: memoryview) -> dict[str, Column]:
    """The columns of a payload.

    Raises:
        DamagedFile: a row of another length, or a value that is neither text, number nor list.
    """
    names = header["columns"]
    if len(payload) >= LARGE and header["dataset_type"] != "env":
        try:
            columns = _read_with_arrow(names, payload)
        except ImportError:
            columns = None
        if columns is not None:
            return columns
    return _read_with_python(names, payload, all_text=header["dataset_type"] == "env")


def _read_with_python(names: list[str], payload: memoryview, *, all_text: bool = False) -> dict[str, Column]:
    """The columns, row by row; with `all_text` (environments) 3.12 is a version and no number."""
    try:
        text = bytes(payload).decode()
    except UnicodeDecodeError as error:
        raise DamagedFile(f"it holds bytes that are no text: {error.reason}") from None
    columns: list[list[str]] = [[] for _ in names]
    number = 0
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1):
            if len(row) != len(names):
                raise DamagedFile(f"row {number:,} has {len(row)} values for {len(names)} columns")
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
    except csv.Error as error:
        raise DamagedFile(f"row {number + 1:,}: {error}") from None
    parse = _text if all_text else _parsed
    return {name: parse(name, texts) for name, texts in zip(names, columns, strict=True)}


def _text(name: str, texts: list[str]) -> Column:
    return from_values(name, texts) if name in ("model_hash", "arch_vec") else text_column(name, texts)


def _parsed(name: str, texts: list[str]) -> Column:
    if name == "model_hash" or not texts:
        return _text(name, texts)
    if texts[0].startswith("["):
        return from_values(name, [_parsed_list(name, text) for text in texts])
    numbers = [_number(text) for text in texts]
    if None in numbers:
        return _text(name, texts)
    return from_values(name, np.array(numbers))


def _parsed_list(name: str, text: str) -> list[Any]:
    try:
        value = json.loads(text.replace("nan", "NaN").replace("inf", "Infinity"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise DamagedFile(f"column {name!r} holds {describe(text)} where lists are")
    return value


def _number(text: str) -> int | float | None:
    if "_" in text or not text.isascii():  # 3_4.47 is a number to Python alone
        return None
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return None


def _read_with_arrow(names: list[str], payload: memoryview) -> dict[str, Column] | None:
    """The columns where every row has the sizes of the first; None where the file is not of that kind."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    first = payload[:LONGEST_ROW].tobytes().partition(b"\n")[0].decode("ascii", "replace")
    try:
        example = next(csv.reader([first]), [])
    except csv.Error:
        return None
    if len(example) != len(names):
        return None
    counts = [len(text.split(",")) if text.startswith("[") else 0 for text in example]
    if sum(map(max, counts, [1] * len(counts))) > MOST_FIELDS:
        return None
    fields = [f"{name}.{place}" for name, n in zip(names, counts, strict=True) for place in range(max(1, n))]
    source = _WithoutBrackets(payload)
    try:
        table = arrow_csv.read_csv(
            pa.PythonFile(source, mode="r"),
            read_options=arrow_csv.ReadOptions(column_names=fields, block_size=1 << 22),
            parse_options=arrow_csv.ParseOptions(quote_char=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types={
                    f: pa.string() if f.startswith("model_hash.") else pa.float64() for f in fields
                },
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return None
    if source.quotes != 2 * table.num_rows * sum(n > 0 for n in counts):
        return None
    columns, at = {}, 0
    with ThreadPoolExecutor(2) as pool:
        for name, n, text in zip(names, counts, example, strict=True):
            parts = table.columns[at : at + max(1, n)]
            if name == "arch_vec":
                columns[name] = _vectors(parts)
            else:
                columns[name] = _matrix(name, parts, pool) if n else _scalars(name, parts[0], text)
            at += n or 1
    return columns


class _WithoutBrackets:
    """A payload as a file, in which quotes and brackets are blanks; blanks around numbers are ignored."""

    closed = False
    _BLANKED = bytes(ord(" ") if c in b'"[]' else c for c in range(256))

    def __init__(self, payload: memoryview) -> None:
        self._payload, self._at, self.quotes = payload, 0, 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._payload) if size < 0 else self._at + size
        piece = self._payload[self._at : end].tobytes()
        self._at += len(piece)
        self.quotes += piece.count(b'"')
        return piece.translate(self._BLANKED)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None: ...


def _scalars(name: str, column: Any, example: str) -> Column:
    if name == "model_hash":
        return from_values(name, column.to_pylist())
    values: Array = column.to_numpy()
    whole = example.strip().isdigit() and bool((values == np.rint(values)).all())
    return from_values(name, values.astype(np.int64) if whole else values)


def _matrix(name: str, parts: list[Any], pool: ThreadPoolExecutor) -> Column:
    """(rows, values): counts or millionths where all values are, else floats."""
    accuracy, total = "top" in name, accuracy_total(name)
    small = np.empty((len(parts[0]), len(parts)), np.uint16 if accuracy else np.uint32)

    def shrink(place: int) -> bool:
        values = parts[place].to_numpy()
        whole = counts_of(values, total) if accuracy else millionths_of(values)
        if whole is not None:
            small[:, place] = whole
        return whole is not None

    if all(pool.map(shrink, range(len(parts)))):
        return Column(ACCURACY, small, total) if accuracy else Column(MILLIONTHS, small)
    return Column(FLOATS, np.stack([part.to_numpy() for part in parts], axis=1))


def _vectors(parts: list[Any]) -> Column:
    """(rows, coordinates): flat vectors; how their brackets nest is the space's to know."""
    matrix = np.stack([part.to_numpy() for part in parts], axis=1)
    if not ((matrix >= 0) & (matrix <= 255) & (matrix == np.rint(matrix))).all():
        raise DamagedFile("arch_vec holds something else than whole numbers")
    return Column(VECTOR, matrix.astype(np.uint8))
