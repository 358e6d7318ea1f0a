"""Branches that are trained side by side and run as one convolution, merged before a network is planned, run or exported.

By convention a module is merged by a method `fuse`, `reparameterize` or `switch_to_deploy` of its own. A name proves nothing:
only methods that can be called without arguments are tried, on a copy, and what they made is used where it computes the same.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import nn

from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import CheckFailed, UsageError, reason_of
from blockzoo.models.agreement import (
    Claim,
    compare,
    deviation,
    draw_constants,
    outputs,
    probes,
    random_statistics,
    replayed,
)
from blockzoo.models.copying import duplicate
from blockzoo.models.surroundings import Surroundings

log = logging.getLogger(__name__)

METHODS = ("fuse", "reparameterize", "switch_to_deploy")
"""What merges a module: it returns another one for its place, or changes itself. The first that a class has is called."""


def merging_method(module: nn.Module) -> str | None:
    """The name of the method that merges a module; None where it has no such method that can be called without arguments."""
    for name in METHODS:
        function = inspect.getattr_static(type(module), name, None)
        if inspect.isfunction(function) and name not in vars(module):
            _, *others = inspect.signature(function).parameters.values()
            if all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in others):
                return name
    return None


def mergeable(module: nn.Module) -> dict[type[nn.Module], str]:
    """The classes of modules in `module` that can be merged, each with the name of its method."""
    return {type(layer): name for layer in module.modules() if (name := merging_method(layer))}


def merge_branches(
    module: nn.Module, *, inplace: bool = False, only: Collection[type[nn.Module]] | None = None
) -> nn.Module:
    """`module`, or a copy of it, with reparameterisable blocks as one convolution each, in eval mode. Not compared with what
    it was: see `with_merged_branches`. A module on the meta device stays there.

    Args:
        module: the network; one that is itself a reparameterisable block is replaced, too.
        inplace: change `module` itself; it may be merged in part where an error is raised.
        only: modules of these classes; None: of all.

    Raises:
        UsageError: a method fails, or returns something that is no module; names it.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    held = nn.Sequential(module if inplace else duplicate(module)).eval()  # the root can be replaced too
    with torch.device(device), torch.no_grad():
        _merge_children(held, only, set())
    return held[0].eval()


def _merge_children(
    parent: nn.Module, only: Collection[type[nn.Module]] | None, done: set[nn.Module]
) -> None:
    for name, child in list(parent.named_children()):
        method = merging_method(child) if only is None or type(child) in only else None
        if method is not None and child not in done:
            done.add(child)
            child = _merged(child, method)
            setattr(parent, name, child)
        _merge_children(child, only, done)


def _merged(module: nn.Module, method: str) -> nn.Module:
    what = f"{type(module).__name__}.{method}()"
    try:
        result = getattr(module, method)()
    except Exception as error:
        raise UsageError(f"{what} failed: {reason_of(error)}") from error
    if result is not None and not isinstance(result, nn.Module):
        raise UsageError(
            f"{what} returned a {type(result).__name__}, so it is no method that merges branches"
        )
    return module if result is None else result


class Sound(NamedTuple):
    """Which classes of modules compute the same merged, and why the others do not."""

    kinds: frozenset[type[nn.Module]]
    refused: list[str]


def sound_kinds(model: nn.Module, example: torch.Tensor) -> Sound:
    """The classes whose modules can be merged in a network that then computes what it did, on inputs of this shape.

    All at once; each by itself where that fails, so that one class with another idea of `fuse` leaves the others merged.
    """
    methods = mergeable(model)
    if not methods:
        return Sound(frozenset(), [])
    reason = _fault(model, example, methods)
    if reason is None:
        return Sound(frozenset(methods), [])
    faults = {kind: reason if len(methods) == 1 else _fault(model, example, [kind]) for kind in methods}
    sound = [kind for kind, fault in faults.items() if fault is None]
    if sound and (together := _fault(model, example, sound)) is not None:
        faults, sound = dict.fromkeys(sound, together), []
    refused = [
        f"{kind.__name__}.{methods[kind]}() is not used, {kind.__name__} stays as it is trained: {fault}"
        for kind, fault in faults.items()
        if fault is not None
    ]
    return Sound(frozenset(sound), refused)


def _fault(model: nn.Module, example: torch.Tensor, kinds: Collection[type[nn.Module]]) -> str | None:
    """Why modules of these classes cannot be merged together."""
    try:
        check_merged(model, example, kinds)
    except Altered:
        raise
    except Exception as error:  # of whatever the user's methods do
        return reason_of(error)
    return None


def with_merged_branches(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """A copy whose reparameterisable blocks are one convolution each; the model itself where there are none. Modules whose
    merging changes what the network computes are left as they are, which is said.
    """
    kinds, refused = sound_kinds(model, example)
    for reason in refused:
        log.warning(reason)
    return merge_branches(model, only=kinds) if kinds else model


class Altered(CheckFailed):
    """A method changed networks that it was not called on, for good."""


@CHECKS.register("merged-branches")
def check_merged(
    model: nn.Module, example: torch.Tensor, kinds: Collection[type[nn.Module]] | None = None
) -> float:
    """A network with its branches merged against itself before they were: as it is, with norms of random statistics and random
    numbers for parameters that are constant (a branch that is multiplied by 0 shows nothing), and itself afterwards.

    Catches: a kernel put in the wrong place of a larger one, a norm or a branch left out, and methods named `fuse`,
    `reparameterize` or `switch_to_deploy` that do something else, or write to their class, which is put back.

    Tolerance: 1e-4 of the largest output; 1e-3 with random statistics, on which deep networks round more.

    Cost: ten passes of the network; MobileOne-S0 at 224, 2.0 s of one core (AMD EPYC). Nothing where there are no branches.

    Raises:
        CheckFailed: they differ, or attributes of classes were written.
        Altered: the network differs from what it was, with all attributes put back.
    """
    what, inputs = type(model).__name__, probes(example[:1], special=False)
    drawn = draw_constants(random_statistics(duplicate(model)))

    def now(network: nn.Module) -> list[Any]:  # of a copy, as the first call of one may differ from others
        return outputs(duplicate(network).eval(), inputs)

    before, before_drawn = now(model), now(drawn)
    around = Surroundings(model)
    try:
        merged, again = merge_branches(model, only=kinds), merge_branches(drawn, only=kinds)
        if written := around.written():
            raise CheckFailed(
                f"{what}: check 'merged-branches' failed: it writes to {', '.join(written[:3])}, "
                "which every module of the class reads"
            )
        itself = duplicate(model).eval()
        tries = [
            (before, merged, inputs, 1e-4),
            (before_drawn, again, inputs[:1], 1e-3),
            (before, itself, inputs, 1e-4),
        ]
        return max(
            compare(Claim("merged-branches", what, tolerance), replayed(seen), network, images, again=False)
            for seen, network, images, tolerance in tries
        )
    except Exception as error:
        around.restore()
        restored = now(model)
        if not deviation(before, restored) <= 1e-4 and deviation(restored, now(model)) <= 1e-4:
            methods = ", ".join(mergeable(model).values())
            raise Altered(
                f"{what}: its methods that merge branches ({methods}) change other networks than the one they are called on; "
                "let them write to `self` alone"
            ) from error
        raise
