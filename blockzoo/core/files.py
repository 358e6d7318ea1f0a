"""Write a file so that a reader sees the old content or the new one, never a torn one; and nothing is written through a link.

A name that others can guess may be a link that they put there, to a file elsewhere. So temporary files have random names and
are made by whoever opens them, a file is replaced by renaming (which replaces a link, not what it leads to), and what is
appended to or locked is opened without following one.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from blockzoo.core import faults
from blockzoo.core.errors import StoreError


def write_atomically(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, make it durable, then rename it over `path`.

    What is not `durable` is whole for every reader, and may be missed after the machine itself has stopped.

    Raises:
        StoreError: the disk is full or the folder cannot be written; the old file is untouched.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # the suffix stays: matplotlib and others choose the format by it
        fresh = path.with_name(f".{path.stem[:100]}-{secrets.token_hex(8)}{path.suffix}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        temporary = fresh  # ours, to be removed
        if path.exists():
            os.fchmod(descriptor, path.stat().st_mode & 0o777)
        os.close(descriptor)
        faults.point("file.made")
        write(temporary)
        faults.point("file.written")
        if durable:
            _sync(temporary)
        faults.point("file.synced")
        temporary.replace(path)
        faults.point("file.renamed")
        if durable:
            _sync(path.parent)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; what was there is intact"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


UNFINISHED = re.compile(r"\.(?P<stem>.+)-[0-9a-f]{16}(?P<suffix>(\.[^.]+)?)")
"""The name of a file that `write_atomically` is filling."""


def clear_unfinished(*targets: Path) -> None:
    """Remove what a process that was killed left of its way to a file, or to any file of a folder; its writer must be gone."""
    for target in targets:
        for path, wanted in unfinished(target if target.is_dir() else target.parent):
            if target.is_dir() or wanted == target:
                path.unlink(missing_ok=True)


def unfinished(folder: Path) -> Iterator[tuple[Path, Path]]:
    """What is on its way to a file of a folder, or was left there, and that file."""
    for path in folder.glob(".*-*"):
        if (match := UNFINISHED.fullmatch(path.name)) and path.is_file():
            yield path, folder / f"{match['stem']}{match['suffix']}"


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """`write_atomically` for a text."""
    write_lines(path, [text], durable=durable)


def write_lines(path: Path, lines: Iterable[str], *, durable: bool = True) -> None:
    """The same for a text that comes in parts."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)

    write_atomically(path, write, durable=durable)


def append_text(path: Path, text: str) -> None:
    """Add a text at the end of a file, durable when this returns.

    Raises:
        StoreError: it cannot be written, or is a link to elsewhere.
    """
    try:
        with os.fdopen(open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            faults.point("line.appended")
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write to {path}: {error.strerror or error}") from error


def open_own(path: Path, flags: int) -> int:
    """A descriptor of the file of exactly this name, which is made if the flags say so.

    Raises:
        StoreError: it cannot be opened, or is a link, and what it leads to is elsewhere.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if path.is_symlink():
            raise StoreError(f"{path} is a link: nothing is written through it; remove it") from error
        raise StoreError(f"cannot open {path}: {error.strerror or error}") from error


def remove(path: Path) -> None:
    """Remove a file, a link (not what it leads to) or a folder with all in it, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
