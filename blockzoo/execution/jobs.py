"""What an executor is given: jobs that carry the row to write should they die."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from blockzoo.core.errors import BlockzooError
from blockzoo.core.record import Record, now


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


def outcome(job: Job, threads: int, report: Callable[[int, dict[str, float]], None]) -> list[Record]:
    """Run a job in this process; whatever goes wrong is a row with its reason."""
    try:
        import torch

        torch.set_num_threads(threads)
        module, _, function = job.target.partition(":")
        records: list[Record] = getattr(importlib.import_module(module), function)(
            **job.arguments, report=report
        )
        return records
    except BlockzooError as error:
        reason = str(error)
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
    return [replace(job.stub, status="failed", reason=reason, timestamp=now())]


class Listener(Protocol):
    """Hears what happens to jobs while they run."""

    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None: ...


class Silent:
    """The listener that does nothing."""

    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None: ...
