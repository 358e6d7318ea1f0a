"""The moment at which the seconds that were given for something are over."""

from __future__ import annotations

import math
import time

from blockzoo.core.began import began


class Deadline:
    """Counts from where it is made.

    Args:
        seconds: until it is reached; None for never.
        since: when it began to count, on the clock of `time.perf_counter` (default: now).
    """

    def __init__(self, seconds: float | None, since: float | None = None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._begin = time.perf_counter() if since is None else since

    @classmethod
    def of_command(cls, seconds: float | None) -> Deadline:
        """Counts from where the command began, torch's import included; outside of one from now.

        For what a user gave a whole command, and for nothing that it does many times.
        """
        return cls(seconds, began())

    def left(self) -> float:
        """Seconds until then; 0 afterwards."""
        return max(0.0, self.seconds - (time.perf_counter() - self._begin))

    @property
    def spent(self) -> float:
        """Share of the seconds that is over; 0 where there is no end."""
        return min(1.0, (time.perf_counter() - self._begin) / self.seconds) if self.seconds else 1.0
