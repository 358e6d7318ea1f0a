"""The tables of a data set as Parquet files, written a few rows at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockzoo.core.checksums import file_digest
from blockzoo.core.extras import needed
from blockzoo.core.files import write_atomically
from blockzoo.publish.fields import VERSION, Field
from blockzoo.publish.tables import (
    OF_CURVES,
    Shape,
    TableName,
    curve_cells,
    image_cells,
    timing_cells,
    trial_cells,
)
from blockzoo.publish.walk import Walk

TYPES = {"text": "string", "integer": "int64", "number": "float64", "flag": "bool_"}
LISTS = {"flags": "bool_", "codes": "uint8"}
BATCH = 4096
"""Rows in memory of a table of single values; of one with lists fewer."""
BATCH_OF_LISTS = 128


@dataclass(frozen=True)
class Written:
    """A table that was written.

    Args:
        name: of the table.
        path: of its file.
        fields: its columns.
        rows: how many.
        sha256: of the file, in hex.
        bytes: of the file.
    """

    name: TableName
    path: Path
    fields: Sequence[Field]
    rows: int
    sha256: str
    bytes: int


def write_tables(walk: Walk, folder: Path) -> list[Written]:
    """Write the four tables of a store into a folder: one walk to settle the columns, one for the rows.

    Raises:
        UsageError: pyarrow is not installed.
        StoreError: a file cannot be written.
    """
    needed("pyarrow", "parquet", "Parquet files")
    columns = Shape.of(walk).fields()
    paths: dict[TableName, Path] = {name: folder / f"{name}.parquet" for name in columns}
    counts: dict[TableName, int] = {}

    def write(targets: Mapping[TableName, Path]) -> None:
        with ExitStack() as stack:
            sinks = {name: stack.enter_context(_Sink(path, columns[name])) for name, path in targets.items()}
            series = {one.source for one in columns["curves"] if one not in OF_CURVES}
            for row, record in walk.each_trial():
                sinks["trials"].add(1, trial_cells(columns["trials"], row, record, series))
                sinks["curves"].add(*curve_cells(columns["curves"], record))
                sinks["images"].add(*image_cells(row, record))
            for record in walk.each_timing():
                for count, cells in timing_cells(columns["timings"], record):
                    sinks["timings"].add(count, cells)
        counts.update({name: sink.rows for name, sink in sinks.items()})

    _all_at_once(list(paths.items()), {}, write)
    return [
        Written(name, path, columns[name], counts[name], file_digest(path), path.stat().st_size)
        for name, path in paths.items()
    ]


def _all_at_once(left: list[tuple[TableName, Path]], temporary: dict[TableName, Path], write: Any) -> None:
    """Write all files in one walk; each then takes its place."""
    if not left:
        write(temporary)
        return
    (name, path), *others = left
    write_atomically(path, lambda own: _all_at_once(others, {**temporary, name: own}, write))


class _Sink:
    """A file that rows are added to."""

    def __init__(self, path: Path, fields: Sequence[Field]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        def kind(one: Field) -> Any:
            if one.kind in LISTS:
                return pa.list_(getattr(pa, LISTS[one.kind])())
            return getattr(pa, TYPES[one.kind])()

        metadata = {b"blockzoo_schema_version": str(VERSION).encode()}
        self.schema = pa.schema(
            [
                pa.field(one.name, kind(one), metadata={"description": one.meaning, "unit": one.unit})
                for one in fields
            ],
            metadata=metadata,
        )
        self.rows, self._waiting = 0, 0
        self._columns: dict[str, list[Any]] = {one.name: [] for one in fields}
        self._most = BATCH_OF_LISTS if any(one.kind in LISTS for one in fields) else BATCH
        self._writer = pq.ParquetWriter(path, self.schema, compression="zstd")

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, rows: int, cells: Mapping[str, Any]) -> None:
        """Write rows, at the latest at the end.

        Args:
            rows: how many.
            cells: by column: a list with one for each of them, or the one that all of them have.
        """
        for name, column in self._columns.items():
            value = cells.get(name)
            if isinstance(value, list):
                column.extend(value)
            else:
                column.extend([value] * rows)
        self._waiting += rows
        if self._waiting >= self._most:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            arrays = [pa.array(self._columns[one.name], one.type) for one in self.schema]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self.schema))
            self.rows += self._waiting
            self._waiting = 0
            for column in self._columns.values():
                column.clear()
