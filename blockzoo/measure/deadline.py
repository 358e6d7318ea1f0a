"""The moment at which the seconds that were given for something are over."""

from __future__ import annotations

import math
import time


class Deadline:
    """Counts from where it is made.

    Args:
        seconds: until it is reached; None for never.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._begin = time.perf_counter()

    def left(self) -> float:
        """Seconds until then; 0 afterwards."""
        return max(0.0, self.seconds - (time.perf_counter() - self._begin))

    @property
    def spent(self) -> float:
        """Share of the seconds that is over; 0 where there is no end."""
        return min(1.0, (time.perf_counter() - self._begin) / self.seconds) if self.seconds else 1.0
