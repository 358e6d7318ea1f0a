"""For the tests of your own blocks: `check_block(MyBlock)` raises with every fault and its remedy.

It holds a block to what the blocks of the zoo are held to: the contract that every command asks for (`models/contract.py`), and
that it learns in all its parameters, is the same merged, folded, saved and loaded, and can be profiled.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from blockzoo.blocks.adapters import Maker, adapted, name_of
from blockzoo.core.errors import BlockzooError, ContractBroken
from blockzoo.measure.size import count_params
from blockzoo.models import contract
from blockzoo.models.contract import SHAPES
from blockzoo.models.deploy import deployed, relative_difference
from blockzoo.models.examination import TOLERANCE, examine
from blockzoo.models.findings import Broken, Examined, listed, said
from blockzoo.models.merging import merge_branches, mergeable
from blockzoo.models.state import generators_kept
from blockzoo.profile import get_model_profile

__all__ = ["SHAPES", "Examined", "check_block", "examine"]

IMAGES, SIDE = 2, 16
"""Of the maps on which a block is tried here."""
REMEDIES = {
    "ignores stride": "give `stride` to one of its convolutions, and to the shortcut's",
    "channels where": "let the last layer make `out_channels` channels",
    "not one tensor": "return the map alone",
    "in-place operation": "leave its first activation without inplace=True, or work on a copy",
    "between two calls": "draw nothing, and keep nothing, where `self.training` is False",
    "when other images came first": "keep no tensor from one call for the next, but in buffers of training mode",
    "another output when others are in its batch": "take no statistics over the batch where `self.training` is False",
    "without a gradient": "compute with tensors throughout: no detach(), no numpy, no torch.no_grad()",
    "no gradient through to its input": "compute with tensors throughout: no detach(), no numpy, no torch.no_grad()",
    "parameters that no gradient reaches": "use each parameter in forward(), or do not make it",
    "cannot be copied": "keep in its attributes what copy.deepcopy can copy",
    "another network at another position": "ignore `position`, or make variants that are named",
    "seed": "draw weights from torch's own generator, and set no seed",
    "meta device": "make new tensors from others (x.new_zeros, torch.zeros_like), not from the values of tensors",
    "autocast": "cast what it mixes, as with x.to(y.dtype)",
    "channels_last": "use reshape instead of view",
}
"""What to do about faults of the contract, by words of their sentences."""


def check_block(
    block: Maker,
    shapes: Sequence[tuple[int, int, int]] = SHAPES,
    *,
    position: str = "mid",
    strict: bool = True,
) -> float:
    """Hold a block to all that the blocks of the zoo are held to.

    Args:
        block: a class or function that is called with in_channels, out_channels, stride and position, or a class that names
            them in its own words.
        shapes: input channels, output channels, stride.
        position: stage that it is told.
        strict: what changes no number is a fault too.

    Returns:
        The largest difference between outputs that should be the same, relative to the largest output.

    Raises:
        ContractBroken: with every fault, and what to do about it.
        UsageError: its signature cannot be used; the message says what to write.

    Examples:
        >>> from blockzoo import get_block_class
        >>> check_block(get_block_class("ResNetBasicBlock"), [(16, 32, 2)]) < 1e-4
        True
    """
    try:
        largest = contract.check_block(block, shapes, position=position, strict=strict)
    except ContractBroken as error:
        raise ContractBroken(with_remedies(str(error))) from error
    maker = adapted(block)
    faults: dict[str, None] = {}
    for shape in shapes:
        build = partial(_trained, maker, (*shape, position))
        for check in CHECKED_HERE if strict else CHANGING_NUMBERS:
            try:
                largest = max(largest, check(build, shape))
            except Broken as broken:
                faults[str(broken)] = None
    if faults:
        lines = "".join(f"\n  - it {fault}" for fault in faults)
        raise ContractBroken(f"{name_of(maker)} does not do all that a block of the zoo does:{lines}")
    return largest


def with_remedies(refusal: str) -> str:
    """The refusal of a block, and what to do about each of its faults.

    Args:
        refusal: names the faults.
    """
    remedies = dict.fromkeys(remedy for words, remedy in REMEDIES.items() if words in refusal)
    return refusal + "".join(f"\nRemedy: {remedy}." for remedy in remedies)


Build = Callable[[int], nn.Module]
"""A block of one shape drawn from a seed, as after some training."""


def _trained(maker: Maker, arguments: tuple[int, int, int, str], seed: int) -> nn.Module:
    """A block whose batch norms have seen data, so that folding them is not trivial, and whose branches all do something."""
    with generators_kept():
        torch.manual_seed(seed)
        module = maker(*arguments)
        for layer in module.modules():
            if (
                isinstance(layer, nn.BatchNorm2d)
                and layer.affine
                and layer.running_mean is not None
                and layer.running_var is not None
            ):
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.5, 1.5)
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, 0, 0.2)
        for parameter in module.parameters():
            if (
                parameter.is_floating_point() and not parameter.any()
            ):  # a branch that starts as nothing (SkipInit)
                nn.init.normal_(parameter, 0, 0.5)
    return module


def _images(shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randn(IMAGES, shape[0], SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def _learns(build: Build, shape: tuple[int, int, int]) -> float:
    """Each parameter has a gradient, once no branch is nothing."""
    module = build(0).train()
    module(_images(shape)).square().mean().backward()
    without = [
        n for n, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    if without:
        remedy = "use each parameter in forward(), or do not make it"
        raise Broken(f"has parameters that no gradient reaches: {listed(without)}: {remedy}")
    return 0.0


def _merged(build: Build, shape: tuple[int, int, int]) -> float:
    """Its branches merged are what they were."""
    module = build(0).eval()
    methods = sorted(set(mergeable(module).values()))
    if not methods:
        return 0.0
    remedy = f"correct its method {' and '.join(methods)}, which makes one convolution of its branches, or give it another name"
    try:
        difference = relative_difference(module, merge_branches(module), _images(shape))
    except BlockzooError as error:
        raise Broken(f"cannot be merged ({error}): {remedy}") from None
    return _same(difference, f"computes something else once its branches are merged: {remedy}")


def _deployed(build: Build, shape: tuple[int, int, int]) -> float:
    """The form that is timed is the one that is trained."""
    module, remedy = build(0).eval(), "compute with the modules' own outputs, not with their weights or names"
    try:
        difference = relative_difference(module, deployed(module, _images(shape)), _images(shape))
    except Exception as error:
        raise Broken(f"has no deployed form ({said(error)}): {remedy}") from None
    return _same(difference, f"computes something else once its batch norms are folded: {remedy}")


def _saved_and_loaded(build: Build, shape: tuple[int, int, int]) -> float:
    """Another one with its state is the same, through a file that holds tensors alone."""
    module, other = build(0).eval(), build(1).eval()
    file, remedy = (
        io.BytesIO(),
        "keep what it computes with in parameters or in register_buffer(), as tensors of fixed shapes",
    )
    try:
        torch.save(module.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
    except Exception as error:
        raise Broken(f"does not load its own state_dict ({said(error)}): {remedy}") from None
    difference = relative_difference(module, other, _images(shape))
    return _same(difference, f"computes something else after its state_dict was loaded: {remedy}")


def _profiled(build: Build, shape: tuple[int, int, int]) -> float:
    """What it costs can be counted, without values."""
    module = build(0).eval()
    try:
        profile = get_model_profile(module, (IMAGES, shape[0], SIDE, SIDE), strict=True)
    except BlockzooError as error:
        raise Broken(f"cannot be profiled: {error}") from None
    own, counted = count_params(module).total, profile.network.params_trained
    if counted != own:
        remedy = "make its parameters in the constructor, alike on each device"
        raise Broken(f"has {own} parameters, of which {counted} are profiled: {remedy}")
    return 0.0


def _same(difference: float, sentence: str) -> float:
    if not difference <= TOLERANCE:
        raise Broken(f"{sentence} (by {difference:.1g} of the largest output)")
    return difference


CHANGING_NUMBERS = (_merged, _deployed, _saved_and_loaded)
CHECKED_HERE = (_learns, *CHANGING_NUMBERS, _profiled)
"""What is asked of a block beside its contract."""
