"""Packages that only some things need, imported where these are asked for; and how one installs them."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

from blockzoo.core.errors import UsageError
from blockzoo.core.shipped import checkout


def needed(name: str, extra: str, what: str) -> ModuleType:
    """A package of an extra.

    Args:
        name: of the package, or of a module within.
        extra: that brings it.
        what: needs it, in the plural, for the error.

    Raises:
        UsageError: it is not installed; says how the extra is, see `how_to_install`.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"{what} need {error.name or name}, which is not installed: {how_to_install(extra)}"
        ) from error


def how_to_install(extra: str) -> str:
    """The command that installs an extra of this installation, from whatever folder it is typed in.

    The package is on no index, so its name alone would install nothing, or somebody else's. A checkout is named by its
    folder, with its tested versions; a wheel by its file, while that is there; else the packages of the extra are named.

    Args:
        extra: as in `[project.optional-dependencies]` of pyproject.toml.
    """
    if (root := checkout()) is not None:
        constraints = root / "constraints.txt"
        tested = f"-c {shlex.quote(str(constraints))} " if constraints.is_file() else ""
        return f"pip install {tested}-e {shlex.quote(f'{root}[{extra}]')}"
    if (wheel := _wheel()) is not None:
        return f"pip install {shlex.quote(f'{wheel}[{extra}]')}"
    return f"pip install {' '.join(map(shlex.quote, packages_of(extra)))}"


def packages_of(extra: str) -> list[str]:
    """What an extra asks for, as the metadata of the installed package have it; the extra's name where there are none.

    Args:
        extra: its name.
    """
    try:
        requirements = distribution("blockzoo").requires or []
    except PackageNotFoundError:
        requirements = []
    wanted = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    pairs = (line.partition(";") for line in requirements)
    return [name.strip() for name, _, marker in pairs if wanted.search(marker)] or [f"blockzoo[{extra}]"]


def _wheel() -> Path | None:
    """The wheel or source folder that the package was installed from, while it is there (PEP 610)."""
    try:
        origin = json.loads(distribution("blockzoo").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    address = urlsplit(str(origin.get("url", "")))
    path = Path(unquote(address.path))
    return path if address.scheme == "file" and path.exists() else None
