"""The costs on paper of a chain of network blocks, each different one measured once, on the meta device where it runs there.

A network whose `.blocks` compose to its forward pass costs what they cost together: parameters and MACs add up;
the peak of live memory is the largest of the blocks' own, each with its input held; what is kept for the backward
pass adds up too, a tensor between two blocks counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import nn

from blockzoo.blocks.adapters import name_of
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import BlockzooError, CheckFailed, RequestError, reason_of
from blockzoo.measure.macs import counting
from blockzoo.measure.memory import Saved, peak_memory, saved_for_backward
from blockzoo.measure.shapes import ShapesOnly
from blockzoo.measure.size import Params, count_params
from blockzoo.models.contract import check_in_place
from blockzoo.models.deploy import fold_batch_norm
from blockzoo.models.merging import merge_branches, mergeable, sound_kinds
from blockzoo.models.outputs import main_output

KNOWN_TO_MERGE = ("timm.", "blockzoo.blocks.")
"""Packages whose classes merge their branches rightly."""


@dataclass(frozen=True)
class Costs:
    """What a network, or a part of it, costs on paper for one input of the given shape."""

    params_total: int  # deployed form: branches merged
    params_trainable: int
    params_trained: int  # the form that is trained
    macs: int  # deployed form; FLOPs = 2 MACs
    flops: int
    model_bytes: int  # fp32 weights of the deployed form
    peak_activation_bytes: int | None = None  # inference, deployed and folded, input not counted
    saved_activation_bytes: int | None = None  # kept for backward, trained form, input not counted
    uncounted_operations: tuple[str, ...] = ()  # whose multiply-adds nobody knows: `macs` lacks them


@dataclass(frozen=True)
class Measured:
    """One network block, measured."""

    params: Params  # deployed form
    params_trained: int
    macs: int
    shape: torch.Size  # of the output
    input_bytes: int  # of the fp32 input
    peak_bytes: int | None = None  # of live activations at inference, the input not counted
    saved: Saved | None = None  # what a training step keeps
    uncounted: frozenset[str] = frozenset()  # operations whose multiply-adds nobody knows
    notes: tuple[str, ...] = ()  # how it was measured, where not as usual
    writes_input: bool = False


def measure(build: Callable[[], nn.Module], shape: torch.Size, *, memory: bool = True) -> Measured:
    """Measure what `build` makes for an input of `shape`; without `memory` only sizes and MACs.

    Without values, on the meta device; what asks for values, or makes tensors elsewhere, is measured on random ones.

    Args:
        build: makes it on torch's default device. Building again is cheaper than copying, so each form is made where needed.

    Raises:
        Whatever it raises on real tensors.
    """
    try:
        return _measured_on("meta", build, shape, memory)
    except Exception as error:
        why = reason_of(error)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        found = _with_memory_if_possible(build, shape, memory)
    return replace(
        found, notes=(f"counted on random values, because without any it says: {why}", *found.notes)
    )


def _with_memory_if_possible(build: Callable[[], nn.Module], shape: torch.Size, memory: bool) -> Measured:
    """Measured on values; without memory where tensors cannot be followed, as sparse ones and what is inside `torch.cond`."""
    try:
        return _measured_on("cpu", build, shape, memory)
    except BlockzooError:
        raise
    except Exception as error:
        if not memory:
            raise
        why = reason_of(error)
    found = _measured_on("cpu", build, shape, memory=False)
    return replace(found, notes=(f"its memory is not measured: {why}", *found.notes))


def _measured_on(device: str, build: Callable[[], nn.Module], shape: torch.Size, memory: bool) -> Measured:
    with torch.device(device):
        module = build()
        x = torch.randn(shape)
    trained = count_params(module).total
    kinds, notes = _kinds_to_merge(module, build, shape)
    deployed = merge_branches(module, inplace=True, only=kinds)
    params = count_params(deployed)
    with ShapesOnly(), counting() as counter:
        output = main_output(deployed(x), type(deployed).__name__).tensor.shape
    writes = counter.unwritten.wrote(x)
    peak, saved = None, None
    if memory:
        with torch.device(device):
            module = build()
        with ShapesOnly():
            saved = _saved_by_training(module.train(), x)
            peak = peak_memory(fold_batch_norm(deployed, x, inplace=True), x)
    uncounted = frozenset(counter.uncounted)
    return Measured(
        params, trained, counter.macs, output, x.nbytes, peak, saved, uncounted, tuple(notes), writes
    )


def _kinds_to_merge(
    module: nn.Module, build: Callable[[], nn.Module], shape: torch.Size
) -> tuple[frozenset[type[nn.Module]], list[str]]:
    """The classes whose branches are merged in the deployed form, and why others are not. Those of timm and of the zoo are known
    to compute the same merged (a test holds it); with any other class this is tried on real tensors.
    """
    found = mergeable(module)
    if all(kind.__module__.startswith(KNOWN_TO_MERGE) for kind in found):
        return frozenset(found), []
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(0)
        return sound_kinds(build().eval(), torch.randn(shape))


def _saved_by_training(module: nn.Module, x: torch.Tensor) -> Saved:
    """What a training step on `x` keeps.

    Batch norm refuses to train on one value per channel, as one image whose map is 1x1. Bytes grow by the same
    amount with each image, so they are then extrapolated from one and two images more.
    """
    try:
        return saved_for_backward(module, x)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
    more, most = (saved_for_backward(module, x.new_empty(len(x) + n, *x.shape[1:])) for n in (1, 2))
    return more._replace(inside=2 * more.inside - most.inside)


_measured: dict[tuple[Any, ...], Measured] = {}


def measure_chain(
    parts: Sequence[tuple[tuple[Any, ...] | None, Callable[[], nn.Module]]],
    input_shape: Sequence[int],
    *,
    memory: bool = True,
) -> list[Measured]:
    """Measure network blocks that follow one another, given as (key, build).

    Blocks with equal keys at equal input shapes are measured once per process; a key of None is always new.
    """
    chain, shape = [], torch.Size(input_shape)
    for key, build in parts:
        full = (key, shape)
        block = _measured.get(full) if key is not None else None
        if block is None or (memory and block.saved is None):
            with _named_part(key, shape):
                block = measure(build, shape, memory=memory)
            if key is not None:
                _measured[full] = block
        if key is not None and callable(key[0]):
            maker, _, out_channels, stride, _ = key
            check_in_place(maker, out_channels, stride, shape, block.shape, block.writes_input)
        chain.append(block)
        shape = block.shape
    return chain


@contextmanager
def _named_part(key: tuple[Any, ...] | None, shape: torch.Size) -> Iterator[None]:
    """Whatever a block of the scaffold raises names it and what it was given."""
    try:
        yield
    except BlockzooError:
        raise
    except Exception as error:
        if key is None or not callable(key[0]):
            raise
        maker, in_channels, out_channels, stride, _ = key
        raise RequestError(
            f"{name_of(maker).rpartition(':')[2]} with in_channels {in_channels}, out_channels {out_channels}, stride {stride} "
            f"cannot take an input of shape {tuple(shape)}: {' '.join(str(error).split())}"
        ) from error


def total(chain: Sequence[Measured]) -> Costs:
    """The costs of a chain: of a whole network, or of consecutive blocks of it."""
    memory = all(block.saved is not None for block in chain)
    params = sum(block.params.total for block in chain)
    macs = sum(block.macs for block in chain)
    return Costs(
        params_total=params,
        params_trainable=sum(block.params.trainable for block in chain),
        params_trained=sum(block.params_trained for block in chain),
        macs=macs,
        flops=2 * macs,
        model_bytes=4 * params,
        peak_activation_bytes=_peak(chain) if memory else None,
        saved_activation_bytes=_saved(chain) if memory else None,
        uncounted_operations=tuple(sorted(frozenset().union(*(block.uncounted for block in chain)))),
    )


@CHECKS.register("added-parts")
def check_added_parts(
    name: str, added: Costs, builders: Sequence[Callable[[], nn.Module]], shape: Sequence[int]
) -> float:
    """The costs of a network whose blocks were measured one by one and added up, with parameters and multiply-adds of all its
    blocks in a row, where one of them is not of the zoo (for the zoo a test holds it).

    Catches: weights that blocks share, and so are counted for each; a block that costs something else beside others, as one that
    looks at how many were built before it.

    Tolerance: none; all are whole numbers.

    Cost: one more pass without values; 19 ms of one core for three stages of 3 blocks (AMD EPYC).
    """
    whole = total(
        [measure(lambda: nn.Sequential(*(build() for build in builders)), torch.Size(shape), memory=False)]
    )
    for what in ("params_total", "params_trained", "macs"):
        parts, together = getattr(added, what), getattr(whole, what)
        if parts != together:
            raise CheckFailed(
                f"{name}: its blocks have {parts:,} {what} one by one and {together:,} together, so they share weights or "
                "differ from one time they are built to the next; its costs cannot be told by blocks"
            )
    return 0.0


def _peak(chain: Sequence[Measured]) -> int:
    held = [0] + [block.input_bytes for block in chain[1:]]
    peaks = [block.peak_bytes for block in chain if block.peak_bytes is not None]
    return max(peak + input_bytes for peak, input_bytes in zip(peaks, held, strict=True))


def _saved(chain: Sequence[Measured]) -> int:
    kept, boundary_kept, boundary_bytes = 0, True, 0  # the input of the whole chain is not counted
    for block in chain:
        saved = block.saved
        assert saved is not None
        kept += saved.inside
        if saved.input and not boundary_kept:
            kept += boundary_bytes
            boundary_kept = True
        if not saved.passes_through:
            boundary_bytes = 4 * block.shape.numel()
            boundary_kept = saved.output
            kept += boundary_bytes if saved.output else 0
    return kept


def as_dict(costs: Costs, prefix: str = "") -> dict[str, Any]:
    """The costs as columns, each name with the prefix."""
    return {prefix + f.name: getattr(costs, f.name) for f in fields(costs)}
