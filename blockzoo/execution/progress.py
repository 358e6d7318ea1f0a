"""Who wants to hear how a sweep goes on, and who does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from blockzoo.core.record import Record
from blockzoo.execution.jobs import Listener, Silent


class Request(Protocol):
    """What a queue knows of something to run: a `TrialSpec`, or a block-wise run."""

    @property
    def subject(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def steps(self) -> int:
        """Epochs, or rounds."""
        ...

    @property
    def devices(self) -> int: ...

    @property
    def threads(self) -> int | None: ...

    def fingerprint(self) -> str: ...


class Planned(Protocol):
    """What is heard of a plan, see `queue.Plan`."""

    @property
    def trials(self) -> Sequence[Request]: ...

    @property
    def pending(self) -> Sequence[Request]: ...

    @property
    def workers(self) -> int: ...

    @property
    def threads(self) -> int: ...


class Progress(Listener, Protocol):
    """Hears of the plan, of every epoch and of every record."""

    def planned(self, plan: Planned, eta_seconds: float | None) -> None: ...

    def finished(self, record: Record) -> None: ...

    def phase(self, name: str) -> None: ...

    def preparing(self, what: str, done: int, total: int) -> None: ...


class SilentProgress(Silent):
    """A progress display that shows nothing."""

    def planned(self, plan: Planned, eta_seconds: float | None) -> None: ...

    def finished(self, record: Record) -> None: ...

    def phase(self, name: str) -> None: ...

    def preparing(self, what: str, done: int, total: int) -> None: ...
