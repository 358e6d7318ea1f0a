"""A dataset file in memory: columns by name, held small, decoded when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from blockzoo.nas.files.columns import Array, Column, from_values
from blockzoo.nas.files.errors import DamagedFile

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


Shape = Sequence[Sequence[Sequence[int]]]
"""`search_space.shape` of a header: the options of each coordinate by stage and node."""


class Table(Mapping[str, Array]):
    """Columns of equal length. `table[name]` are the values (percent, floats, text, flat vectors) as an array.

    Args:
        columns: by name; anything that `from_values` takes.
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = {str(name): from_values(str(name), columns[name]) for name in columns}
        lengths = {name: len(column) for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise DamagedFile(f"columns differ in length: {lengths}")
        self.num_rows = next(iter(lengths.values()), 0)

    @overload
    def __getitem__(self, name: str) -> Array: ...
    @overload
    def __getitem__(self, name: int) -> list[Any]: ...
    @overload
    def __getitem__(self, name: slice) -> list[list[Any]]: ...
    def __getitem__(self, name: Any) -> Any:
        """The values of a column by its name; one row (plain values) by its number, or a list of them by a slice."""
        if isinstance(name, slice):
            return [self[row] for row in range(*name.indices(self.num_rows))]
        if isinstance(name, int | np.integer) and not isinstance(name, bool):
            if not -self.num_rows <= name < self.num_rows:
                raise IndexError(f"row {name} of {self.num_rows:,}")
            return next(python_rows(self.take(np.array([name])), None))
        return self._columns[name].values

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __repr__(self) -> str:
        return f"Table({self.num_rows:,} rows: {', '.join(self._columns)})"

    @property
    def stored(self) -> Mapping[str, Column]:
        """The columns in their small form."""
        return self._columns

    @property
    def nbytes(self) -> int:
        """Bytes that the small forms take."""
        return sum(
            sum(part.nbytes for part in column.data) if column.ragged else column.data.nbytes
            for column in self._columns.values()
        )

    def take(self, rows: Array) -> Table:
        """The table of these rows."""
        return Table({name: column.take(rows) for name, column in self._columns.items()})

    def differences(self, other: Table) -> list[str]:
        """In what two tables differ, one sentence each; nothing where they are equal."""
        if list(self) != list(other):
            return [f"columns {', '.join(self)} against {', '.join(other)}"]
        if self.num_rows != other.num_rows:
            return [f"{self.num_rows:,} rows against {other.num_rows:,}"]
        return [
            f"column {name!r} differs" for name in self if not self.stored[name].same_as(other.stored[name])
        ]

    def to_pandas(self) -> pd.DataFrame:
        """A data frame; a column of lists holds one array a row."""
        import pandas as pd

        return pd.DataFrame(
            {name: list(values) if values.ndim > 1 else values for name, values in self.items()}
        )

    def to_arrow(self) -> pa.Table:
        """A `pyarrow.Table`; a column of lists is a list column."""
        import pyarrow as pa

        return pa.table(
            {
                name: pa.array(list(values) if values.ndim > 1 or values.dtype == object else values)
                for name, values in self.items()
            }
        )


def python_rows(table: Table, shape: Shape | None) -> Iterator[list[Any]]:
    """Rows as plain Python values: numbers, text, lists, vectors by stage and node."""
    columns = []
    for name in table:
        values = table[name]
        if name == "arch_vec":
            columns.append(nested_vectors(values, shape))
        else:
            columns.append([v.tolist() if isinstance(v, np.ndarray) else v for v in values.tolist()])
    return (list(row) for row in zip(*columns, strict=True))


def nested_vectors(vectors: Array, shape: Shape | None) -> list[Any]:
    """Flat vectors by stage and node.

    Args:
        vectors: (rows, coordinates).
        shape: `search_space.shape` of a header: the options of each coordinate by stage and node.
    """
    lengths = [[len(node) for node in cell] for cell in shape or [[[3], [3, 2, 2, 2]]] * 3]
    nested = []
    for flat in vectors.tolist():
        at, cells = 0, []
        for cell in lengths:
            nodes = []
            for n in cell:
                nodes.append(flat[at : at + n])
                at += n
            cells.append(nodes)
        nested.append(cells)
    return nested
