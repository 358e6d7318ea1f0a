"""What a command shows while it works: a bar with the time that is left on a terminal, dated lines where there is none."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from blockzoo.cli import screen
from blockzoo.cli.screen import Screen
from blockzoo.core.progress import Task, heard_by
from blockzoo.core.units import duration

if TYPE_CHECKING:
    from typing import TextIO, TypeAlias

    from rich.progress import Progress, TaskID

    _Stream: TypeAlias = logging.StreamHandler[TextIO]
else:
    _Stream = logging.StreamHandler  # takes no parameter before Python 3.11

FIRST_S = 0.5
"""Seconds after which a command that has not ended says that it works."""
LINES_S = (3, 10, 30)
"""And after which it says how far it is, where there is no terminal; then every minute."""
MINUTE_S = 60
LARGE = (
    "torch",
    "torchvision",
    "lightning",
    "timm",
    "onnxruntime",
    "onnx",
    "ray",
    "scipy",
    "sklearn",
    "matplotlib",
    "pandas",
)
"""Libraries that take seconds to import."""
BETWEEN_STEPS_S = 1.0
"""Seconds between two looks at work that nothing may run beside."""


def how_far(task: Task) -> str:
    """A task in words.

    Examples:
        >>> how_far(Task("training", 40, "epochs", done=12, began=time.monotonic() - 12))
        'training: 12 of 40 epochs, about 28 s left'
    """
    text = task.what
    if task.total and task.unit:
        text += f": {task.done:,.4g} of {task.total:,.4g} {task.unit}"
    elif task.share is not None:
        text += f": {task.share:.0%}"
    elif task.done:
        text += f": {task.done:,.0f} {task.unit}".rstrip()
    return text if task.left is None else f"{text}, about {duration(task.left)} left"


_lock = threading.RLock()
"""Held while something is shown, and while this process forks: a child inherits no half of a line."""
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Watch:
    """Shows the work of one command, from its beginning to its end.

    Args:
        name: of the command.
        quiet: nothing is shown.
    """

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        self._name, self._quiet = name, quiet
        self._began = self._looked = time.monotonic()
        self._tasks: list[Task] = []
        self._said = 0
        self._held = 0
        self._over = threading.Event()
        self._bars = _bars()
        self._rows: dict[Task, TaskID] = {}
        self._whole: TaskID | None = None
        self._ticker = threading.Thread(target=self._run, daemon=True, name="blockzoo-watch")
        self._hearing: AbstractContextManager[None] | None = None

    def __enter__(self) -> Watch:
        if not self._quiet:
            self._hearing = heard_by(self)
            self._hearing.__enter__()
            self._ticker.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._hearing is not None:
            self._hearing.__exit__(None, None, None)
            self._ticker.join()
            self._stop()

    def began(self, task: Task) -> None:
        """A piece of work begins."""
        with _lock:
            self._tasks.append(task)
            if self._bars is not None:
                self._rows[task] = self._bars.add_task(task.what, total=task.total, left="")
        self._look(task)

    def moved(self, task: Task) -> None:
        """It has come further."""
        self._look(task)

    def ended(self, task: Task) -> None:
        """It is over."""
        with _lock:
            self._tasks.remove(task)
            if self._bars is not None and task in self._rows:
                self._bars.remove_task(self._rows.pop(task))

    def hold(self) -> None:
        """Show nothing until `go_on`: somebody else shows this part."""
        with _lock:
            self._held += 1
            self._stop()

    def go_on(self) -> None:
        """Show again."""
        with _lock:
            self._held -= 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, nothing is shown."""
        self.hold()
        try:
            yield
        finally:
            self.go_on()

    def _run(self) -> None:
        while not self._over.wait(0.25):
            if not any(task.steady for task in self._tasks):
                self._tick()

    def _look(self, task: Task) -> None:
        """Between two steps of what is timed, once in a while: the ticker is silent then."""
        now = time.monotonic()
        if task.steady and now - self._looked > BETWEEN_STEPS_S:
            self._looked = now
            self._tick()

    def _tick(self) -> None:
        with _lock:
            passed = time.monotonic() - self._began
            if self._over.is_set() or self._held or passed < FIRST_S:
                return
            if self._bars is None:
                self._line(passed)
            else:
                self._draw(self._bars)

    def _draw(self, bars: Progress) -> None:
        if not bars.live.is_started:
            if not self._said:
                self._whole = bars.add_task(self._name, total=None, left="")
            self._said = 1
            bars.start()
        loading = "" if self._tasks else _loading()
        assert self._whole is not None
        bars.update(self._whole, description=f"{self._name}{': ' * bool(loading)}{loading}")
        for task, row in self._rows.items():
            left = "" if task.left is None else f"{duration(task.left)} left"
            bars.update(row, description=task.what, completed=task.done, total=task.total, left=left)
        bars.refresh()

    def _line(self, passed: float) -> None:
        due = [0, *LINES_S, *range(MINUTE_S, int(passed) + MINUTE_S, MINUTE_S)]
        number = sum(seconds <= passed for seconds in due)
        if number <= self._said:
            return
        tasks = "; ".join(map(how_far, self._tasks[-2:])) or _loading()
        since = (
            "begins" if not self._said else f"works for {duration(passed)}" + (f": {tasks}" if tasks else "")
        )
        self._said = number
        Screen(stderr=True, soft_wrap=True).print(f"{time.strftime('%H:%M:%S')}  {self._name} {since}")

    def make_way(self) -> None:
        """Take the bar away until it is drawn again."""
        self._stop()

    def _stop(self) -> None:
        if self._bars is not None and self._bars.live.is_started:
            self._bars.stop()


def _loading() -> str:
    """Which of the large libraries is being imported at this moment."""
    for library in LARGE:
        spec = getattr(sys.modules.get(library), "__spec__", None)
        if getattr(spec, "_initializing", False):
            return f"loading {library}"
    return ""


def _bars() -> Progress | None:
    """On the terminal that results go to, else on that of errors; None: there is none."""
    console = screen.out if screen.out.is_terminal else Screen(stderr=True)
    if not console.is_terminal:
        return None
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=console is screen.out,
    )


class AboveTheBar(_Stream):
    """Messages of a log on the standard error, where they do not run into a bar: it goes, and comes again."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        with _lock:
            for watch in _now:
                watch.make_way()
            super().emit(record)


_now: list[Watch] = []
"""That of the command that runs."""


def watching(name: str, *, quiet: bool) -> Watch:
    """Within, the work of that command is shown."""
    watch = Watch(name, quiet=quiet)
    _now[:] = [watch]
    screen.around_results[:] = [watch.held]
    return watch


def hold() -> None:
    """A display of one's own begins."""
    for watch in _now:
        watch.hold()


def go_on() -> None:
    """It is over."""
    for watch in _now:
        watch.go_on()
