"""Packages that only some things need, imported where these are asked for."""

from __future__ import annotations

import importlib
from types import ModuleType

from blockzoo.core.errors import UsageError


def needed(name: str, extra: str, what: str) -> ModuleType:
    """A package of an extra.

    Args:
        name: of the package, or of a module within.
        extra: that brings it.
        what: needs it, in the plural, for the error.

    Raises:
        UsageError: it is not installed; says how the extra is, here and in a checkout.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"{what} need {error.name or name}, which is not installed: pip install 'blockzoo[{extra}]' "
            f"(in a checkout: pip install -c constraints.txt -e '.[{extra}]')"
        ) from error
