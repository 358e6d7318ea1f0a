"""What an executor looks at while jobs run: whether it is asked to stop, and how long a job may take or be silent."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

SILENCE = 60.0
"""Seconds without a sign of life after which a job counts as hung."""
BEAT = 1.0
"""Seconds between two signs of life of a job."""
ABSENCE = 5.0
"""Seconds between two looks beyond which this process itself was stopped: they count against no job."""


class Watch:
    """Made once for a sweep; all its executors look at it at least once a second.

    Ctrl-C, SIGTERM or the file `cancel` ask to stop: jobs go on to their next report, which for a training is the end of its
    epoch and saved. Asked once more, the sweep ends at once. Times are those of a clock that is never set back.

    Args:
        timeout: seconds that one attempt of a job may take; None for any.
        silence: see `SILENCE`.
        cancel: the file whose being there asks to stop.
        tick: called at each look.
    """

    def __init__(
        self,
        *,
        timeout: float | None = None,
        silence: float = SILENCE,
        cancel: Path | None = None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.timeout, self.silence, self._cancel, self._tick = timeout, silence, cancel, tick
        self.asked, self._said = False, False
        self._last = time.monotonic()

    def look(self) -> bool:
        """Whether the sweep is asked to stop; says so once."""
        self._tick()
        if self._cancel is not None and not self.asked and self._cancel.exists():
            self.asked = True
        if self.asked and not self._said:
            self._said = True
            log.warning(
                "stopping: what runs goes on to the end of its epoch, which is saved; once more ends it at once"
            )
        return self.asked

    def absent(self) -> float:
        """Seconds since the last call in which this process was stopped itself; 0 where it was not."""
        now, before = time.monotonic(), self._last
        self._last = now
        return now - before if now - before > ABSENCE else 0.0

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Within, SIGINT and SIGTERM ask to stop; only the main thread of a process hears them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
