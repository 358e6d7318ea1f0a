"""The loss of a batch: one number, the mean over its examples, from a network that may do as it likes with its input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.utils.checkpoint

from blockzoo.core.errors import RequestError

Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Forward = Callable[[torch.Tensor], torch.Tensor]

MEAN_IS_NEEDED = "give the mean over the examples (reduction='mean'), so that step sizes and losses mean the same for any batch"


def batch_loss(forward: Forward, criterion: Criterion, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The loss of a batch; the network gets a copy of the inputs, which it may change in place.

    Raises:
        RequestError: it is not one number; or batch norms that a batch of one leaves without a variance.
    """
    try:
        loss = criterion(forward(x.clone()), y)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise RequestError(
            f"a batch of {len(x)} is too small for the batch norms of this network: give a larger batch size"
        ) from None
    if loss.numel() != 1:
        raise RequestError(
            f"the loss of {len(x)} examples has the shape {tuple(loss.shape)}: {MEAN_IS_NEEDED}"
        )
    return loss.reshape(())


@torch.no_grad()
def check_mean(forward: Forward, criterion: Criterion, x: torch.Tensor, y: torch.Tensor) -> None:
    """The loss of examples that are there twice is that of examples that are there once.

    Raises:
        RequestError: it is twice as large, a sum; or as `batch_loss`.
    """
    once = batch_loss(forward, criterion, x, y)
    twice = batch_loss(forward, criterion, torch.cat([x, x]), torch.cat([y, y]))
    if torch.isclose(twice, 2 * once, rtol=1e-2) and not torch.isclose(twice, once, rtol=1e-1):
        raise RequestError(f"the loss is a sum over the examples: {MEAN_IS_NEEDED}")


@contextmanager
def no_reentrant_checkpoints() -> Iterator[None]:
    """Within, a network that recomputes activations by reentrant checkpoints is refused.

    These run a backward pass within the backward pass, which gives no gradient to what `torch.autograd.grad` asks for, and zeros
    to all else.

    Raises:
        RequestError: a module calls `checkpoint(..., use_reentrant=True)`.
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
        raise RequestError(
            "this network uses reentrant checkpoints, which give no gradients to single blocks: "
            "checkpoint(..., use_reentrant=False)"
        )
