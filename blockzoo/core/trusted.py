"""Projects whose plugins run without being named: only those that the user has trusted, as they were then.

`plugins = [...]` under `[tool.blockzoo]` of a pyproject.toml, in this folder or one above, is code of whoever wrote that file.
It runs once `blockzoo trust` has noted the path and a digest of all of it, in the user's configuration folder; after any change
it must be trusted again. What others than the user can write is never run from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blockzoo.core.errors import StoreError, UsageError
from blockzoo.core.files import write_text
from blockzoo.core.places import configuration_folder
from blockzoo.core.said import say_once


@dataclass(frozen=True)
class Project:
    """A project file, and the code it names: absolute `.py` files, and other names (of modules) with their files if found."""

    file: Path
    plugins: dict[str, Path | None]

    @property
    def files(self) -> dict[str, list[Path]]:
        """The files of each plugin: its own, and those of the user's own modules that it imports, directly or through others.

        Raises:
            UsageError: one is not there, or cannot be read.
        """
        from blockzoo.core.sources import own_files

        files = {}
        for plugin, path in self.plugins.items():
            try:
                files[plugin] = list(dict.fromkeys([*([path] if path else []), *own_files(plugin)]))
            except OSError as error:
                raise UsageError(f"{self.file}: plugin {plugin}: {error.strerror}") from error
        return files

    def digest(self) -> str:
        """Of the names of all plugins and of what is in their files.

        Raises:
            UsageError: one is not there, or cannot be read.
        """
        digest = hashlib.sha256()
        for plugin, files in self.files.items():
            try:
                contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
            except OSError as error:
                raise UsageError(f"{self.file}: plugin {plugin}: {error.strerror}") from error
            digest.update(json.dumps([plugin, *contents]).encode())
        return digest.hexdigest()

    def check_owner(self) -> None:
        """All of it is the user's own.

        Raises:
            UsageError: others can write to a file of it, or to a folder that it lies in.
        """
        for path in dict.fromkeys([self.file, *(path for files in self.files.values() for path in files)]):
            if place := writable_by_others(path):
                raise UsageError(
                    f"{self.file} names plugins, and others than you can write to {place}: nothing runs from there. "
                    "Change its owner and mode (chmod go-w), or name the files: --plugin"
                )


def noted() -> dict[str, str]:
    """The projects that are trusted: the path of each project file, and the digest.

    Raises:
        StoreError: the list cannot be read, or others can write to it.
    """
    place = _place()
    if not place.exists():
        return {}
    if open_place := writable_by_others(place):
        raise StoreError(
            f"{place} says what you trust, and others can write to {open_place}: it is not believed"
        )
    try:
        projects = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{place} cannot be read: {error}; remove it, and trust your projects again"
        ) from error
    if not isinstance(projects, dict) or not all(isinstance(v, str) for v in projects.values()):
        raise StoreError(f"{place} is no list of projects; remove it, and trust your projects again")
    return projects


def trust(project: Project) -> None:
    """Its plugins, as they are now, run in every command that is given in its folder.

    Raises:
        UsageError, StoreError: see `Project` and `noted`.
    """
    project.check_owner()
    _note({**noted(), str(project.file): project.digest()})


def forget(file: Path) -> bool:
    """Trust a project no more; whether it was."""
    projects = noted()
    was = projects.pop(str(file), None) is not None
    _note(projects)
    return was


def allowed(project: Project) -> bool:
    """Whether the plugins of a project run, which is said either way."""
    try:
        digest = noted().get(str(project.file))
        if digest is not None:
            project.check_owner()
            if digest == project.digest():
                say_once(f"plugins of {project.file}: {', '.join(project.plugins)}")
                return True
        why = "have changed since you trusted them" if digest else "are code that you have not trusted yet"
        say_once(
            f"the plugins of {project.file} ({', '.join(project.plugins)}) {why}: they do not run. "
            f"Look at them; then: blockzoo trust {project.file.parent}"
        )
    except (UsageError, StoreError) as error:
        say_once(str(error))
    return False


def writable_by_others(path: Path) -> Path | None:
    """The file, or the first folder above it, in which others than the user (and root) could put other content.

    In a folder with the sticky bit, such as /tmp, others cannot replace what is not theirs: it may hold folders, not the file.
    """
    path = path.resolve()
    for place in (path, *path.parents):
        if not place.exists():
            continue
        status = place.stat()
        shared = status.st_mode & stat.S_ISVTX and place not in (path, path.parent)
        if status.st_uid not in (0, os.getuid()):
            return place
        if status.st_mode & stat.S_IWOTH and not shared:
            return place
        if status.st_mode & stat.S_IWGRP and not shared and not _own_group(status.st_gid):
            return place
    return None


def _own_group(number: int) -> bool:
    """Whether a group is the user's alone, as many systems make one for each."""
    import grp
    import pwd

    try:
        me, group = pwd.getpwuid(os.getuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return number == me.pw_gid and group.gr_name == me.pw_name and not set(group.gr_mem) - {me.pw_name}


def _place() -> Path:
    return configuration_folder() / "trusted.json"


def _note(known: dict[str, Any]) -> None:
    _place().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(_place(), json.dumps(known, indent=2, sort_keys=True) + "\n")
