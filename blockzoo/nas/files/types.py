"""The column types of the published binary format: text such as `list[b_104_1684_11]`, and what it means.

`hash` 16 bytes, `str` a length byte and ASCII, `int` 32 bits, `float` 24 bits of millionths, `arch` 3 cell bytes,
`b_MIN_MAX_BITS` an accuracy as (count - MIN); `list[T]` a length byte, then values packed without gaps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from blockzoo.nas.files.bits import WIDEST
from blockzoo.nas.files.columns import (
    ACCURACY,
    FLOATS,
    HASH,
    LARGEST_MILLIONTHS,
    MILLIONTHS,
    TEXT,
    VECTOR,
    WHOLE,
    Column,
    accuracy_total,
)
from blockzoo.nas.files.errors import DamagedFile, describe

_ACCURACY = re.compile(r"b_(\d{1,6})_(\d{1,6})_(\d{1,2})")
WIDTHS = {HASH: 128, WHOLE: 32, MILLIONTHS: 24, VECTOR: 24, TEXT: 0}
VECTOR_LENGTH = 15
LONGEST = 255


@dataclass(frozen=True)
class ColumnType:
    """How one column lies in a row.

    Args:
        kind: see `Column`.
        width: bits of one value; 0 for text.
        is_list: a length byte and that many values.
        low, high: least and greatest count of an accuracy.
    """

    kind: str
    width: int
    is_list: bool = False
    low: int = 0
    high: int = 0

    @property
    def variable(self) -> bool:
        """Does its size differ from row to row?"""
        return self.is_list or self.kind == TEXT

    @property
    def least_bytes(self) -> int:
        """Bytes of the smallest value."""
        return 1 if self.variable else -(-self.width // 8)

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest value."""
        if self.kind == TEXT:
            return 1 + LONGEST
        return 1 + -(-LONGEST * self.width // 8) if self.is_list else -(-self.width // 8)

    @property
    def text(self) -> str:
        """As a header writes it."""
        name = f"b_{self.low}_{self.high}_{self.width}" if self.kind == ACCURACY else self.kind
        return f"list[{name}]" if self.is_list else name

    def published_bits(self, count: int) -> int:
        """What the bit count at the start of a payload counts for `count` values (characters of text)."""
        if not self.variable:
            return 8 * self.least_bytes
        bits = 8 + count * (8 if self.kind == TEXT else self.width)
        return bits + bits % 8 if self.is_list else bits


def parse_type(name: str, text: object) -> ColumnType:
    """The type that a header states for the column `name`.

    Raises:
        DamagedFile: no type, or one that cannot be.
    """
    if not isinstance(text, str):
        raise DamagedFile(f"column {name!r} has no type in its header")
    is_list = text.startswith("list[") and text.endswith("]")
    inner = text[5:-1] if is_list else text
    if match := _ACCURACY.fullmatch(inner):
        low, high, width = map(int, match.groups())
        if not (low <= high <= accuracy_total(name) and 0 <= width <= WIDEST and (is_list or width % 8 == 0)):
            raise DamagedFile(f"column {name!r} has the impossible type {text!r}")
        return ColumnType(ACCURACY, width, is_list, low, high)
    if inner not in WIDTHS or (is_list and inner in (TEXT, HASH, VECTOR)):
        raise DamagedFile(f"column {name!r} has the unknown type {describe(text)}")
    return ColumnType(inner, WIDTHS[inner], is_list)


def type_of(name: str, column: Column) -> ColumnType:
    """The type with which a column can be written.

    Raises:
        DamagedFile: the format cannot hold these values; the message names the column and the reason.
    """
    if column.kind == FLOATS:
        raise DamagedFile(_refusal(name, column))
    if column.kind != ACCURACY:
        if column.kind == VECTOR and column.data.shape[1:] != (VECTOR_LENGTH,):
            raise DamagedFile(f"column {name!r}: .blox holds vectors of three cells of two nodes only")
        return ColumnType(column.kind, WIDTHS[column.kind], column.is_list)
    if column.total != accuracy_total(name):
        raise DamagedFile(
            f"column {name!r} counts out of {column.total:,}; .blox knows {accuracy_total(name):,} only"
        )
    parts = [part for part in column.data if part.size] if column.ragged else [column.data]
    low = min((int(part.min()) for part in parts if part.size), default=0)
    high = max((int(part.max()) for part in parts if part.size), default=0)
    width = max(1, (high - low).bit_length())
    return ColumnType(ACCURACY, width if column.is_list else -(-width // 8) * 8, column.is_list, low, high)


def _refusal(name: str, column: Column) -> str:
    values = (
        np.concatenate([np.ravel(part) for part in column.data]) if column.ragged else column.data.ravel()
    )
    largest = LARGEST_MILLIONTHS / 1e6
    remedy = "write .native or .csv"
    if np.isnan(values).any():
        reason = "NaN"
    elif "top" in name:
        reason = f"accuracies that are no count of {accuracy_total(name):,} images"
        remedy += ", or round them (nas build --round)"
    elif values.size and (values.max() > largest or values.min() < 0):
        reason = f"{values.max() if values.max() > largest else values.min():g}, outside 0 to {largest}"
    else:
        reason = "numbers with more than six decimals"
    return f"column {name!r} holds {reason}, which .blox cannot: {remedy}"
