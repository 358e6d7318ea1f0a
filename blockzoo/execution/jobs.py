"""What an executor is given: jobs that carry the row to write should they die."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from blockzoo.core.record import Record


@dataclass(frozen=True)
class Job:
    """`target(**arguments, report=...)`, named "module:function", returns the records of the job."""

    target: str
    arguments: dict[str, Any]  # plain values only: they travel to another process
    stub: Record  # the row of the job if it does not live to write its own

    @property
    def name(self) -> str:
        """What names the job's files."""
        return f"{self.stub.kind}-{self.stub.fingerprint}"


class Listener(Protocol):
    """Hears what happens to jobs while they run."""

    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None: ...


class Silent:
    """The listener that does nothing."""

    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None: ...
