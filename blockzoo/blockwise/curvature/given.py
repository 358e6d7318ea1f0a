"""Curvature is taken of a copy: is the copy's loss that of the network and the loss function that were given?"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from blockzoo.blockwise.curvature.frozen_loss import FrozenLoss, dense_gradients, plain_kernels
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed, reason_of
from blockzoo.models.copying import plain_tensors
from blockzoo.models.forgetting import forget
from blockzoo.models.state import changed, left_as_it_is, state

TOLERANCE = 1e-4
"""Of the gradient of each parameter: the same operations on the same numbers, usually equal to the bit."""
NOISE = 10
"""Times what two copies differ by: kernels may add up in another order."""


@CHECKS.register("network-as-given")
def check_as_given(frozen: FrozenLoss, model: nn.Module) -> float:
    """The gradient of the copy, which has run before, with that of the network and the loss function that were given, in place,
    switched to evaluation once more and put back as it was, at parameters near by.

    Catches: a loss that reads the network's parameters (a penalty on weights) or what its last call left (one on activations), a
    network whose functions are bound to itself and not to its copy, weights that are prepared, merged or kept at a first call in
    evaluation mode: rows of zeros, and terms of the loss that would count as constants.

    Tolerance: 1e-4 of the gradient of each parameter, and ten times what two runs differ by. No parameter of the network itself
    may be within reach of the copy's loss.

    Cost: three gradients of all examples, each time a Hessian is made.
    """
    reasons = []
    for there in (frozen.elsewhere(len(frozen), wide=False), frozen):
        try:
            return _compared(frozen, model, there)
        except (CheckFailed, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a network does with other weights than its own
            reasons.append(reason_of(error))
    raise CheckFailed(f"check 'network-as-given' could not be made: {reasons[-1]}")


def _compared(frozen: FrozenLoss, model: nn.Module, there: FrozenLoss) -> float:
    """Both with the parameters that `there` has."""
    _refuse_reach(there, model)
    wanted, again = (_of_copy(frozen, there.model) for _ in range(2))
    with _in_place(frozen, model, there.model) as original:
        forgotten = _switched(original)
        gradients = _gradients(original)
    floor = torch.finfo(gradients[0].dtype).eps * float(torch.stack([g.norm() for g in wanted]).norm())
    worst = 0.0
    for one, other, own in zip(wanted, again, gradients, strict=True):
        spread = NOISE * float((one - other).norm())
        worst = max(
            worst, max(0.0, float((own - one).norm()) - spread) / max(float(one.norm()) + floor, 1e-300)
        )
    if not worst <= TOLERANCE:
        names = ", ".join(forgotten or [name for name, _ in plain_tensors(frozen.model)])
        raise CheckFailed(
            f"check 'network-as-given' failed: gradients of this network and of a copy of it differ by {worst:.1e} (relative). "
            + (
                f"It keeps {names} from one call for the next, made of the weights of then: drop that where weights change, or "
                "let the network return it to the loss"
                if names
                else "The loss, or the network, reads what belongs to the network that was given, or keeps what it made of "
                "earlier weights: let the network return what the loss needs"
            )
        )
    return worst


def _of_copy(frozen: FrozenLoss, values: nn.Module) -> list[torch.Tensor]:
    with _in_place(frozen, frozen.model, values) as copied:
        return _gradients(copied)


def _gradients(loss: FrozenLoss) -> list[torch.Tensor]:
    """By the parameters that are not frozen."""
    own = [p for p in loss.model.parameters() if p.requires_grad]
    with torch.enable_grad(), plain_kernels():
        return list(torch.autograd.grad(loss.loss(), own, materialize_grads=True))


def _refuse_reach(copied: FrozenLoss, model: nn.Module) -> None:
    """Of the loss of a copy nothing leads to the network itself."""
    names, parameters = zip(*((n, p) for n, p in model.named_parameters() if p.requires_grad), strict=True)
    with torch.enable_grad(), plain_kernels():
        value = copied.loss()
    if not value.requires_grad:
        return
    reached = torch.autograd.grad(
        value, parameters, retain_graph=True, allow_unused=True
    )  # a graph of the user's
    reaching = [name for name, g in zip(names, reached, strict=True) if g is not None]
    if reaching:
        more = f" and {len(reaching) - 3} more" if len(reaching) > 3 else ""
        raise CheckFailed(
            f"check 'network-as-given' failed: the loss of a copy of this network still depends on parameters of the network "
            f"itself ({', '.join(reaching[:3])}{more}), as by a penalty on weights in the loss, or by a function in the network "
            "that is bound to it; they would count as constants. Let the network return what the loss needs of its parameters"
        )


@contextmanager
def _in_place(frozen: FrozenLoss, model: nn.Module, like: nn.Module) -> Iterator[FrozenLoss]:
    """The loss of the network itself with the values of a copy; it is put back afterwards."""
    original = copy.copy(frozen)
    original.model = model
    with left_as_it_is(model):
        tensors = zip(
            (*model.parameters(), *model.buffers()), (*like.parameters(), *like.buffers()), strict=True
        )
        for own, value in tensors:
            own.data = value.detach().clone()
            own._backward_hooks = None
        dense_gradients(model)
        yield original


def _switched(given: FrozenLoss) -> list[str]:
    """To training and back; what it forgets by itself or can be made to forget.

    Returns:
        Where that was.
    """
    model = given.model
    before = state(model, copied=True)
    model.train()
    model.eval()
    if written := [n for n in changed(before, state(model)) if n in dict(model.named_parameters())]:
        raise CheckFailed(
            f"check 'network-as-given' failed: this network writes to {', '.join(written[:3])} when it is switched between "
            "training and evaluation (weights that are merged), so that the loss does not depend on what it is trained by; give "
            "one without"
        )
    dense_gradients(model)

    def run() -> None:
        with torch.no_grad():
            given.outputs()

    return forget(model, run)
