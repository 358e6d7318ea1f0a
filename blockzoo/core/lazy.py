"""Public names of a package that load on first use (PEP 562), so that importing the package loads no torch."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any


def lazy_names(
    package: str, places: Mapping[str, str], modules: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package.

    Args:
        package: the package's `__name__`.
        places: public name -> the module it is in; `.conv` is a module of the package itself.
        modules: modules of the package that are public names themselves.
    """

    def find(name: str) -> Any:
        if name in places:
            return getattr(importlib.import_module(places[name], package), name)
        if name in modules:
            return importlib.import_module(f".{name}", package)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places, *modules})

    return find, names
