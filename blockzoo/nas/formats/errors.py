"""What can be wrong with a dataset file."""

from __future__ import annotations

from typing import Any

from blockzoo.core.errors import DataError


class DamagedFile(DataError):
    """A dataset file is truncated, altered or not what its header says. `read` adds the path in front."""


def describe(value: Any) -> str:
    """A value of unknown size and kind, as a few characters."""
    if isinstance(value, str | int | float | bool | None):
        text = repr(value)
        return text if len(text) <= 40 else text[:37] + "..."
    return f"a {type(value).__name__}"
