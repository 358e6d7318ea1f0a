"""Does what a network gives in evaluation mode follow from its weights? Some merge branches at a first call, and keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed
from blockzoo.models.agreement import deviation, outputs, tensors
from blockzoo.models.surroundings import Surroundings

if TYPE_CHECKING:
    from jaxtyping import Float


TOLERANCE = 1e-4
"""Of the largest output. The same operations on the same numbers: usually the bits are equal."""
Build = Callable[[], nn.Module]
"""Makes the same network each time."""


@CHECKS.register("weights-followed")
def check_following(build: Build, images: Float[torch.Tensor, "B C H W"]) -> float:
    """A network that was evaluated, trained by one step and evaluated again, against one that has never run and is given what
    the first one's `state_dict()` holds.

    Catches: branches that are merged, or weights that are prepared, at a call in evaluation mode and kept while the weights
    change; a state outside of parameters and buffers (running averages as plain attributes), which no checkpoint holds.

    Tolerance: 1e-4 of the largest output. Nothing is shown by networks that differ between two calls by themselves.

    Cost: two networks are built; one training step and three passes of a few images: ResNet-18, two images of 3 x 32 x 32,
    0.8 s of one core (AMD EPYC), most of it drawing weights. Nothing for networks of this package, which the tests train.

    Args:
        build: makes the network, the same each time.
        images: a batch that it takes in training.

    Raises:
        CheckFailed: the message is a sentence about the network, without its name.
    """
    with torch.random.fork_rng(devices=[]):
        used = moved(build(), seed=1)
        around = Surroundings(used)  # some keep it where all networks of their class read it
        with torch.inference_mode():  # as trainers evaluate
            before = _seen(used, images)
        used.train()
        _step(used, images)
        state = used.state_dict()
        with torch.inference_mode():
            after = _seen(used, images)
        around.restore()
        wanted, again = _of_a_new_one(build, state, images)
        around.restore()
        difference = deviation(wanted, after)
        if deviation(wanted, again) > TOLERANCE:
            return 0.0
        if not difference <= TOLERANCE:
            raise CheckFailed(
                "does not follow its weights in evaluation mode: once it has been evaluated and trained, it gives something else "
                f"than another one with its parameters and buffers (relative difference {difference:.1e}). It keeps what it "
                "computed from earlier weights (drop that in train()), or what state_dict() does not hold (register a buffer)"
            )
        if _is_stuck(used, before, after):
            raise CheckFailed(
                "does not follow its weights in evaluation mode: it gives the same after a training step that changed them"
            )
        return difference


def follows_loaded_weights(build: Build, images: Float[torch.Tensor, "B C H W"]) -> bool:
    """Is a network what it is told to be by `load_state_dict` after it was evaluated, with no training in between?"""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        used, other = moved(build(), seed=1), moved(build(), seed=2)
        _seen(used, images)
        state = other.state_dict()
        used.load_state_dict(state, strict=False)
        wanted, again = _of_a_new_one(build, state, images)
        return deviation(wanted, again) > TOLERANCE or deviation(wanted, _seen(used, images)) <= TOLERANCE


@torch.no_grad()
def moved(module: nn.Module, seed: int) -> nn.Module:
    """`module` itself with noise on all parameters, in place, as an optimiser writes to them."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.is_floating_point() and parameter.numel():
            size = 0.1 * parameter.abs().mean() + 0.01
            noise = torch.randn(parameter.shape, generator=generator).to(parameter)
            parameter.add_(noise * size)
    return module


def _step(module: nn.Module, images: torch.Tensor) -> None:
    """A training step of no particular loss, which changes all parameters."""
    with torch.enable_grad():
        values = [y for _, y in tensors(module(images.clone())) if y.requires_grad]
        if values:
            torch.stack([y.float().sum() for y in values]).sum().backward()
    module.zero_grad()
    moved(module, seed=3)


def _seen(module: nn.Module, images: torch.Tensor) -> Any:
    return outputs(module.eval(), [images])


def _of_a_new_one(build: Build, state: dict[str, Any], images: torch.Tensor) -> tuple[Any, Any]:
    """What another network with these weights gives, in two calls."""
    fresh = build()
    fresh.load_state_dict(state, strict=False)
    with torch.inference_mode():
        return _seen(fresh, images), _seen(fresh, images)


def _is_stuck(module: nn.Module, before: Any, after: Any) -> bool:
    """The same to the bit though all weights are others: read from a place that all networks of the class share."""
    has_weights = any(p.is_floating_point() and p.numel() for p in module.parameters())
    pairs = zip(tensors(before), tensors(after), strict=True)
    return has_weights and all(torch.equal(one, other) and bool(one.any()) for (_, one), (_, other) in pairs)
