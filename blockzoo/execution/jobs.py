"""What an executor is given: jobs that carry the row to write should they die."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from blockzoo.core.errors import BlockzooError, OutOfMemory
from blockzoo.core.record import Record, Status, now


class Stopped(BaseException):
    """Raised by a job's report when the job is to end: what it has done is saved, and it leaves no record."""


Body = Callable[..., list[Record]]
"""What a job does: a function at the top of a module, so that another process finds it; its last argument is `report`."""


@dataclass(frozen=True)
class Job:
    """`function(**arguments, report=...)` returns the records of the job."""

    function: Body
    arguments: dict[str, Any]  # plain values only: they travel to another process
    stub: Record  # the row of the job if it does not live to write its own
    resumes: bool = (
        False  # it saves what it has done before each report, so it may be ended there and gone on with
    )

    @property
    def name(self) -> str:
        """What names the job's files."""
        return f"{self.stub.kind}-{self.stub.fingerprint}"


def outcome(job: Job, threads: int, report: Callable[[int, dict[str, float]], None]) -> list[Record]:
    """Run a job in this process; whatever goes wrong is a row with its reason.

    Raises:
        Stopped: by its report.
    """
    status: Status = "failed"
    try:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # for a torch that is loaded later
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        return job.function(**job.arguments, report=report)
    except Stopped:
        raise
    except BlockzooError as error:
        status = "out of memory" if isinstance(error, OutOfMemory) else "failed"
        reason = str(error)
    except MemoryError as error:
        status, reason = "out of memory", f"the processor's memory is full: {error}"
    except BaseException as error:
        if type(error).__name__ == "SIGTERMException":  # Lightning's: not the job's fault
            return [
                replace(job.stub, status="killed", reason="SIGTERM asked its process to end", timestamp=now())
            ]
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
    return [replace(job.stub, status=status, reason=reason, timestamp=now())]


class Listener(Protocol):
    """Hears what happens to jobs while they run."""

    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None: ...


class Silent:
    """The listener that does nothing."""

    def started(self, job: Job) -> None: ...

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None: ...
