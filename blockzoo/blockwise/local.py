"""The local problem of one block: K steps on its own parameters, all others fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from blockzoo.blockwise.data import Batch
from blockzoo.core.errors import Diverged, RequestError

Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Forward = Callable[[torch.Tensor], torch.Tensor]


def make_optimizer(name: str, parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """An optimiser of torch.optim by its name, in any case ("adamw"); "momentum" is SGD with momentum 0.9.

    Raises:
        RequestError: there is none of that name, or it cannot make one step after the other from a gradient.
    """
    if name.lower() == "momentum":
        return torch.optim.SGD(parameters, lr, momentum=0.9)
    known = {
        n.lower(): found
        for n, found in vars(torch.optim).items()
        if isinstance(found, type)
        and issubclass(found, torch.optim.Optimizer)
        and n not in ("Optimizer", "LBFGS", "SparseAdam", "Muon")
    }
    if name.lower() not in known:
        raise RequestError(f"optimizer {name!r}: choose momentum, {', '.join(sorted(known))}")
    return known[name.lower()](parameters, lr=lr)


@dataclass
class LocalResult:
    """What K local steps came to."""

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
    """One optimiser step per batch on the parameters of a block; no other parameter gets a gradient.

    Args:
        block: the parameters; `optimizer` holds them.
        forward: from inputs to outputs of the whole network.
        label: of the block, for the error.

    Raises:
        Diverged: a loss that is not finite.
    """
    reference = [p.detach().clone() for p in block] if proximal.weight > 0 else []
    losses, norm = [], 0.0
    for x, y in batches:
        loss = criterion(forward(x), y)
        value = float(loss.detach())
        if not abs(value) < float("inf"):
            raise Diverged(
                f"block {label}: the loss became {value:g}; try a smaller step size, or a proximal term"
            )
        losses.append(value)
        gradients = torch.autograd.grad(loss, list(block), materialize_grads=True)
        with torch.no_grad():
            squares = torch.zeros((), device=gradients[0].device)
            distance = torch.zeros((), device=gradients[0].device)
            for n, (p, g) in enumerate(zip(block, gradients, strict=True)):
                if reference:
                    away = p - reference[n]
                    g = g + proximal.weight * away
                    distance += away.square().sum()
                p.grad = g
                squares += g.square().sum()
            norm = float(squares.sqrt())
            solved = norm <= proximal.factor * proximal.weight * float(distance.sqrt())
            if reference and proximal.factor > 0 and len(losses) > 1 and solved:
                _clear(block)
                return LocalResult(losses, len(losses) - 1, norm, True)
        optimizer.step()
    _clear(block)
    return LocalResult(losses, len(losses), norm, False)


def _clear(block: Sequence[nn.Parameter]) -> None:
    for p in block:
        p.grad = None


@contextmanager
def only_trainable(model: nn.Module, block: Sequence[nn.Parameter]) -> Iterator[None]:
    """Within, gradients reach the parameters of one block only: the backward pass stops there."""
    before = [(p, p.requires_grad) for p in model.parameters()]
    inside = {id(p) for p in block}
    for p, _ in before:
        p.requires_grad_(id(p) in inside)
    try:
        yield
    finally:
        for p, was in before:
            p.requires_grad_(was)
