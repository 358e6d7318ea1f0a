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

from blockzoo.core.errors import SourcesChanged
from blockzoo.core.own_sources import SourceFiles, in_words

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
        sources: the files that jobs run, as they were at the start.
    """

    def __init__(
        self,
        *,
        timeout: float | None = None,
        silence: float = SILENCE,
        cancel: Path | None = None,
        tick: Callable[[], None] = lambda: None,
        sources: SourceFiles | None = None,
    ) -> None:
        self.timeout, self.silence, self._cancel, self._tick = timeout, silence, cancel, tick
        self.asked, self._said = False, False
        self._sources, self._changes = sources, list[str]()
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

    def may_start(self) -> bool:
        """Whether another job may be handed out: not once the files that it would run are others; says so once."""
        if self._sources is not None and not self._changes and (changes := self._sources.changes()):
            self._changes = changes
            log.warning("%s", self._why_none_is_started())
        return not self._changes

    def check_sources(self) -> None:
        """Nothing where no job was held back.

        Raises:
            SourcesChanged: `may_start` said that one must not be handed out.
        """
        if self._changes:
            raise SourcesChanged(self._why_none_is_started())

    def _why_none_is_started(self) -> str:
        return (
            f"the source of blockzoo is not what it was when this sweep began ({in_words(self._changes)}), so it starts nothing "
            "more: a sweep is of one source. What has finished is kept, and what runs goes on to its end. Run the same again to "
            "go on with the source as it is now; to work on the source meanwhile, run sweeps from a copy of it"
        )

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
