"""Which code of the user's own may run: what the user named, never what a file names.

A program in Python runs what it asks for. A command runs what stands on its command line, what BLOCKZOO_PLUGINS names and the
plugins of a trusted project; so do the processes it starts. Text that comes out of a file (a record, the parameters of a run, a
study) names code only where the user named that code too, in a program as on the command line.

What a Ray cluster answers runs here too, so its address is held to the same.

Code is known by its origin: the absolute path of a `.py` file, or the name of a module.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from blockzoo.core.errors import UsageError

_named: set[str] = set()
_closed = False  # of the process, not of a context: threads are held to it too
_FILE: ContextVar[str] = ContextVar("file", default="")


def name(origins: Iterable[str]) -> None:
    """The user asks for this code: it may run in this process from now on."""
    _named.update(origins)


def may_run(origin: str) -> bool:
    """Whether code may be imported: it was named, or its package was; or nothing holds this process to what was named."""
    if not (_closed or _FILE.get()):
        return True
    package = () if origin.endswith(".py") else (f"{prefix}." for prefix in _named)
    return origin in _named or any(origin.startswith(prefix) for prefix in package)


def check(origin: str) -> None:
    """Code is about to be imported.

    Raises:
        UsageError: a file names it, and the user did not.
    """
    if not may_run(origin):
        where = _FILE.get() or "what was read"
        raise UsageError(
            f"{where} names {origin}, which is code, and a file does not decide what runs here: "
            f"look at it, and if you want it to run, name it too: --plugin {origin}"
        )


def check_address(address: str | None) -> None:
    """A file names the Ray cluster that is to be joined: what a cluster answers are objects, and to read them runs code.

    Raises:
        UsageError: the user did not name it.
    """
    if address and address != os.environ.get("RAY_ADDRESS"):
        raise UsageError(
            f"{_FILE.get() or 'what was read'} names the Ray cluster {address}, whose answers can run code here, and a file does "
            f"not decide that: if you trust it, name it too: --address {address}"
        )


@contextmanager
def text_of(file: object) -> Iterator[None]:
    """Within, names are taken from a file: code runs only where it was named by the user too."""
    token = _FILE.set(str(file))
    try:
        yield
    finally:
        _FILE.reset(token)


@contextmanager
def only(origins: Iterable[str]) -> Iterator[None]:
    """Within, this process runs what was named: `origins`, and what `name` adds."""
    global _closed
    before, named = _closed, set(_named)
    close(origins)
    try:
        yield
    finally:
        _closed = before
        _named.clear()
        _named.update(named)


def granted() -> tuple[str, ...] | None:
    """What a process that is started for this one may run, for its `close`; None for anything."""
    return tuple(sorted(_named)) if _closed else None


def close(granted: Iterable[str] | None) -> None:
    """From now on this process runs `granted`, and what `name` adds; None holds it to nothing."""
    global _closed
    if granted is not None:
        _closed = True
        _named.update(granted)
