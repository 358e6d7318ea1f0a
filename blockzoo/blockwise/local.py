"""The local problem of one block: K steps on its own parameters, all others fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from blockzoo.blockwise.run.counting import on_behalf_of
from blockzoo.blockwise.run.data import Batch
from blockzoo.blockwise.run.losses import Criterion, Forward, batch_loss, no_reentrant_checkpoints
from blockzoo.core.errors import Diverged, UsageError

if TYPE_CHECKING:
    from jaxtyping import Float


def make_optimizer(name: str, parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """An optimiser of torch.optim by its name, in any case ("adamw"); "momentum" is SGD with momentum 0.9.

    Raises:
        UsageError: there is none of that name, or it cannot make one step after the other from a gradient.
    """
    if name.lower() == "momentum":
        return torch.optim.SGD([{"params": parameters}], lr, momentum=0.9)
    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        n.lower(): kind
        for n, kind in vars(torch.optim).items()
        if isinstance(kind, type)
        and issubclass(kind, torch.optim.Optimizer)
        and n not in ("Optimizer", "LBFGS", "SparseAdam", "Muon")
    }
    if name.lower() not in optimizers:
        raise UsageError(f"optimizer {name!r}: choose momentum, {', '.join(sorted(optimizers))}")
    return optimizers[name.lower()]([{"params": parameters}], lr=lr)  # a list alone may not be empty


@dataclass
class LocalResult:
    """What K local steps came to; one more loss than steps where the gradient of the last ended them early."""

    losses: list[float]
    steps: int
    gradient_norm: float
    stopped_early: bool


@dataclass(frozen=True)
class Proximal:
    """lambda/2 ||x - reference||^2, and when its local problem counts as solved. Free when lambda is 0.

    Args:
        weight: lambda.
        factor: the steps end once ||grad|| <= factor lambda ||x - reference||; 0 for never.
    """

    weight: float = 0.0
    factor: float = 0.0


NO_PROXIMAL = Proximal()


def local_steps(
    block: Sequence[nn.Parameter],
    forward: Forward,
    criterion: Criterion,
    batches: Sequence[Batch],
    optimizer: torch.optim.Optimizer,
    proximal: Proximal = NO_PROXIMAL,
    label: str = "",
) -> LocalResult:
    """One optimiser step per batch on the parameters of a block; no other parameter gets a gradient, nor a frozen one.

    Args:
        block: the parameters; `optimizer` holds them.
        forward: from inputs to outputs of the whole network.
        criterion: (output, target) -> mean loss.
        batches: (x, y), one for each step.
        optimizer: takes one step per batch.
        proximal: the term that keeps the block near to where it starts, and when the steps end early.
        label: of the worker whose gradients these are, for the counter and for errors.

    Raises:
        Diverged: a loss that is not finite.
        UsageError: as `batch_loss`.
    """
    block = [p for p in block if p.requires_grad]
    reference = [p.detach().clone() for p in block] if proximal.weight > 0 else []
    losses, norm = [], 0.0
    for x, y in batches if block else ():
        with no_reentrant_checkpoints(), torch.enable_grad():
            loss = batch_loss(forward, criterion, x, y)
            value = finite(float(loss.detach()), label)
            with on_behalf_of([label]):
                gradients = gradients_of(loss, block)
        losses.append(value)
        with torch.no_grad():
            squares = torch.zeros((), device=gradients[0].device)
            distance = torch.zeros((), device=gradients[0].device)
            for n, (p, g) in enumerate(zip(block, gradients, strict=True)):
                if reference:
                    away = p - reference[n]
                    g = g + proximal.weight * away
                    distance += squared_norm(away)
                p.grad = g
                squares += squared_norm(g)
            norm = float(squares.sqrt())
            solved = norm <= proximal.factor * proximal.weight * float(distance.sqrt())
            if reference and proximal.factor > 0 and len(losses) > 1 and solved:
                _clear(block)
                return LocalResult(losses, len(losses) - 1, norm, True)
        optimizer.step()
    _clear(block)
    return LocalResult(losses, len(losses), norm, False)


def finite(loss: float, label: str) -> float:
    """The loss of a block's worker.

    Raises:
        Diverged: it is not finite.
    """
    if not abs(loss) < float("inf"):
        raise Diverged(
            f"block {label}: the loss became {loss:g}; try a smaller learning rate, or a proximal term"
        )
    return loss


def gradients_of(loss: Float[torch.Tensor, ""], parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Dense gradients, one for each parameter; zero for those that the loss does not depend on."""
    if not loss.requires_grad:
        return [torch.zeros_like(p) for p in parameters]
    gradients = torch.autograd.grad(loss, list(parameters), materialize_grads=True)
    return [g.to_dense() if g.is_sparse else g for g in gradients]


def squared_norm(tensor: Float[torch.Tensor, ...]) -> Float[torch.Tensor, ""]:
    """The sum of squares, for numbers of 16 bits in single precision."""
    wide = tensor if tensor.element_size() > 2 else tensor.float()
    return wide.square().sum()


def _clear(block: Sequence[nn.Parameter]) -> None:
    for p in block:
        p.grad = None


@contextmanager
def only_trainable(model: nn.Module, block: Sequence[nn.Parameter]) -> Iterator[None]:
    """Within, gradients reach the parameters of one block only: the backward pass stops there. Frozen ones stay frozen."""
    before = [(p, p.requires_grad) for p in model.parameters()]
    inside = {id(p) for p in block}
    for p, was in before:
        p.requires_grad_(was and id(p) in inside)
    try:
        yield
    finally:
        for p, was in before:
            p.requires_grad_(was)
