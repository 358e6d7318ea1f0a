"""Dataclasses as plain values of JSON, and back by the types of their fields: nothing that is read makes a type or runs code.

Numbers that JSON lacks are `{"number": "nan"}`, mappings whose keys are no texts are lists of pairs, arrays are lists within
lists. A field whose metadata say `saved=False` stays behind. Classes with `to_json` and `from_json` say themselves what they are.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from math import isfinite
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from blockzoo.core.documents import describe
from blockzoo.core.errors import BlockzooError, DataError, reason_of
from blockzoo.core.record import Record

NUMBER = "number"
BEHIND = {"saved": False}
"""Metadata of a field that is not saved: what holds live objects."""
SPECIAL = {"nan": float("nan"), "inf": float("inf"), "-inf": -float("inf")}
SEQUENCES = (list, tuple, set, frozenset, Sequence)


def to_plain(value: Any) -> Any:
    """Values that JSON has.

    Raises:
        DataError: a value of a type that cannot be saved.

    Examples:
        >>> to_plain({(1, 2): float("inf"), "b": None})
        [[[1, 2], {'number': 'inf'}], ['b', None]]
    """
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(value.tolist())
    if isinstance(value, str):
        return (
            value if value.isascii() else value.encode("utf-8", "replace").decode()
        )  # of bytes that are no text
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else {NUMBER: repr(float(value))}
    if hasattr(value, "to_json") and not isinstance(value, Record):
        return to_plain(value.to_json())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Exception):
        return reason_of(value)
    if isinstance(value, SimpleNamespace):
        return {name: to_plain(own) for name, own in vars(value).items()}
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in _saved(type(value))}
    if isinstance(value, Mapping):
        return _pairs(value)
    if isinstance(value, SEQUENCES):
        ordered = sorted(value) if isinstance(value, set | frozenset) else value
        return [to_plain(one) for one in ordered]
    raise DataError(f"a {type(value).__name__} cannot be saved as JSON")


def _pairs(value: Mapping[Any, Any]) -> Any:
    texts = all(isinstance(key, str) for key in value)
    if texts and set(value) != {NUMBER}:
        return {key: to_plain(own) for key, own in value.items()}
    return [[to_plain(key), to_plain(own)] for key, own in value.items()]


def _saved(kind: Any) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.init and field.metadata.get("saved", True)]


def from_plain(kind: Any, value: Any, name: str) -> Any:
    """The value of a type that `to_plain` made these plain values of.

    Args:
        kind: a type, as annotations have them.
        value: plain values.
        name: of the value, for the error.

    Raises:
        DataError: the values are not those of the type; the place is named.

    Examples:
        >>> from_plain(dict[tuple[int, int], float], [[[1, 2], {"number": "inf"}]], "costs")
        {(1, 2): inf}
        >>> from_plain(list[int], [1, "2"], "sizes")
        Traceback (most recent call last):
        blockzoo.core.errors.DataError: sizes[1] is to be a whole number, not '2'
    """
    return _Reader().read(kind, value, name)


class _Reader:
    """Reads values by their types."""

    def __init__(self) -> None:
        self._variables: dict[Any, Any] = {}  # what stands for those of generic classes

    def read(self, kind: Any, value: Any, name: str) -> Any:
        kind = self._variables.get(kind, kind) if isinstance(kind, TypeVar) else kind
        origin = get_origin(kind)
        if kind in (Any, object):
            return _untyped(value)
        if origin in (Union, types.UnionType):
            return self._one_of(get_args(kind), value, name)
        if origin is Literal:
            return _checked(value in get_args(kind), value, name, " or ".join(map(repr, get_args(kind))))
        if kind in SCALARS:
            return SCALARS[kind](value, name)
        if (origin or kind) is np.ndarray:
            return _array(kind, value, name)
        return self._of_class(kind, origin or kind, value, name)

    def _of_class(self, kind: Any, origin: Any, value: Any, name: str) -> Any:
        if origin is Record or hasattr(origin, "from_json"):
            make: Callable[[Any], Any] = Record.of if origin is Record else origin.from_json
            return _made(make, (_untyped(value),), {}, name)
        if isinstance(origin, type) and issubclass(origin, Exception):
            return BlockzooError(SCALARS[str](value, name))
        if isinstance(origin, type) and issubclass(origin, SimpleNamespace):
            hints = _hints(origin)
            entries = _checked(isinstance(value, dict), value, name, "a table").items()
            return origin(
                **{key: self.read(hints.get(key, Any), own, f"{name}.{key}") for key, own in entries}
            )
        if is_dataclass(origin):
            return self._dataclass(kind, origin, value, name)
        if isinstance(origin, type) and issubclass(origin, tuple) and hasattr(origin, "_fields"):
            return self._named_tuple(origin, value, name)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._mapping(get_args(kind), value, name)
        if origin in SEQUENCES:
            return self._sequence(origin, get_args(kind), value, name)
        raise DataError(f"{name}: nothing that is saved has the type {kind}")

    def _one_of(self, kinds: Sequence[Any], value: Any, name: str) -> Any:
        if value is None and type(None) in kinds:
            return None
        fault = None
        for kind in kinds:
            if kind is not type(None):
                try:
                    return self.read(kind, value, name)
                except DataError as error:
                    fault = fault or error
        raise fault or DataError(f"{name} is to be nothing, not {describe(value)}")

    def _dataclass(self, kind: Any, origin: Any, value: Any, name: str) -> Any:
        self._variables |= dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
        values = _checked(isinstance(value, dict), value, name, "a table")
        own = {field.name: field for field in _saved(origin)}
        if unknown := sorted(set(values) - set(own)):
            raise DataError(f"{name} has no field {describe(unknown[0])}")
        needed = [n for n, f in own.items() if f.default is MISSING and f.default_factory is MISSING]
        if missing := [one for one in needed if one not in values]:
            raise DataError(f"{name} lacks the field {missing[0]!r}")
        hints = _hints(origin)
        read = {key: self.read(hints[key], one, f"{name}.{key}") for key, one in values.items()}
        return _made(origin, (), read, name)

    def _named_tuple(self, origin: Any, value: Any, name: str) -> Any:
        hints = _hints(origin)
        count = len(origin._fields)
        values = _checked(isinstance(value, list) and len(value) == count, value, name, f"a list of {count}")
        read = zip(origin._fields, values, strict=True)
        return origin(*(self.read(hints[key], one, f"{name}.{key}") for key, one in read))

    def _mapping(self, kinds: Sequence[Any], value: Any, name: str) -> Any:
        of_key, of_value = kinds or (Any, Any)
        if isinstance(value, list):
            pairs = [_checked(isinstance(p, list) and len(p) == 2, p, name, "a pair") for p in value]
        else:
            pairs = [*_checked(isinstance(value, dict), value, name, "a table").items()]
        return {
            self.read(of_key, key, f"{name}, a key"): self.read(of_value, own, f"{name}[{describe(key)}]")
            for key, own in pairs
        }

    def _sequence(self, origin: Any, kinds: Sequence[Any], value: Any, name: str) -> Any:
        values = _checked(isinstance(value, list), value, name, "a list")
        if origin is tuple and kinds and kinds[-1] is not Ellipsis:
            _checked(len(values) == len(kinds), value, name, f"a list of {len(kinds)}")
            each: Sequence[Any] = kinds
        else:
            each = [kinds[0] if kinds else Any] * len(values)
        read = [
            self.read(k, one, f"{name}[{i}]") for i, (k, one) in enumerate(zip(each, values, strict=True))
        ]
        return read if origin is Sequence else origin(read)


def _hints(kind: Any) -> dict[str, Any]:
    """The types of a class's fields; `types_by_name` has those that its module imports for types alone."""
    local_types = kind.types_by_name() if hasattr(kind, "types_by_name") else {}
    return typing.get_type_hints(kind, localns=local_types)


def _checked(holds: bool, value: Any, name: str, wanted: str) -> Any:
    if not holds:
        raise DataError(f"{name} is to be {wanted}, not {describe(value)}")
    return value


def _made(make: Callable[..., Any], values: tuple[Any, ...], named: Mapping[str, Any], name: str) -> Any:
    """What a class makes of its values; what it says of them stands behind their place."""
    try:
        return make(*values, **named)
    except (BlockzooError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{name}: {error}") from None


def _number(value: Any, name: str) -> float:
    if isinstance(value, dict) and set(value) == {NUMBER} and value[NUMBER] in SPECIAL:
        return SPECIAL[value[NUMBER]]
    holds = isinstance(value, int | float) and not isinstance(value, bool)
    return _checked(holds, value, name, "a number")  # type: ignore[no-any-return]


def _untyped(value: Any) -> Any:
    """Plain values as they are, but for numbers that JSON lacks."""
    if isinstance(value, dict):
        if set(value) == {NUMBER} and value[NUMBER] in SPECIAL:
            return SPECIAL[value[NUMBER]]
        return {key: _untyped(own) for key, own in value.items()}
    return [_untyped(one) for one in value] if isinstance(value, list) else value


def _array(kind: Any, value: Any, name: str) -> Any:
    """An array of numbers or truths in as many dimensions as there are lists in lists."""
    wanted = get_args(get_args(kind)[1])[0] if get_args(kind) else np.float64
    _checked(isinstance(value, list), value, name, "a list of numbers")
    try:
        array = np.array(_untyped(value))
    except ValueError:
        raise DataError(f"{name}: its lists are not of one length") from None
    fits = array.size == 0 or np.issubdtype(array.dtype, np.bool_) == (wanted is np.bool_)
    if not fits or (array.size and array.dtype.kind not in "bif"):
        raise DataError(
            f"{name} is to be {'truths' if wanted is np.bool_ else 'numbers'} in lists of one length"
        )
    return array.astype(wanted)


SCALARS: dict[Any, Callable[[Any, str], Any]] = {
    bool: lambda value, name: _checked(isinstance(value, bool), value, name, "true or false"),
    int: lambda value, name: _checked(type(value) is int, value, name, "a whole number"),
    float: _number,
    str: lambda value, name: _checked(isinstance(value, str), value, name, "a text"),
    type(None): lambda value, name: _checked(value is None, value, name, "null"),
    Path: lambda value, name: Path(_checked(isinstance(value, str), value, name, "a path")),
}
