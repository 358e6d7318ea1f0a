"""Several files that appear together: a process that is killed while it makes them leaves none, or what the next one finishes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blockzoo.core.errors import StoreError
from blockzoo.core.files import remove

MAKING, MADE = ".making", ".made"
"""Begin the names of hidden folders: files that are being written, and files that are whole and on their way."""


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """A folder to write files to, which come to `folder`, over those of their names, when this ends without an error.

    Raises:
        StoreError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        finish(folder)
        name = f"-{os.getpid()}-{secrets.token_hex(4)}"
        making = folder / f"{MAKING}{name}"
        making.mkdir()
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        yield making
    except BaseException:
        remove(making)
        raise
    making.replace(folder / f"{MADE}{name}")  # from here on they are whole, whatever happens
    finish(folder)


def finish(folder: Path) -> None:
    """Bring to their place what a killed process had made whole, and clear what it had not."""
    for finished in sorted(folder.glob(f"{MADE}-*")):
        for path in sorted(finished.iterdir()):
            path.replace(folder / path.name)
        finished.rmdir()
    for making in folder.glob(f"{MAKING}-*"):
        if not _is_running(making.name.split("-")[1]):
            remove(making)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True
