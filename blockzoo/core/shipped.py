"""What comes with the package beside its code: examples and the citation file, from a checkout or a wheel."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from blockzoo.core.discovery import PACKAGE, first_sentence
from blockzoo.core.errors import UsageError
from blockzoo.core.files import write_text

KINDS = (".py", ".ipynb", ".yaml")
"""Suffixes of examples."""


@dataclass(frozen=True)
class Example:
    """A file to copy and change.

    Args:
        name: its folder and its file, as in `blockwise/own_unit.py`.
        sentence: what it shows.
        command: that runs it where it lies in the current folder; "" where it says none.
        path: where it lies.
    """

    name: str
    sentence: str
    command: str
    path: Path


@cache
def checkout() -> Path | None:
    """The checkout that the package lies in; None where it was installed from a wheel."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "setup.py").is_file() else None


def shipped(name: str) -> Path:
    """A file or folder that lies at the top of a checkout, and inside the package of a wheel (setup.py puts it there).

    Args:
        name: `examples` or `CITATION.cff`.

    Raises:
        UsageError: the package was put together without it.
    """
    root = checkout()
    path = PACKAGE / name if root is None else root / name
    if not path.exists():
        raise UsageError(f"{path} is not there: this installation lacks it; install the wheel anew")
    return path


def examples() -> list[Example]:
    """All of them, by name."""
    folder = shipped("examples")
    paths = sorted(path for path in folder.rglob("*") if path.suffix in KINDS)
    return [_example(path, path.relative_to(folder).as_posix()) for path in paths]


def example(name: str) -> Example:
    """The one of that name, of which the end is enough.

    Raises:
        UsageError: there is none, or several.
    """
    every = examples()
    same = [one for one in every if one.name == name]
    ending = same or [
        one for one in every if f"/{one.name}".removesuffix(one.path.suffix).endswith(f"/{_stem(name)}")
    ]
    if len(ending) != 1:
        near = ", ".join(one.name for one in (ending or every))
        raise UsageError(f"example {name!r}: {'say which of' if ending else 'there are'} {near}")
    return ending[0]


def copied(one: Example, folder: Path) -> Path:
    """The path of a copy in a folder, which is made where it is not there.

    Raises:
        UsageError: a file of that name is there already; it stays as it is.
        StoreError: the folder cannot be written.
    """
    path = folder / one.path.name
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already: name another folder with --output, or move it away")
    write_text(path, one.path.read_text(encoding="utf-8"))
    return path


def _stem(name: str) -> str:
    return next((name.removesuffix(kind) for kind in KINDS if name.endswith(kind)), name)


def _example(path: Path, name: str) -> Example:
    text = _said(path)
    lines = [line.strip() for line in text.splitlines()]
    command = next((line for line in lines if line.startswith(("blockzoo ", "python "))), "")
    return Example(name, first_sentence(text), command.replace(f"examples/{name}", path.name), path)


def _said(path: Path) -> str:
    """What a file says of itself: a docstring, the first cell of a notebook, the comment at the top."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return ast.get_docstring(ast.parse(text)) or ""
    if path.suffix == ".ipynb":
        source = json.loads(text)["cells"][0]["source"]
        return "".join(source).lstrip("# ")
    return "\n".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
