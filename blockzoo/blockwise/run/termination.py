"""SIGTERM as an exception, so that a run that is ended says so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(Exception):
    """SIGTERM came."""


@contextmanager
def terminated_is_an_exception() -> Iterator[None]:
    """Within, SIGTERM ends the run as an interruption would: with a status that says so."""

    def end(number: int, frame: Any) -> None:
        raise Terminated("ended by SIGTERM")

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
