"""The door of executors: where the jobs of a sweep run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from blockzoo.core.registry import Registry

if TYPE_CHECKING:
    from blockzoo.core.record import Record
    from blockzoo.execution.jobs import Job, Listener
    from blockzoo.execution.watch import Watch


class Executor(Protocol):
    """Where jobs run."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """The records of each job in order of completion; a failing job is a record with its reason, never an exception.

        Raises:
            KeyboardInterrupt: its watch was asked to stop, and all that ran has ended. What was interrupted has no record.
        """
        ...


class ExecutorMaker(Protocol):
    """What makes an executor: a class, say. Options of its own are further keywords with defaults."""

    def __call__(
        self,
        spool: Path,
        *,
        workers: int,
        threads: int,
        devices: Sequence[str] = (),
        listener: Listener | None = None,
        watch: Watch | None = None,
    ) -> Executor:
        """What each executor is made from.

        Args:
            spool: folder for the records of finished jobs until they are stored.
            workers: jobs at a time.
            threads: threads of each.
            devices: accelerators to hand out in turn, one (or several with commas between them) per worker (empty: the CPU).
            listener: hears of starts and epochs.
            watch: limits of each job, and whether all are asked to stop.
        """
        ...


EXECUTORS: Registry[ExecutorMaker] = Registry("EXECUTORS", "executor", methods=("run",))
