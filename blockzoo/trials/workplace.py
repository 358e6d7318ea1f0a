"""A results folder that a sweep or a study works in: taken, rid of what a killed one left, and watched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.core.own_sources import own_sources
from blockzoo.core.settings import Run, Sweeping
from blockzoo.core.store import Store
from blockzoo.execution.contracts import EXECUTORS, ExecutorMaker
from blockzoo.execution.journal import Journal
from blockzoo.execution.progress import Progress
from blockzoo.execution.queue import collect, only_writer
from blockzoo.execution.watch import Watch


@dataclass(frozen=True)
class Workplace:
    """What a queue works with; `journal` is told what happens, and `watch` says when to stop."""

    outputs: Outputs
    store: Store
    journal: Journal
    watch: Watch


@contextmanager
def at_work(
    run: Run,
    sweeping: Sweeping,
    progress: Progress,
    request: dict[str, Any] | None = None,
    *,
    kind: str = "trial",
    keep_weights: bool = False,
) -> Iterator[Workplace]:
    """The results folder, this process's alone meanwhile.

    What a killed sweep had finished is stored first, and what it was asked, to stop say, forgotten.

    Args:
        run: where.
        sweeping: within which time.
        progress: told what happens.
        request: what `blockzoo sweep resume` starts it with again.
        kind: of the records that come out.
        keep_weights: see `collect`.

    Raises:
        StoreError: the folder cannot be written, or another process is writing to it.
    """
    outputs = Outputs.at(run.output)
    journal = Journal(progress, outputs, request, kind)
    watch = Watch(timeout=sweeping.timeout, cancel=outputs.cancel, tick=journal.tick, sources=own_sources())
    with only_writer(outputs), watch.hearing():
        store = outputs.store()
        collect(outputs, store, keep_weights=keep_weights)
        journal.close()  # of one that was killed here
        try:
            yield Workplace(outputs, store, journal, watch)
        finally:
            journal.close()


def executor_of(sweeping: Sweeping) -> ExecutorMaker:
    """What makes the executor that is asked for.

    Raises:
        UsageError: no such executor, or options that it does not take.
    """
    return partial(EXECUTORS[sweeping.executor], **_placing(sweeping))


def _placing(sweeping: Sweeping) -> dict[str, Any]:
    """The options of an executor that were given.

    Raises:
        UsageError: they are of another one, or cannot be.
    """
    by_executor: dict[str, dict[str, Any]] = {
        "ray": {"address": sweeping.address, "gpus": sweeping.gpus_per_trial},
        "slurm": {"options": sweeping.slurm or None},
    }
    for owner, options in by_executor.items():
        if owner != sweeping.executor and (wrong := [k for k, v in options.items() if v is not None]):
            raise UsageError(f"{', '.join(wrong)}: of --executor {owner}, not of {sweeping.executor}")
    gpus = sweeping.gpus_per_trial
    if gpus is not None and not (gpus < 1 or gpus.is_integer()):
        raise UsageError(f"gpus_per_trial {gpus:g}: give a fraction under 1, or a whole number")
    return {k: v for k, v in by_executor.get(sweeping.executor, {}).items() if v is not None}
