"""Write the pages of docs/reference/ anew: `python scripts/reference.py`.

Each page names public objects by the module that holds them; what is public is `__all__` of the packages. mkdocstrings puts
their docstrings there when the site is built.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
LENSES = {
    "isolate": "blockzoo",
    "nas": "blockzoo.nas",
    "blockwise": "blockzoo.blockwise",
    "tile": "blockzoo.tiling",
}
GUIDES = {"isolate": "isolate.md", "nas": "nas.md", "blockwise": "blockwise.md", "tile": "tiling.md"}
DOORS = "What to write to add one of a kind. How each is added, with an example that runs: [contributing](../contributing.md)."
ITSELF_ALONE = """    options:
      members: false
      show_root_heading: false
      show_root_toc_entry: false"""
EVERY_METHOD = """    options:
      show_if_no_docstring: true"""
EVERY_FIELD = (
    EVERY_METHOD
    + """
      filters: ["!^_"]"""
)
SPECS = {
    "blockzoo.core.quantity": ("Quantity", "OnPaper", "Specimen"),
    "blockzoo.core.spec": ("NetworkSpec", "TrialSpec"),
    "blockzoo.core.record": ("Record",),
}


def pages() -> dict[str, str]:
    """The text of each page, by its name without `.md`."""
    texts = {name: _page(name, _lead(name, package), _public(package)) for name, package in LENSES.items()}
    doors = [f"{place}\n{EVERY_METHOD}" for place in _contracts()]
    specs = [f"{place}\n{EVERY_FIELD}" for place in _specs()]
    return texts | {"doors": _page("Doors and specs", DOORS, [*doors, *specs])}


def _page(title: str, lead: str, places: Iterable[str]) -> str:
    directives = "\n".join(f"::: {place}" for place in places)
    return f"# {title}\n\n{lead}\n\n{directives}\n"


def _lead(name: str, package: str) -> str:
    """The package's own docstring, where its guide is, and the public names that are no function or class."""
    others = ", ".join(f"`{other}`" for other, obj in _objects(package).items() if not _has_a_place(obj))
    also = f"\n\nAlso public: {others}." if others else ""
    return f"`import {package}`. Guide: [{name}](../{GUIDES[name]}).\n\n::: {package}\n{ITSELF_ALONE}{also}"


def _public(package: str) -> list[str]:
    """Functions and classes among the public names, each as `module.name`."""
    return [_place(obj) for obj in _objects(package).values() if _has_a_place(obj)]


def _objects(package: str) -> dict[str, Any]:
    module = importlib.import_module(package)
    return {name: getattr(module, name) for name in sorted(module.__all__)}


def _has_a_place(obj: Any) -> bool:
    return inspect.isfunction(obj) or inspect.isclass(obj)


def _contracts() -> list[str]:
    contracts = importlib.import_module("blockzoo.contracts")
    named = (getattr(contracts, name) for name in contracts.__all__)
    return [_place(obj) for obj in named if inspect.isclass(obj)]


def _specs() -> list[str]:
    return [f"{module}.{name}" for module, names in SPECS.items() for name in names]


def _place(obj: Any) -> str:
    return f"{obj.__module__}.{obj.__qualname__}"


def main() -> None:
    """Write them."""
    for name, text in pages().items():
        (FOLDER / f"{name}.md").write_text(text)


if __name__ == "__main__":
    main()
