"""blox.utils: nested lists, as scripts use them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def _is_nested(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def recursive_iter(seq: Any) -> Iterator[Any]:
    """The elements at the bottom of nested sequences, in order."""
    if not _is_nested(seq):
        yield seq
        return
    for part in seq:
        yield from recursive_iter(part)


def flatten(seq: Any) -> list[Any]:
    """The same as a list."""
    return list(recursive_iter(seq))


def copy_structure(data: Any, shape: Any) -> Any:
    """The elements of `data` in containers nested like those of `shape`."""
    elements = recursive_iter(data)

    def filled(part: Any) -> Any:
        return type(part)(filled(inner) for inner in part) if _is_nested(part) else next(elements)

    return filled(shape)


def freeze(seq: Any) -> Any:
    """Nested sequences as nested tuples, so that they can be keys."""
    return tuple(freeze(part) for part in seq) if _is_nested(seq) else seq


def count(seq: Iterable[Any]) -> int:
    """How many elements a stream has."""
    return sum(1 for _ in seq)


def get_first_n(seq: Iterable[Any], n: int) -> Iterator[Any]:
    """The first n elements of a stream."""
    return itertools.islice(seq, n)


def pairwise(seq: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Elements two by two, none twice."""
    stream = iter(seq)
    return zip(stream, stream, strict=False)


def get_total_point(ss: Any) -> int:
    """How many points a search space of these options has."""
    return math.prod(flatten(ss))


def make_nice_number(num: int) -> str:
    """Digits in groups of three."""
    return f"{num:,}"
