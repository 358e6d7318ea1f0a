"""Values where they enter: of the type that a field or a parameter has, or a sentence that says what is needed."""

from __future__ import annotations

import inspect
import math
import numbers
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeGuard, Union, get_args, get_origin, get_type_hints

from blockzoo.core.errors import UsageError

WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False", NoneType: "None"}


def is_whole(value: object) -> TypeGuard[int]:
    """A whole number, of Python or numpy; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """A real number, of Python or numpy; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_types(made: Any) -> None:
    """Hold the fields of a dataclass to their annotations: numbers are numbers, texts texts, tuples tuples.

    Raises:
        UsageError: every field that is something else.
    """
    cls: Any = type(made)
    faults = [
        f"{name.replace('_', ' ')} {_shown(value)}: give {_in_words(kind)}"
        for name, kind in _kinds(cls).items()
        if not _fits(kind, value := getattr(made, name))
    ]
    if faults:
        raise UsageError("; ".join(faults))


def check_values(made: Any) -> None:
    """Hold the fields of a dataclass to their annotations: their types, and the limits that `Annotated` gives numbers.

    Raises:
        UsageError: every field that is something else, or beyond a limit.
    """
    check_types(made)
    cls: Any = type(made)
    faults = [
        f"{name.replace('_', ' ')} {_shown(getattr(made, name))}: give {_limits_in_words(limits)}"
        for name, limits in _limits(cls).items()
        if not all(_within(limits, part) for part in _parts(getattr(made, name)))
    ]
    if faults:
        raise UsageError("; ".join(faults))


def misfits(function: Callable[..., object], values: Mapping[str, Any]) -> list[str]:
    """A sentence on each of these keyword arguments that is not of the type which the function, or class, has for it."""
    try:
        parameters = inspect.signature(function, eval_str=True).parameters.items()
    except (NameError, TypeError, ValueError):  # annotations that mean nothing at run time, or none
        return []
    kinds = {name: p.annotation for name, p in parameters if p.annotation is not p.empty}
    return [
        f"{name} {_shown(value)}: give {_in_words(kinds[name])}"
        for name, value in values.items()
        if name in kinds and not _fits(kinds[name], value)
    ]


def path_of(value: object, what: str) -> Path:
    """A path given as a text or a path.

    Raises:
        UsageError: anything else.
    """
    if isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str):
        return Path(value)
    raise UsageError(f"{what} {_shown(value)}: give a path")


def not_counts(**values: object) -> list[str]:
    """A sentence on each that is no whole number of 1 or more."""
    return [
        f"{name} {_shown(value)}: give a whole number of 1 or more"
        for name, value in values.items()
        if not is_whole(value) or value < 1
    ]


def check_counts(**values: object) -> None:
    """These are whole numbers of 1 or more.

    Raises:
        UsageError: those that are not.
    """
    if faults := not_counts(**values):
        raise UsageError("; ".join(faults))


def texts_of(value: object, what: str, *, alone: bool = True) -> list[str]:
    """One text, where it may stand `alone`, or several.

    Raises:
        UsageError: anything else.
    """
    if isinstance(value, str):
        if not alone:  # its letters are not meant
            raise UsageError(f"{what} {_shown(value)}: give several texts, ({_shown(value)},)")
        return [value]
    try:
        several = list(value) if isinstance(value, Iterable) else [None]
    except TypeError:  # an array without a dimension
        several = [None]
    if not all(isinstance(text, str) for text in several):
        raise UsageError(f"{what} {_shown(value)}: give a text or several")
    return [str(text) for text in several]


@cache
def _limits(cls: type) -> dict[str, dict[str, float]]:
    """The limits of each field that has some, by their names in annotated_types."""
    hints = get_type_hints(cls, include_extras=True)
    by_name = {name: _limits_of(kind) for name, kind in hints.items() if name in cls.__dataclass_fields__}  # type: ignore[attr-defined]
    return {name: limits for name, limits in by_name.items() if limits}


def _limits_of(kind: Any) -> dict[str, float]:
    if get_origin(kind) is Annotated:
        names = ("ge", "gt", "le", "lt")
        return {n: getattr(one, n) for one in kind.__metadata__ for n in names if hasattr(one, n)}
    return {name: limit for part in get_args(kind) for name, limit in _limits_of(part).items()}


def _within(limits: Mapping[str, float], value: float) -> bool:
    holds = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
    return all(holds[name](value, limit) for name, limit in limits.items())


def _limits_in_words(limits: Mapping[str, float]) -> str:
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if high is None or math.isinf(high):
        return "a positive number" if "gt" in limits else f"{low:g} or more"
    return f"a number in {'(' if 'gt' in limits else '['}{low:g}, {high:g}{')' if 'lt' in limits else ']'}"


def _parts(value: Any) -> tuple[Any, ...]:
    return () if value is None else value if isinstance(value, tuple) else (value,)


@cache
def _kinds(cls: type) -> dict[str, Any]:
    return {name: kind for name, kind in get_type_hints(cls).items() if name in cls.__dataclass_fields__}  # type: ignore[attr-defined]


def _fits(kind: Any, value: object) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(one, value) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(get_args(kind)[0], part) for part in value)
    if kind in (int, float):
        return is_whole(value) if kind is int else is_number(value)
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)


def _in_words(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_in_words, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"a tuple of these ({_in_words(get_args(kind)[0])})"
    return WORDS.get(kind, f"a {getattr(kind, '__name__', 'value')}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
