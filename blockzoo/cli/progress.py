"""The live progress bar of a sweep."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import Task as RichTask
from rich.text import Text

from blockzoo.cli import watch
from blockzoo.core.progress import Task, working
from blockzoo.core.record import Record
from blockzoo.core.units import duration
from blockzoo.execution.jobs import Job
from blockzoo.execution.progress import Planned


class _Remaining(TextColumn):
    """Time left, from the epochs done since the start."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: RichTask) -> Text:
        left = task.fields.get("left")
        return Text(f"{duration(left)} left" if left is not None else "", style="cyan")


class LiveProgress:
    """One bar over all trials, moved by every epoch, with the time that is left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counted]}"),
            TimeElapsedColumn(),
            _Remaining(),
            console=console,
            transient=not console.is_terminal,
        )
        self._task: Any = None
        self._before: Any = None
        self._epochs: dict[str, int] = {}
        self._total_epochs = 1
        self._trials = 0
        self.plan: dict[str, Any] = {}
        """What was planned last, as a row."""
        self._line: AbstractContextManager[Task] | None = None
        self._trained: Task | None = None
        self._began = time.monotonic()

    def __enter__(self) -> LiveProgress:
        if self._console.is_terminal:
            watch.hold()
        if not self._console.quiet:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end_line()
        self._bar.stop()
        if self._console.is_terminal:
            watch.go_on()

    def _end_line(self) -> None:
        if self._line is not None:
            self._line.__exit__(None, None, None)
        self._line = self._trained = None

    def _begin_line(self, what: str, total: float, unit: str) -> Task:
        """Without a terminal the command's watch says how far it is."""
        self._end_line()
        self._line = working(what, total, unit)
        return self._line.__enter__()

    def preparing(self, what: str, done: int, total: int) -> None:
        """What happens before the plan is made."""
        if self._before is None:
            self._before = self._bar.add_task(what, total=total, left=None, counted="networks")
            if not self._console.is_terminal:
                self._console.print(f"{what}: {total}", markup=False)
        self._bar.update(self._before, completed=done)

    def planned(self, plan: Planned, eta_seconds: float | None) -> None:
        """Say what is to do and how long it will take."""
        for task in (self._before, self._task):  # of this round, or of the one before
            if task is not None:
                self._bar.remove_task(task)
        self._before, self._epochs, self._trials = None, {}, len(plan.pending)
        done = len(plan.trials) - len(plan.pending)
        self.plan = {
            "trials": len(plan.trials),
            "done": done,
            "to_run": len(plan.pending),
            "workers": plan.workers,
        }
        self.plan |= {"threads": plan.threads, "estimated_s": eta_seconds}
        estimate = "" if eta_seconds is None else f", about {duration(eta_seconds)}"
        self._console.print(
            f"{len(plan.trials)} trials, {done} done already; {len(plan.pending)} to run, "
            f"{plan.workers} at a time with {plan.threads} thread(s) each{estimate}"
        )
        self._total_epochs = max(1, sum(trial.steps for trial in plan.pending))
        self._task = self._bar.add_task("training", total=self._trials, left=eta_seconds, counted="trials")
        self._began = time.monotonic()
        self._trained = self._begin_line("training", self._trials, "trials")

    def started(self, job: Job) -> None:
        """A trial has been given to a worker."""

    def progressed(self, job: Job, step: int, values: dict[str, float]) -> None:
        """An epoch is done."""
        self._epochs[job.stub.fingerprint] = step
        share = sum(self._epochs.values()) / self._total_epochs
        left = (time.monotonic() - self._began) * (1 / share - 1)
        self._bar.update(self._task, completed=min(share, 1) * self._trials, left=left)
        if self._trained is not None:
            self._trained.at(min(share, 1) * self._trials)

    def finished(self, record: Record) -> None:
        """A trial has a row; only what went wrong is worth a line."""
        if record.status != "ok":
            self._console.print(f"{record.status}: {record.subject}: {record.reason}", markup=False)

    def phase(self, name: str) -> None:
        """What happens after the training, or in the round that is planned next."""
        self._begin_line(name, 0, "")
        if self._task is None or not self._console.is_terminal:
            self._console.print(name, markup=False)
        if self._task is not None:
            self._bar.update(self._task, description=name, completed=self._trials, left=None)
