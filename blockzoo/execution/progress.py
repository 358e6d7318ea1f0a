"""Who wants to hear how a sweep goes on, and who does not."""

from __future__ import annotations

from typing import Protocol

from blockzoo.core.record import Record
from blockzoo.execution.jobs import Listener, Silent


class Progress(Listener, Protocol):
    """Hears of the plan, of every epoch and of every record."""

    def planned(self, plan: object, eta_seconds: float | None) -> None: ...

    def finished(self, record: Record) -> None: ...

    def phase(self, name: str) -> None: ...


class SilentProgress(Silent):
    """Progress that nobody looks at."""

    def planned(self, plan: object, eta_seconds: float | None) -> None: ...

    def finished(self, record: Record) -> None: ...

    def phase(self, name: str) -> None: ...
