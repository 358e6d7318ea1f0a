"""Gradient evaluations, counted where they happen: at the backward pass, or at a loss that forward mode differentiates.

What an engine says of itself does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch._C import _functorch as functorch
from torch.autograd import forward_ad
from torch.autograd.graph import register_multi_grad_hook

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

EVALUATIONS = "blockzoo: gradient evaluations"
"""In the metadata of a loss's place in the graph: how many a backward pass through it is."""
NOBODY = ""
"""Stands for backward passes that no worker has made, as a gradient by whose size an engine orders the blocks."""


class Spent:
    """Backward passes, by the label of the worker whose gradient they were.

    One that stacked workers share counts once for each of them, and one through several losses, or through the loss of several
    batches, once for each of these. `elsewhere` are those that came from no loss of the frame's criterion, and count once.
    """

    def __init__(self, passes: dict[str, int] | None = None) -> None:
        self.passes: Counter[str] = Counter(passes or {})
        self.elsewhere = 0

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


class CountedLoss:
    """A criterion whose losses say how many gradient evaluations a backward pass through them is: one for each batch of examples.

    Args:
        plain: (output, target) -> loss.
        batch_size: of the run.
    """

    def __init__(self, plain: Callable[[Any, torch.Tensor], torch.Tensor], batch_size: int) -> None:
        self.plain, self._batch_size = plain, batch_size

    def __call__(self, outputs: Any, y: Shaped[torch.Tensor, "N ..."]) -> Float[torch.Tensor, ""]:
        loss, batches = self.plain(outputs, y), max(1, -(-len(y) // self._batch_size))
        if (node := getattr(loss, "grad_fn", None)) is not None:
            node.metadata[EVALUATIONS] = batches
        if along := _directions(loss):
            _heard(along * batches)
        return loss


def _directions(loss: Any) -> int:
    """Along how many directions forward mode differentiates a loss; 0: it is a loss alone."""
    if forward_ad._current_level < 0 or not isinstance(loss, torch.Tensor):
        return 0
    tangent = forward_ad.unpack_dual(loss).tangent
    while tangent is None and functorch.is_functorch_wrapped_tensor(loss):
        loss = functorch.get_unwrapped(loss)
        tangent = forward_ad.unpack_dual(loss).tangent
    directions = int(tangent is not None)
    while tangent is not None and functorch.is_functorch_wrapped_tensor(tangent):
        inner = functorch.get_unwrapped(tangent)
        if functorch.is_batchedtensor(tangent):
            directions *= inner.shape[functorch.maybe_get_bdim(tangent)]
        tangent = inner
    return directions


def _evaluations_behind(roots: Sequence[Any]) -> int:
    """Of the losses that these were made of; a root is one itself, as a rule."""
    open_, seen, evaluations = [getattr(root, "grad_fn", None) for root in roots], set[Any](), 0
    while open_:
        node = open_.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        own = node.metadata.get(EVALUATIONS)
        evaluations += own or 0
        if own is None:
            open_ += [before for before, _ in node.next_functions]
    return evaluations


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
    if _ear.listening and not _ear.deaf:
        _heard(_evaluations_behind(args[0]))
    return _plain(*args, **options)


def _heard(evaluations: int) -> None:
    """Of a derivative; 0 evaluations: of no loss of the frame's criterion."""
    for spent in _ear.listening if not _ear.deaf else ():
        spent.elsewhere += not evaluations
        spent.passes.update(dict.fromkeys(_workers.get(), evaluations or 1))


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
        CheckFailed: they have seen more, or there were backward passes from no loss of the frame's criterion.
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
    record("counted-gradients", check_counted_gradients(spent.evaluations, seen, spent.elsewhere))


@CHECKS.register("counted-gradients")
def check_counted_gradients(counted: int, seen: int, elsewhere: int = 0) -> float:
    """The gradient evaluations that are counted in the first round of a run, with the backward passes that hooks on the network's
    parameters see, and with the losses that these passes came from.

    Catches: a way to a gradient that the counter does not hear of, as a version of torch might bring; a backward pass from
    something else than losses of the frame's criterion, of which nobody knows how many batches it stands for; and so an engine
    that seems to cost less than it does.

    Tolerance: none. More may be counted than seen: stacked workers share a pass, one pass goes through the losses of several
    batches, and copies of the network have no hooks.

    Cost: 4 us for each parameter tensor and backward pass, in the first round of a run.
    """
    if seen > counted:
        raise CheckFailed(
            f"check 'counted-gradients' failed: {seen} backward passes reached the network's parameters and {counted} were "
            "counted, so runs cannot be compared at equal cost with this version of torch"
        )
    if elsewhere:
        raise CheckFailed(
            f"check 'counted-gradients' failed: {elsewhere} backward passes came from no loss of frame.criterion, so nobody "
            "knows how many gradient evaluations they are; let the engine take its losses from frame.criterion or frame.loss"
        )
    return 0.0
