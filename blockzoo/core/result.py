"""What every result can do, in a notebook as in a program: a short repr, HTML, a pandas table, its picture, a file and back.

A result class says three things, `headline`, `table_rows` and `figure`, and registers itself with RESULTS under the name that
its files have. Its fields are saved as plain JSON (`core/values.py`), so that a file of a stranger runs no code.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from blockzoo.core import typeset, units
from blockzoo.core.contracts import RESULTS
from blockzoo.core.documents import checked, decoded, describe, from_json
from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.extras import needed
from blockzoo.core.figures import save
from blockzoo.core.files import write_text
from blockzoo.core.subject import as_stored
from blockzoo.core.text import page, plain
from blockzoo.core.values import from_plain, to_plain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Row = dict[str, Any]
Self = TypeVar("Self", bound="Result")

MOST_ROWS, MOST_COLUMNS = 20, 12
"""Of the table in a notebook; what is left out is said."""
LARGEST = 1 << 28
"""Bytes of a file that is read."""
PICTURES = (".png", ".svg", ".pdf")
"""Suffixes of pictures."""


class Result(ABC):
    """What came out of a measurement, a training, a plan or a search.

    Results are equal where all that is saved of them is.
    """

    schema_version: ClassVar[int] = 1
    """Of its files; a changed meaning of a field gets another one."""
    columns_first: ClassVar[tuple[str, ...]] = ()
    """Of its table in a notebook, which shows some of many."""

    @abstractmethod
    def headline(self) -> str:
        """What it is of and what it says, in one short line."""

    @abstractmethod
    def table_rows(self) -> list[Row]:
        """Its table, one value a column, with units in the names."""

    @abstractmethod
    def figure(self) -> Figure:
        """Its picture, as matplotlib has it.

        Raises:
            UsageError: nothing of it can be drawn; the message says why.
        """

    @classmethod
    def types_by_name(cls) -> dict[str, Any]:
        """What the types of its fields name and its module imports for types alone."""
        return {}

    def __repr__(self) -> str:
        return plain(f"<{type(self).__name__}: {self.headline()}>", lines=False)

    def __eq__(self, other: object) -> bool:
        return to_plain(self) == to_plain(other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _repr_html_(self) -> str:
        return f"<p><b>{type(self).__name__}</b>: {page(self.headline())}</p>\n{as_html(self.table_rows(), self.columns_first)}"

    def to_pandas(self) -> pd.DataFrame:
        """`table_rows` as a table of pandas.

        Raises:
            UsageError: pandas is not installed.
        """
        pandas = needed("pandas", "pandas", "tables of pandas")
        return cast("pd.DataFrame", pandas.DataFrame(self.table_rows()))

    def plot(self, path: str | Path | None = None) -> Figure:
        """The picture, which a notebook shows; with a path it is written there too.

        Args:
            path: of a file that ends in .png, .svg or .pdf.

        Raises:
            UsageError: another suffix, or nothing can be drawn.
            StoreError: the file cannot be written.
        """
        if path is not None and Path(path).suffix.lower() not in PICTURES:
            raise UsageError(f"{path}: a picture is a file that ends in {', '.join(PICTURES)}")
        figure = self.figure()
        if path is not None:
            save(figure, Path(path))
        return figure

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, which `load` reads again; equal results make equal files.

        Raises:
            UsageError: the name does not end in .json.
            StoreError: the file cannot be written.
        """
        target = Path(path)
        if target.suffix != ".json":
            raise UsageError(f"{path}: a result is a file that ends in .json")
        saved = {
            "result": _name_of(type(self)),
            "schema_version": self.schema_version,
            "values": to_plain(self),
        }
        write_text(target, json.dumps(saved, indent=1, allow_nan=False) + "\n")
        return target

    @classmethod
    def load(cls: type[Self], path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: no such file, not that of a result of this class, of a newer version, or changed; the message says which.
        """
        result = load_result(path)
        if not isinstance(result, cls):
            raise DataError(
                f"{path} holds a {type(result).__name__}, not a {cls.__name__}: {type(result).__name__}.load or "
                "blockzoo.load_result reads it"
            )
        return result


def load_result(path: str | Path) -> Result:
    """Read the file of any result, as its class.

    Args:
        path: of a file that `save` wrote.

    Raises:
        DataError: no such file, not that of a result, of a newer version, or changed; the message says which.
    """
    saved = checked(
        dict[str, Any], from_json(decoded(_content(Path(path)), str(path), LARGEST), str(path)), str(path)
    )
    if set(saved) != {"result", "schema_version", "values"}:
        raise DataError(
            f"{path} is no file of a result: it lacks result, schema_version or values, or has more"
        )
    name, version = saved["result"], saved["schema_version"]
    if not isinstance(name, str) or name not in RESULTS:
        raise DataError(f"{path} holds {describe(name)}, which is no result; known: {', '.join(RESULTS)}")
    kind = RESULTS[name]
    if type(version) is not int or not 1 <= version <= kind.schema_version:
        raise DataError(
            f"{path} has schema version {describe(version)}, and this blockzoo reads 1 to {kind.schema_version}: "
            "update it if the file is of a newer one"
        )
    with as_stored():
        return cast(Result, from_plain(kind, saved["values"], f"{path}: {name}"))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def _name_of(kind: type[Result]) -> str:
    name = RESULTS.name_of(kind)
    if name is None:
        raise UsageError(
            f"{kind.__name__} is not registered: write @RESULTS.register('its name') above the class"
        )
    return name


def as_html(rows: list[Row], first: Sequence[str] = ()) -> str:
    """A table for a notebook, with names as texts; of one row its columns one below the other. What is left out is said.

    Args:
        rows: by column.
        first: the columns that are shown before the others.
    """
    keys = dict.fromkeys(name for row in rows for name in row)
    ordered = [*(name for name in first if name in keys), *(name for name in keys if name not in first)]
    names = [name for name in ordered if any(_shown(row.get(name)) for row in rows)]
    if len(rows) == 1:
        lines = [(name, _shown(rows[0][name])) for name in names[:MOST_ROWS]]
        rest = (
            f"Not shown: {', '.join(names[MOST_ROWS:])}. to_pandas() has everything."
            if names[MOST_ROWS:]
            else ""
        )
        quantities = (typeset.name("quantity"), typeset.number("value"))
        return typeset.as_html(typeset.TextTable("", quantities, lines, rest))
    columns = [
        typeset.number(n) if all(isinstance(r.get(n), int | float | None) for r in rows) else typeset.name(n)
        for n in names[:MOST_COLUMNS]
    ]
    texts = [tuple(_shown(row.get(name)) for name in names[:MOST_COLUMNS]) for row in rows[:MOST_ROWS]]
    left = [f"{len(rows) - MOST_ROWS} more rows"] if len(rows) > MOST_ROWS else []
    left += [f"columns {', '.join(names[MOST_COLUMNS:])}"] if len(names) > MOST_COLUMNS else []
    caption = f"Not shown: {'; '.join(left)}. to_pandas() has everything." if left else ""
    return typeset.as_html(typeset.TextTable("", tuple(columns), texts, caption))


def _shown(value: object) -> str:
    """A value as people read it."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return units.number(value)
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value)) if value and all(isinstance(n, int) for n in value) else str(value)
    return str(value)
