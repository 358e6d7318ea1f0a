"""The source files of this package, and whether they still are what they were: a process started later would run others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from blockzoo.core.sources import HOME

LISTED = 3
"""Names of files in one sentence."""


class SourceFiles:
    """The Python files of a folder as they are when this is made.

    Args:
        folder: with all that is below it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamps = dict(self._files())
        self._contents = {path: _digest(path) for path in self._stamps}

    def changes(self) -> list[str]:
        """The files that are not as they were, each with what became of it; read only where size or time of change differ.

        Examples:
            `["core/spec.py changed", "core/new.py is new", "core/old.py is gone"]`
        """
        now = dict(self._files())
        changes = [f"{self._name(path)} is gone" for path in sorted(self._contents.keys() - now.keys())]
        for path in sorted(now):
            if path not in self._contents:
                changes.append(f"{self._name(path)} is new")
            elif now[path] != self._stamps[path] and _digest(path) != self._contents[path]:
                changes.append(f"{self._name(path)} changed")
            else:
                self._stamps[path] = now[path]
        return changes

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        for path in self._folder.rglob("*.py"):
            try:
                stat = path.stat()
            except OSError:  # it went meanwhile, or is an editor's link to nothing
                continue
            yield path, (stat.st_size, stat.st_mtime_ns)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


@cache
def own_sources() -> SourceFiles:
    """This package's, as they were when this process first asked: what it imported is of that time."""
    return SourceFiles(HOME)


def in_words(changes: list[str]) -> str:
    """Some of the changes, and how many more."""
    more = len(changes) - LISTED
    return ", ".join(changes[:LISTED]) + (f" and {more} more" if more > 0 else "")
