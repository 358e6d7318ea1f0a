"""Gradient evaluations, counted where they happen: at the backward pass. What an engine says of itself does not count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch.autograd.graph import register_multi_grad_hook

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed

NOBODY = ""
"""Stands for backward passes that no worker has made, as a gradient by whose size an engine orders the blocks."""


class Spent:
    """Backward passes, by the label of the worker whose gradient they were.

    One that stacked workers share counts once for each of them.
    """

    def __init__(self, passes: dict[str, int] | None = None) -> None:
        self.passes: Counter[str] = Counter(passes or {})

    @property
    def evaluations(self) -> int:
        """Of all workers, and of nobody."""
        return sum(self.passes.values())

    def critical(self, sequential: bool) -> int:
        """One after the other, were every worker a machine of its own.

        Args:
            sequential: workers waited for each other.
        """
        return (sum if sequential else max)(self.each((), sequential))

    def each(self, labels: Sequence[str], sequential: bool) -> list[int]:
        """Of every worker that made any, these labels first and in this order. For what nobody made, all waited."""
        order = dict.fromkeys([*labels, *self.passes])
        by_worker = [self.passes[label] for label in order if label != NOBODY and self.passes[label]]
        first, *others = by_worker or [0]
        shared = self.passes[NOBODY]
        return [first + shared, *(count + (0 if sequential else shared) for count in others)]


class _Ear:
    """What this process listens for: one for all threads, for autograd has its own for each GPU."""

    def __init__(self) -> None:
        self.listening: list[Spent] = []
        self.deaf = 0


_ear = _Ear()
_workers: ContextVar[tuple[str, ...]] = ContextVar("workers", default=(NOBODY,))
_plain = torch.autograd._engine_run_backward  # type: ignore[attr-defined]
"""What torch.autograd.grad, backward and torch.func end in."""


def _run_backward(*args: Any, **options: Any) -> Any:
    for spent in () if _ear.deaf else _ear.listening:
        spent.passes.update(_workers.get())
    return _plain(*args, **options)


@contextmanager
def counted(into: Spent | None = None) -> Iterator[Spent]:
    """Within, every backward pass of this process is counted, whoever makes it and however it is called."""
    spent = Spent() if into is None else into
    if not _ear.listening:
        torch.autograd._engine_run_backward = _run_backward  # type: ignore[attr-defined]
    _ear.listening.append(spent)
    try:
        yield spent
    finally:
        del _ear.listening[next(n for n, one in enumerate(_ear.listening) if one is spent)]
        if not _ear.listening:
            torch.autograd._engine_run_backward = _plain  # type: ignore[attr-defined]


@contextmanager
def uncounted() -> Iterator[None]:
    """Within, nothing is counted: what a check does for itself is no cost of the way it checks."""
    _ear.deaf += 1
    try:
        yield
    finally:
        _ear.deaf -= 1


@contextmanager
def on_behalf_of(labels: Sequence[str]) -> Iterator[None]:
    """Within, a backward pass is one of each of these workers."""
    before = _workers.set(tuple(labels))
    try:
        yield
    finally:
        _workers.reset(before)


@contextmanager
def checked_by_hooks(
    parameters: Sequence[torch.Tensor], record: Callable[[str, float], None]
) -> Iterator[Spent]:
    """`counted`, and at the end compared with what hooks on these parameters have seen.

    Raises:
        CheckFailed: they have seen more.
    """
    seen = 0

    def gradient_came(gradient: torch.Tensor) -> None:
        nonlocal seen
        seen += not _ear.deaf

    handle = register_multi_grad_hook(parameters, gradient_came, mode="any")
    try:
        with counted() as spent:
            yield spent
    finally:
        handle.remove()
    record("counted-gradients", check_counted_gradients(spent.evaluations, seen))


@CHECKS.register("counted-gradients")
def check_counted_gradients(counted: int, seen: int) -> float:
    """The backward passes that are counted in the first round of a run, with those that hooks on the network's parameters see.

    Catches: a way to a gradient that the counter does not hear of, as a version of torch might bring, and so an engine that
    seems to cost less than it does.

    Tolerance: none. More may be counted than seen: stacked workers share a pass, and copies of the network have no hooks.

    Cost: 4 us for each parameter tensor and backward pass, in the first round of a run.
    """
    if seen > counted:
        raise CheckFailed(
            f"check 'counted-gradients' failed: {seen} backward passes reached the network's parameters and {counted} were "
            "counted, so runs cannot be compared at equal cost with this version of torch"
        )
    return 0.0
