"""The loss of a batch: one number, a mean over its examples, from a network that may do as it likes with its input."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.utils.checkpoint
from torch import nn

from blockzoo.blockwise.run.data import Batch
from blockzoo.core.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Forward = Callable[[torch.Tensor], torch.Tensor]

MEAN_IS_NEEDED = "give the mean over the examples (reduction='mean'), so that learning rate and loss mean the same for any batch"
IGNORED = -100
"""A target that `cross_entropy` leaves out of its mean."""


def batch_loss(
    forward: Forward,
    criterion: Criterion,
    x: Float[torch.Tensor, "B ..."],
    y: Shaped[torch.Tensor, "B ..."],
) -> Float[torch.Tensor, ""]:
    """The loss of a batch; the network gets a copy of the inputs, which it may change in place.

    Raises:
        UsageError: as `loss_of`; or batch norms that a batch of one leaves without a variance.
    """
    try:
        outputs = forward(x.clone())
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            f"a batch of {len(x)} is too small for the batch norms of this network: give a larger batch size"
        ) from None
    return loss_of(criterion, outputs, y)


def loss_of(
    criterion: Criterion,
    outputs: Float[torch.Tensor, "B ..."],
    y: Shaped[torch.Tensor, "B ..."],
) -> Float[torch.Tensor, ""]:
    """The loss of a network's outputs.

    Raises:
        UsageError: it is not one number.
    """
    loss = criterion(outputs, y)
    if loss.numel() != 1:
        raise UsageError(f"the loss of {len(y)} examples has the shape {tuple(loss.shape)}: {MEAN_IS_NEEDED}")
    return loss.reshape(())


def adds_up(criterion: Criterion, y: Shaped[torch.Tensor, "B ..."]) -> bool:
    """Whether the loss of all examples is known to be the mean of those of parts, each by its number of examples.

    Of a loss of the user's own nobody knows: one with class weights, or that leaves examples out, divides by something else.
    """
    criterion = getattr(criterion, "plain", criterion)  # as of a frame
    if criterion is nn.functional.mse_loss:
        return True
    return criterion is nn.functional.cross_entropy and not bool((y == IGNORED).any())


def parts_of_loss(
    forward: Forward, criterion: Criterion, batches: Iterable[Batch]
) -> Iterator[tuple[Float[torch.Tensor, ""], int]]:
    """Losses and how many examples each stands for: weighted by these, they make the loss that one batch of all would have.

    Batch by batch where the losses add up; else of all outputs at once.

    Raises:
        UsageError: as `batch_loss` and `joined`.
    """
    batches = list(batches)
    if all(adds_up(criterion, y) for _, y in batches):
        for x, y in batches:
            yield batch_loss(forward, criterion, x, y), len(x)
        return
    outputs = joined([forward(x.clone()) for x, _ in batches])
    targets = torch.cat([y for _, y in batches])
    yield loss_of(criterion, outputs, targets), sum(len(x) for x, _ in batches)


def joined(parts: Sequence[Any]) -> Any:
    """Outputs of several batches as those of one: tensors, and tuples, lists and dicts of them.

    Raises:
        UsageError: anything else.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, torch.Tensor):
        return torch.cat(list(parts))
    if isinstance(first, Mapping):
        return {name: joined([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple | list):
        return [joined(values) for values in zip(*parts, strict=True)]
    raise UsageError(
        f"a network that returns a {type(first).__name__} and a loss of its own: give all examples as one batch"
    )


@torch.no_grad()
def check_mean(
    forward: Forward,
    criterion: Criterion,
    x: Float[torch.Tensor, "B ..."],
    y: Shaped[torch.Tensor, "B ..."],
) -> bool:
    """The loss of examples that are there twice is that of examples that are there once.

    Returns:
        Whether these tell: a loss of 0, or none, of examples that it leaves out, is the same twice.

    Raises:
        UsageError: it is twice as large, a sum; or as `batch_loss` and `no_broadcasts`.
    """
    with no_broadcasts():
        once = batch_loss(forward, criterion, x, y)
        twice = batch_loss(forward, criterion, torch.cat([x, x]), torch.cat([y, y]))
    if torch.isclose(twice, 2 * once, rtol=1e-2) and not torch.isclose(twice, once, rtol=1e-1):
        raise UsageError(f"the loss is a sum over the examples: {MEAN_IS_NEEDED}")
    return bool(once.isfinite()) and bool(once)


@contextmanager
def no_broadcasts() -> Iterator[None]:
    """Within, a loss that compares every output with every target is refused, where torch only warns.

    Raises:
        UsageError: outputs (N, 1) and targets (N,), or the like.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Using a target size")
        try:
            yield
        except UserWarning as warning:
            if "Using a target size" not in str(warning):
                raise
            raise UsageError(
                f"targets and outputs differ in shape, so that each is compared with all: {' '.join(str(warning).split())}"
            ) from None


@contextmanager
def no_reentrant_checkpoints() -> Iterator[None]:
    """Within, a network that recomputes activations by reentrant checkpoints is refused.

    These run a backward pass within the backward pass, which gives no gradient to what `torch.autograd.grad` asks for, and zeros
    to all else.

    Raises:
        UsageError: a module calls `checkpoint(..., use_reentrant=True)`.
    """
    before = torch.utils.checkpoint.CheckpointFunction
    torch.utils.checkpoint.CheckpointFunction = _Refused  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        torch.utils.checkpoint.CheckpointFunction = before  # type: ignore[misc]


class _Refused:
    """Takes the place of torch's function."""

    @staticmethod
    def apply(*args: object) -> None:
        raise UsageError(
            "this network uses reentrant checkpoints, which give no gradients to single blocks: "
            "checkpoint(..., use_reentrant=False)"
        )
