"""When the command began that this process carries out: what a budget of time counts from.

A command loads torch after it has begun, which can take longer than what was asked of it. A function that a program calls counts
from the call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_BEGAN: ContextVar[float | None] = ContextVar("began", default=None)


@contextmanager
def command(age: float = 0.0) -> Iterator[None]:
    """Within, this process carries out one command.

    Args:
        age: seconds since it began, see `process_age`.
    """
    token = _BEGAN.set(time.perf_counter() - age)
    try:
        yield
    finally:
        _BEGAN.reset(token)


def began() -> float:
    """On the clock of `time.perf_counter`: when the command began; now, where there is none."""
    start = _BEGAN.get()
    return time.perf_counter() if start is None else start


def process_age() -> float:
    """Seconds since this process was started, Python's own start included; 0 where the system does not say."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        running = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, running - started / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
