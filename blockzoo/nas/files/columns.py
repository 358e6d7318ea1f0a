"""One column of a dataset, held small: hashes as 16 bytes, accuracies as counts, losses as millionths.

`values` are what people compute with: text, percent, floats, whole numbers, flat vectors. A column of lists is a matrix
(rows, values); lists of different lengths are an array of arrays. What has no exact small form stays as floats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.bounds import allowance, check_room
from blockzoo.core.errors import DataError
from blockzoo.nas.files.errors import DamagedFile, describe

Array = npt.NDArray[Any]

HASH, TEXT, WHOLE, MILLIONTHS, ACCURACY, VECTOR, FLOATS = (
    "hash",
    "str",
    "int",
    "float",
    "accuracy",
    "arch",
    "floats",
)
LARGEST_MILLIONTHS = (1 << 24) - 1


@dataclass(frozen=True)
class Column:
    """Values of one kind in their small form.

    Args:
        kind: `hash` uint8 (N, 16); `str` text (N,); `int` uint32; `float` uint32 millionths; `accuracy` uint16 counts of
            `total`; `arch` uint8 (N, coordinates); `floats` float64, for numbers without an exact small form.
        data: (N, ...) the small form; an object array of arrays where `ragged`.
        total: what an accuracy counts out of.
    """

    kind: str
    data: Array
    total: int = 0

    @property
    def ragged(self) -> bool:
        """Are these lists of different lengths?"""
        return self.data.dtype == object

    @property
    def is_list(self) -> bool:
        """Is each value a list?"""
        return self.kind not in (HASH, VECTOR) and (self.data.ndim == 2 or self.ragged)

    @property
    def values(self) -> Array:
        """The values in natural units: percent, floats, text."""
        if self.ragged:
            parts = [Column(self.kind, part, self.total).values for part in self.data]
            return as_objects(parts)
        if self.kind == HASH:
            raw = np.ascontiguousarray(self.data).tobytes().hex().encode()
            return np.frombuffer(raw, "S32").astype("U32")
        if self.kind == ACCURACY:
            return percent_of(self.data, self.total)
        if self.kind == MILLIONTHS:
            return np.round(self.data * 1e-6, 6)
        if self.kind == WHOLE:
            return self.data.astype(np.int64)
        return self.data

    def __len__(self) -> int:
        return len(self.data)

    def take(self, rows: Array) -> Column:
        """The column of these rows."""
        return Column(self.kind, self.data[rows], self.total)

    def same_as(self, other: Column) -> bool:
        """Equal values, whatever the small form."""
        a, b = self.values, other.values
        if a.dtype == object or b.dtype == object:
            return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
        return _equal(a, b)


def _equal(a: Any, b: Any) -> bool:
    """Equal shapes and values; NaN equals NaN."""
    one, other = np.asarray(a), np.asarray(b)
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f"))


def as_objects(parts: Sequence[Any]) -> Array:
    """An array of arrays, also where all have one length."""
    array = np.empty(len(parts), object)
    for place, part in enumerate(parts):
        array[place] = part
    return array


@cache
def percent_table(total: int) -> Array:
    """(total + 1,): the published percent of each count, rounded to three decimals."""
    table = np.array([round(count / total * 100, 3) for count in range(total + 1)])
    table.flags.writeable = False
    return table


def percent_of(counts: Array, total: int) -> Array:
    """Percent of counts.

    Raises:
        DamagedFile: a count above the total, which only a file made so can hold.
    """
    try:
        return percent_table(total)[counts]
    except IndexError:
        raise DamagedFile(f"an accuracy counts more than its {total:,} images") from None


def accuracy_total(name: str) -> int:
    """How many images the accuracy of this name counts out of, in published files."""
    return 45_000 if "train" in name else 5_000 if "val" in name else 10_000


def from_values(name: str, values: object) -> Column:
    """The smallest exact column of these values: lists, an array, or a column of a data frame.

    Raises:
        DamagedFile: values of no known kind.
    """
    if isinstance(values, Column):
        return values
    try:
        return _from_values(name, values)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DamagedFile(f"column {name!r} holds no text, numbers or lists of numbers") from None


def _from_values(name: str, values: Any) -> Column:
    if name == "arch_vec":
        return Column(VECTOR, _vectors(values))
    if name == "model_hash":
        return _from_hashes([str(v) for v in values])
    array = values if isinstance(values, np.ndarray) else _array(name, list(values))
    if array.dtype == object:
        if all(isinstance(v, str) for v in array):
            return text_column(name, array.tolist())
        return _from_ragged(name, array)
    if array.dtype.kind in "US":
        if array.ndim != 1:
            raise DamagedFile(f"column {name!r} holds lists of text")
        return Column(TEXT, array.astype(str))
    if array.dtype.kind not in "iuf" or array.ndim not in (1, 2):
        raise DamagedFile(
            f"column {name!r} holds {array.dtype} of {array.ndim} dimensions; text or numbers are needed"
        )
    return _from_numbers(name, array)


def text_column(name: str, texts: Sequence[str]) -> Column:
    """A column of text. NumPy makes all texts as long as the longest, so that one long cell is paid in every row.

    Raises:
        TooLarge: they would take far more memory than their characters.
    """
    longest, characters = max(map(len, texts), default=0), sum(map(len, texts))
    check_room(
        4 * longest * len(texts),
        allowance(characters),
        f"column {name!r}, with a text of {longest:,} characters,",
    )
    return Column(TEXT, np.array(texts, dtype=str))


def _array(name: str, values: list[Any]) -> Array:
    """Values as an array, of objects where they are text, or lists of different lengths."""
    if any(isinstance(v, str) for v in values):
        return as_objects(values)
    inner = (x for v in values if isinstance(v, list | tuple) for x in v)
    if any(isinstance(x, str | list | tuple | dict) for x in inner):
        raise DamagedFile(f"column {name!r} holds lists of something else than numbers")
    try:
        array = np.array(values)
    except ValueError:
        return as_objects(values)
    if array.dtype.kind not in "iufUS" and array.size:
        kinds = ", ".join(sorted({type(v).__name__ for v in values}))
        raise DamagedFile(f"column {name!r} holds {kinds}: text, numbers or lists of numbers are needed")
    return array


def _from_hashes(texts: list[str]) -> Column:
    joined = "".join(texts)
    try:
        if set(map(len, texts)) - {32} or joined != joined.lower() or (not joined.isalnum() and joined):
            raise ValueError
        return Column(HASH, np.frombuffer(bytes.fromhex(joined), np.uint8).reshape(-1, 16))
    except ValueError:
        bad = next((t for t in texts if len(t) != 32 or set(t) - set("0123456789abcdef")), "")
        raise DamagedFile(f"model_hash {describe(bad)}: 32 hexadecimal digits are needed") from None


def _from_numbers(name: str, array: Array) -> Column:
    if array.dtype.kind in "iu" and "top" not in name and array.ndim == 1:
        if array.size and (array.min() < 0 or array.max() >= 1 << 32):
            return Column(FLOATS, array.astype(np.float64))
        return Column(WHOLE, array.astype(np.uint32))
    floats = np.ascontiguousarray(array, np.float64)
    if "top" in name:
        counts = counts_of(floats, accuracy_total(name))
        if counts is not None:
            return Column(ACCURACY, counts, accuracy_total(name))
    millionths = millionths_of(floats)
    return Column(FLOATS, floats) if millionths is None else Column(MILLIONTHS, millionths)


def _from_ragged(name: str, array: Array) -> Column:
    """Lists of different lengths: one column of all their values, cut where each ends."""
    parts = [part if isinstance(part, list | tuple | np.ndarray) else [part] for part in array]
    flat = np.array([x for part in parts for x in part])
    if flat.dtype.kind not in "iuf" or flat.ndim != 1:
        raise DamagedFile(f"column {name!r} mixes kinds of values")
    whole = _from_numbers(name, flat)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return Column(whole.kind, as_objects(np.split(whole.data, ends)), whole.total)


def counts_of(percent: Array, total: int) -> Array | None:
    """Counts whose published percent these are, None unless all are."""
    return _exact(percent, total / 100, total, np.uint16, lambda counts: percent_table(total)[counts])


def millionths_of(floats: Array) -> Array | None:
    """Whole millionths equal to these numbers, None unless all are and fit 24 bits."""
    return _exact(floats, 1e6, LARGEST_MILLIONTHS, np.uint32, lambda n: np.round(n * 1e-6, 6))


def _exact(
    floats: Array,
    scale: float,
    largest: int,
    dtype: Any,
    back: Callable[[Array], Array],
    block: int = 1 << 16,
) -> Array | None:
    """`floats * scale` as whole numbers where `back` returns exactly the floats; worked off in blocks that stay in cache."""
    flat, whole = floats.reshape(-1), np.empty(floats.size, dtype)
    for start in range(0, flat.size, block):
        part = flat[start : start + block]
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.rint(part * scale)
        if not (scaled.min() >= 0 and scaled.max() <= largest):  # also False for NaN
            return None
        whole[start : start + block] = scaled
        if not np.array_equal(back(whole[start : start + block]), part):
            return None
    return whole.reshape(floats.shape)


def _vectors(values: Any) -> Array:
    try:
        array: Array = np.array([flat_vector(v) for v in values], np.int64)
    except (TypeError, ValueError, RecursionError, OverflowError):
        array = np.zeros(0)
    if array.ndim != 2 or (array.size and (array.min() < 0 or array.max() > 255)):
        raise DamagedFile(
            "arch_vec holds something else than cells of one shape, as [[op], [op, 0|1, 0|1, 0|1]]"
        )
    return array.astype(np.uint8)


def flat_vector(vector: Any) -> list[int]:
    """A vector by stage and node as one list of numbers."""
    return (
        [x for part in vector for x in flat_vector(part)]
        if isinstance(vector, list | tuple | np.ndarray)
        else [vector]
    )
