"""Faults on purpose, for tests: BLOCKZOO_FAULT=POINT:N[:ACTION] does something to a process that passes POINT the N-th time.

`BLOCKZOO_FAULT=file.synced:3` kills (SIGKILL) each process that is about to give its third file its name;
`file.written:1+:full` is a disk that is full from the first file on. Without the variable a point costs one look at a constant.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter

from blockzoo.core.errors import UsageError

VARIABLE = "BLOCKZOO_FAULT"
POINTS = {
    "file.made": "a temporary file is there, empty",
    "file.written": "its content is written, not yet durable",
    "file.synced": "it is durable, under its temporary name",
    "file.renamed": "it has its name",
    "line.appended": "a line is at the end of a file, not yet durable",
    "table.grown": "rows are in a results table, and the mark beside it does not know them yet",
    "store.inserted": "records are in the store's transaction, which is not committed",
    "store.committed": "they are durable",
    "queue.storing": "the supervisor is about to store a record",
    "queue.stored": "the supervisor has stored a record, and not yet cleared what the trial left",
    "queue.cleared": "its checkpoint is cleared, its spool file not yet",
}
"""Every write point and what holds there."""
ACTIONS = ("kill", "stop", "full", "denied")
"""SIGKILL, SIGSTOP, an error that says the disk is full, one that says it may not be written."""

_asked = os.environ.get(VARIABLE, "")
_passed: Counter[str] = Counter()


def point(name: str) -> None:
    """The process is at a write point."""
    if _asked:
        _pass(name)


def parsed(text: str) -> tuple[str, int, bool, str]:
    """Point, number, whether all later passings count too, and action of `POINT:N[+][:ACTION]`.

    Raises:
        UsageError: it is not that.
    """
    where, number, action, rest, *_ = [
        *text.split(":"),
        *(["kill"] if text.count(":") == 1 else []),
        "",
        "",
        "",
    ]
    if where not in POINTS or not number.removesuffix("+").isdigit() or action not in ACTIONS or rest:
        raise UsageError(
            f"{VARIABLE}={text}: give POINT:N or POINT:N:ACTION, where POINT is one of {', '.join(POINTS)}, "
            f"ACTION one of {', '.join(ACTIONS)}, and N+ means all from the N-th on"
        )
    return where, int(number.removesuffix("+")), number.endswith("+"), action


def _pass(name: str) -> None:
    where, number, onwards, action = parsed(_asked)
    if name != where:
        return
    _passed[name] += 1
    if _passed[name] != number and not (onwards and _passed[name] > number):
        return
    if action in ("kill", "stop"):
        os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
        return
    code = errno.ENOSPC if action == "full" else errno.EACCES
    raise OSError(code, os.strerror(code))
