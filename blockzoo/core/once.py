"""What one process does at a time: computing what several need of the cache, where the others wait; training a trial."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from blockzoo.core.errors import StoreError
from blockzoo.core.files import open_own
from blockzoo.core.places import cache_folder
from blockzoo.core.spec import fingerprint_of

T = TypeVar("T")


def made_once(path: Path, read: Callable[[], T | None], make: Callable[[], T]) -> T:
    """What `read` finds at `path`; where it finds nothing, what `make` makes and puts there, one process at a time.

    A process that dies while it makes it leaves it to the next. Where the folder cannot be written each makes its own.
    """
    value = read()
    if value is not None:
        return value
    with _one_at_a_time(path):
        value = read()  # another one may have made it meanwhile
        return make() if value is None else value


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    place = cache_folder() / "locks" / fingerprint_of(str(path.absolute()))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = open_own(place, os.O_RDWR | os.O_CREAT)
    except (OSError, StoreError):
        yield
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(lock)


@contextmanager
def only_trainer(checkpoint: Path) -> Iterator[None]:
    """A trial is trained by one process at a time: two would write one checkpoint.

    Args:
        checkpoint: of the trial, in its results folder.

    Raises:
        StoreError: another process trains it.
    """
    place = checkpoint.parent.parent / ".running"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = open_own(place, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StoreError(
            f"cannot write to {place.parent}: {error.strerror}; choose another --output"
        ) from error
    at = int(fingerprint_of(checkpoint.name), 16) >> 2  # one file has as many places as there are trials
    try:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
        except BlockingIOError:
            raise StoreError(
                f"another process is training this trial into {place.parent} ({checkpoint.stem}); wait for it, or choose "
                "another --output"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(lock)
