"""Rows of a table by architecture: by hash, by index, one or many."""

from __future__ import annotations

import re
import warnings
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import UsageError
from blockzoo.nas.files.table import Table
from blockzoo.nas.space.macro import Architecture, MacroSpace

MISSING = -1
_HASH = re.compile(r"[0-9a-fA-F]{32}")
Rows = npt.NDArray[np.int64]


class Lookup:
    """Finds the row of an architecture in a table with the column `model_hash`."""

    def __init__(self, table: Table, space: MacroSpace) -> None:
        self.table, self.space = table, space
        self._values: dict[str, npt.NDArray[np.float64]] = {}
        self._hashes = table.stored["model_hash"].data

    @property
    def hashes(self) -> list[bytes]:
        """The hashes by row, 16 bytes each."""
        raw = np.ascontiguousarray(self._hashes).tobytes()
        return [raw[at : at + 16] for at in range(0, len(raw), 16)]

    @cached_property
    def _row_of_hash(self) -> dict[bytes, int]:
        return {text: row for row, text in enumerate(self.hashes)}

    @cached_property
    def row_of_index(self) -> Rows:
        """(networks + 1,): the row of each network of the space, -1 where it has none; the last entry is for index -1."""
        rows = np.full(len(self.space) + 1, MISSING)
        index = self.space.indices_of_raw_hashes(self._hashes)
        is_known = index >= 0
        if lost := int((~is_known).sum()):
            example = self.hashes[int(np.argmin(is_known))].hex()
            warnings.warn(
                f"{lost:,} rows are of no network of the space, as that of {example}: only its hash finds such a row. "
                "`blockzoo nas validate` names what is wrong with a folder",
                stacklevel=2,
            )
        rows[index[is_known]] = np.flatnonzero(is_known)
        return rows

    def row(self, arch: Architecture) -> int | None:
        """The row of one architecture: an index, a hash or a vector. None where it has none or is invalid."""
        if isinstance(arch, np.ndarray) and not arch.ndim:
            arch = arch.item()
        if isinstance(arch, str):
            if not _HASH.fullmatch(arch):
                raise UsageError(
                    f"{arch!r}: a hash has 32 hexadecimal digits; an index is a number, not a text"
                )
            return self._row_of_hash.get(bytes.fromhex(arch))
        index = self.space.index(arch)
        if index is None:
            return None
        if "row_of_index" in vars(self) or self.space.hashes_are_known():
            row = int(self.row_of_index[index])
            return None if row == MISSING else row
        digest = self.space.hash_alone(index)
        return None if digest is None else self._row_of_hash.get(bytes.fromhex(digest))

    def values(self, column: str) -> npt.NDArray[np.float64]:
        """(rows + 1,): a column of numbers, NaN behind the last for row -1."""
        if column not in self._values:
            self._values[column] = np.append(self.table[column].astype(np.float64), np.nan)
        return self._values[column]

    def rows(self, architectures: npt.NDArray[Any]) -> Rows:
        """(N,): the rows of many architectures, -1 where there is none; an index of -1 is unknown."""
        if architectures.ndim == 1 and architectures.dtype.kind in "US":
            rows = [self.row(str(text)) for text in architectures.astype(str)]
            return np.array([MISSING if row is None else row for row in rows], np.int64)
        return self.row_of_index[self.space.index(architectures)]
