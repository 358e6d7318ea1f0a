"""One process computes what several need of the cache; the others wait for it and then read."""

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
    found = read()
    if found is not None:
        return found
    with _one_at_a_time(path):
        found = read()  # another one may have made it meanwhile
        return make() if found is None else found


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
