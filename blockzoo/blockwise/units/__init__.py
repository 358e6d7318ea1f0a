"""Measurement units (a door: one file each). What --units, or a line of the file that --units-file names, is made here.

A line is a name and its options: `coupling rank=4 batches=2`. `path/to/file.py:Class` and `package.module:Class` work as well.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blockzoo.blockwise.contracts import UNITS, MeasurementUnit
from blockzoo.core.arguments import misfits
from blockzoo.core.documents import decoded
from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import check_values


def read_units(path: Path) -> list[str]:
    """The lines of a file of units; what follows a # is a remark, commas at the end are nothing.

    A title that ends with a colon, and a dash before each unit, may be there.

    Raises:
        UsageError: it cannot be read, or names code that the user did not name.
        DataError: it is no text, or too long a one.
    """
    try:
        text = decoded(path.read_bytes(), f"units file {path}")
    except OSError as error:
        raise UsageError(f"units file {path} cannot be read: {error}") from None
    lines = [line.partition("#")[0].strip().rstrip(",;").strip() for line in text.splitlines()]
    units = [line.removeprefix("-").strip() for line in lines if line and not line.endswith(":")]
    check_values(units, path)
    return units


def make_units(lines: Sequence[str]) -> dict[str, MeasurementUnit]:
    """The units that lines name, by those names.

    Raises:
        UsageError: an unknown unit, an option that it does not have, or a value of another type.
    """
    units = {}
    for line in lines:
        try:
            name, *words = shlex.split(line)
            options = {
                key.replace("-", "_"): _plain(value) for key, value in (w.split("=", 1) for w in words)
            }
        except ValueError:
            raise UsageError(f"unit {line!r}: options are written name=value") from None
        maker = UNITS[name]
        if not (isinstance(maker, type) and callable(getattr(maker, "measure", None))):
            raise UsageError(f"unit {line!r}: {name} is no class with a method measure")
        if faults := misfits(maker, options):
            raise UsageError(f"unit {line!r}: {'; '.join(faults)}")
        try:
            units[name] = maker(**options)
        except TypeError as error:
            raise UsageError(f"unit {line!r}: {error}") from None
    return units


def _plain(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
