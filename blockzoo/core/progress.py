"""How far long work has come: what works says it here, and whoever shows it listens. Without a listener nothing happens."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

Item = TypeVar("Item")


@dataclass(eq=False)
class Task:
    """A piece of work.

    Args:
        what: it is, in a word or two.
        total: how much there is to do; None where nobody knows.
        unit: of the amounts, as "epochs"; "": parts of it are no numbers that mean something.
        steady: something is timed, so that nothing else may run beside it: it is shown between two steps only.
        done: of the total.
        began: in seconds of the monotonic clock.
    """

    what: str
    total: float | None = None
    unit: str = ""
    steady: bool = False
    done: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def at(self, done: float) -> None:
        """So much is done."""
        self.done = done
        _listener.moved(self)

    def advance(self, by: float = 1) -> None:
        """So much more is done."""
        self.at(self.done + by)

    def now(self, what: str, total: float | None = None, unit: str = "") -> None:
        """What is done from here on, from the beginning."""
        self.what, self.total, self.unit = what, total, unit
        self.done, self.began = 0.0, time.monotonic()
        _listener.moved(self)

    @property
    def share(self) -> float | None:
        """Of it that is done."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def left(self) -> float | None:
        """Seconds that are left, if it goes on as it went; None where that cannot be said yet."""
        if not self.share:
            return None
        return (time.monotonic() - self.began) * (1 / self.share - 1)


class Listener(Protocol):
    """Hears of work."""

    def began(self, task: Task) -> None: ...

    def moved(self, task: Task) -> None: ...

    def ended(self, task: Task) -> None: ...


class Nobody:
    """The listener that hears nothing."""

    def began(self, task: Task) -> None: ...

    def moved(self, task: Task) -> None: ...

    def ended(self, task: Task) -> None: ...


_listener: Listener = Nobody()


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Within, work is shown by that listener."""
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


@contextmanager
def working(what: str, total: float | None = None, unit: str = "", *, steady: bool = False) -> Iterator[Task]:
    """Within, that piece of work is done; see `Task`.

    Examples:
        >>> with working("adding", 3, "numbers") as task:
        ...     for number in (1, 2, 3):
        ...         task.advance()
        >>> task.share
        1.0
    """
    task = Task(what, total, unit, steady)
    _listener.began(task)
    try:
        yield task
    finally:
        _listener.ended(task)


def followed(items: Iterable[Item], what: str, total: float, unit: str = "") -> Iterator[Item]:
    """Items one by one, each done when the next is asked for."""
    with working(what, total, unit) as task:
        for item in items:
            yield item
            task.advance()
