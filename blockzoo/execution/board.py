"""What jobs on other machines say of themselves: where each is, that it lives, and how far it has come.

An actor of Ray that holds lines of each job: jobs write to it, their supervisor reads it. Lines are small, nobody waits.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from typing import Any

BEAT = 5.0
"""Seconds between two signs of life of a job."""


class Board:
    """The actor's class: `ray.remote(Board)`."""

    def __init__(self) -> None:
        self._lines: dict[str, list[tuple[Any, ...]]] = {}

    def write(self, job: str, line: tuple[Any, ...]) -> None:
        """A job says something."""
        self._lines.setdefault(job, []).append(line)

    def read(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that was said since the last call."""
        lines, self._lines = self._lines, {}
        return lines


class Pen:
    """What a job holds of the board: `report` says an epoch, and a thread says that the job lives."""

    def __init__(self, board: Any, job: str) -> None:
        self._board, self._job = board, job
        self._write(("place", platform.node(), os.getpid()))
        threading.Thread(target=self._live, daemon=True).start()

    def report(self, step: int, values: dict[str, float]) -> None:
        """An epoch is done."""
        self._write(("epoch", step, values))

    def _live(self) -> None:
        while True:
            time.sleep(BEAT)
            self._write(("lives",))

    def _write(self, line: tuple[Any, ...]) -> None:
        try:
            self._board.write.remote(self._job, line)
        except Exception:  # the board is gone with its supervisor; Ray ends this job
            pass
