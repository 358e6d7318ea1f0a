"""What studies of any lens share: they are read from a file, and run with the settings of a sweep."""

from __future__ import annotations

from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from blockzoo.core.checked import takes_several
from blockzoo.core.documents import check_fields, describe
from blockzoo.core.errors import UsageError
from blockzoo.core.keywords import RunKeywords, SweepingKeywords
from blockzoo.core.plugins import read_options

S = TypeVar("S")


class StudyKeywords(RunKeywords, SweepingKeywords, total=False):
    """The settings that a study is run with."""


def read_study(path: Path, kind: type[S]) -> S:
    """A study from its file, YAML or TOML.

    Args:
        path: of the file.
        kind: a dataclass; the file gives its fields by name, those of a field that is a dataclass within.

    Raises:
        UsageError, DataError: it cannot be read, or says something that such a study has not.
    """
    return _made(kind, read_options(path), str(path))


def _made(kind: type[S], said: object, where: str) -> S:
    if not isinstance(said, dict):
        raise UsageError(f"{where}: names and values are needed, not {describe(said)}")
    kinds, values = get_type_hints(kind), {name: value for name, value in said.items() if value is not None}
    for name in values.keys() & kinds:
        values[name] = _read(kinds[name], values[name], f"{where}: {name}")
    check_fields(kinds, values, where)
    try:
        return kind(**values)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _read(kind: Any, value: Any, where: str) -> Any:
    """A value as its field has it: a list as a tuple, names and values as a dataclass."""
    if is_dataclass(kind):
        return _made(kind, value, where)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) and takes_several(kind) else value
