"""Locks between processes: a file that is held, never written. The kernel lets go of it when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blockzoo.core.errors import StoreError
from blockzoo.core.files import open_own


class Held(Exception):
    """Another process holds the lock."""


class Lock:
    """A lock that this process holds, until `release`.

    Args:
        path: the file; made if need be (in a folder that is there), and left as it is if not.
        shared: together with others that only look: nothing is made.
        wait: for the holder to let go.

    Raises:
        Held: another process has it, and `wait` is off.
        StoreError: the file cannot be had, or is a link to elsewhere.
    """

    def __init__(self, path: Path, *, shared: bool = False, wait: bool = False) -> None:
        self._descriptor = open_own(path, os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT)
        try:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(self._descriptor, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise Held(str(path)) from None
        except OSError as error:
            self.release()
            raise StoreError(f"{path} cannot be locked: {error.strerror}") from error

    def release(self) -> None:
        """Let others have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a lock within."""
    lock = Lock(path, shared=shared, wait=wait)
    try:
        yield
    finally:
        lock.release()
