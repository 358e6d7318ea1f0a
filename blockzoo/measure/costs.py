"""The costs on paper of a chain of network blocks, each different one measured once, on the meta device where it runs there.

A network whose `.blocks` compose to its forward pass costs what they cost together. What is measured of each, and how a chain's
is made of it, every quantity says itself (the door QUANTITIES); here the blocks are made in the forms in which they do so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from blockzoo.blocks.adapters import name_of
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import BlockzooError, CheckFailed, UsageError, reason_of
from blockzoo.core.quantity import Form, OnPaper, Specimen, on_paper
from blockzoo.measure.as_cpu import check_passes
from blockzoo.measure.held import Held
from blockzoo.measure.macs import counting
from blockzoo.measure.shapes import shapes_only
from blockzoo.models.contract import check_there
from blockzoo.models.copying import like
from blockzoo.models.deploy import fold_batch_norm
from blockzoo.models.folding import fold, safe_pairs
from blockzoo.models.merging import merge_branches, mergeable, sound_kinds
from blockzoo.models.outputs import main_output

KNOWN_TO_MERGE = ("timm.", "blockzoo.blocks.")
"""Packages whose classes merge their branches rightly."""
THE_SAME_EACH_TIME = ("torch.nn.", "torchvision.", *KNOWN_TO_MERGE, "blockzoo.models.")
"""Packages whose classes do in a first call what they do in every one."""
CALLS = 3
"""That are counted at most, of other classes."""


class Costs(SimpleNamespace):
    """What a network, or a part of it, costs on paper for one input of the given shape: every quantity by its name.

    Those of other files are attributes too. What was not measured is None.
    """

    params_total: int
    params_trainable: int
    params_trained: int
    macs: int
    flops: int
    model_bytes: int
    peak_activation_bytes: int | None
    saved_activation_bytes: int | None
    uncounted_operations: tuple[str, ...]  # whose multiply-adds nobody knows: `macs` lacks them


@dataclass(frozen=True)
class Measured:
    """One network block, measured."""

    shape: torch.Size  # of the output
    quantities: dict[str, Any]  # what each measured of it; without memory, fewer
    uncounted: frozenset[str] = frozenset()  # operations whose multiply-adds nobody knows
    notes: tuple[str, ...] = ()  # how it was measured, where not as usual
    writes_input: bool = False
    unseen: tuple[
        str, ...
    ] = ()  # those of the notes that say which weights are no parameters, and not to be seen


def measure(
    build: Callable[[], nn.Module],
    shape: torch.Size,
    *,
    memory: bool = True,
    also: Sequence[OnPaper[Any]] = (),
) -> Measured:
    """Measure what `build` makes for an input of `shape`; without `memory` only sizes and MACs.

    Without values, on the meta device; what asks for values, or makes tensors elsewhere, is measured on random ones.

    Args:
        build: makes it on torch's default device. Building again is cheaper than copying, so each form is made where needed.
        shape: of the input, the batch included.
        memory: measure the quantities of the training and inference forms too.
        also: quantities beside those that are registered.

    Raises:
        Whatever it raises on real tensors.
    """
    try:
        return _measured_on("meta", build, shape, memory, also)
    except Exception as error:
        why = reason_of(error)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        measured = _with_memory_if_possible(build, shape, memory, also)
    return replace(
        measured, notes=(f"counted on random values, because without any it says: {why}", *measured.notes)
    )


def _with_memory_if_possible(
    build: Callable[[], nn.Module], shape: torch.Size, memory: bool, also: Sequence[OnPaper[Any]]
) -> Measured:
    """Measured on values; without memory where tensors cannot be followed, as sparse ones and what is inside `torch.cond`."""
    try:
        return _measured_on("cpu", build, shape, memory, also)
    except BlockzooError:
        raise
    except Exception as error:
        if not memory:
            raise
        why = reason_of(error)
    sizes = _measured_on("cpu", build, shape, False, also)
    return replace(sizes, notes=(f"its memory is not measured: {why}", *sizes.notes))


def _measured_on(
    device: str, build: Callable[[], nn.Module], shape: torch.Size, memory: bool, also: Sequence[OnPaper[Any]]
) -> Measured:
    with torch.device(device):
        module = build()
        x = torch.randn(shape)
    if x.is_meta:
        check_passes(module)
    forms = _Forms([*on_paper(), *also])
    forms.measure("built", Specimen(module, x))
    kinds, notes = _kinds_to_merge(module, build, shape)
    deployed = merge_branches(module, inplace=True, only=kinds)
    held = Held(deployed, x)
    with shapes_only(x) as shapes, counting(held) as counter:
        output = main_output(deployed(x), type(deployed).__name__).tensor.shape
    notes += held.notes()
    writes = counter.unwritten.wrote(x)
    macs, uncounted = counter.macs, frozenset(counter.uncounted)
    if not all(type(layer).__module__.startswith(THE_SAME_EACH_TIME) for layer in deployed.modules()):
        macs, again, more_notes = _counted_again(deployed, x, macs)
        uncounted |= again
        notes += more_notes
    specimen = Specimen(deployed, x, macs, tuple(output))
    forms.measure("deployed", specimen)
    if memory:
        with torch.device(device):
            module = build()
        forms.measure("training", replace(specimen, module=module.train()))
        if shapes and shapes.asked:  # then the graph may be another one on the meta device
            folded = fold(deployed.eval(), safe_pairs(like(deployed, "cpu"), torch.zeros(shape)))
        else:
            folded = fold_batch_norm(deployed, x, inplace=True)
        forms.measure("inference", replace(specimen, module=folded))
    return Measured(output, forms.values, uncounted, tuple(notes), writes, held.unseen())


@dataclass
class _Forms:
    """What quantities measure of one block, form by form: each is made of the one before it, which is then gone."""

    quantities: list[OnPaper[Any]]
    values: dict[str, Any] = field(default_factory=dict)

    def measure(self, form: Form, specimen: Specimen) -> None:
        with shapes_only(specimen.x):
            self.values |= {q.name: q.measure(specimen) for q in self.quantities if q.form == form}


def _counted_again(deployed: nn.Module, x: torch.Tensor, first: int) -> tuple[int, frozenset[str], list[str]]:
    """MACs of a later call, what of it nobody can count, and notes: what a first call prepares is no cost of every image."""
    counts, uncounted = [first], frozenset[str]()
    while len(counts) < 2 or (counts[-1] != counts[-2] and len(counts) < CALLS):
        with shapes_only(x), counting() as counter:
            deployed(x)
        counts.append(counter.macs)
        uncounted |= counter.uncounted
    if counts[-1] == first:
        return first, uncounted, []
    if counts[-1] != counts[-2]:
        differing = " then ".join(f"{count:,}" for count in counts)
        return (
            first,
            uncounted | {"what differs from call to call"},
            [f"its MACs differ from call to call: {differing}"],
        )
    return counts[-1], uncounted, [f"macs are those of a later call; the first one had {first:,}"]


def _kinds_to_merge(
    module: nn.Module, build: Callable[[], nn.Module], shape: torch.Size
) -> tuple[frozenset[type[nn.Module]], list[str]]:
    """The classes whose branches are merged in the deployed form, and why others are not. Those of timm and of the zoo are known
    to compute the same merged (a test holds it); with any other class this is tried on real tensors.
    """
    kinds = mergeable(module)
    if all(kind.__module__.startswith(KNOWN_TO_MERGE) for kind in kinds):
        return frozenset(kinds), []
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(0)
        return sound_kinds(build().eval(), torch.randn(shape))


_measured: dict[tuple[Any, ...], Measured] = {}


def measure_chain(
    parts: Sequence[tuple[tuple[Any, ...] | None, Callable[[], nn.Module]]],
    input_shape: Sequence[int],
    *,
    memory: bool = True,
    also: Sequence[OnPaper[Any]] = (),
) -> list[Measured]:
    """Measure network blocks that follow one another, given as (key, build), each as `measure` does.

    Blocks with equal keys at equal input shapes are measured once per process; a key of None is always new.
    """
    chain, shape = [], torch.Size(input_shape)
    wanted = {q.name for q in (*on_paper(), *also) if memory or q.form in ("built", "deployed")}
    for key, build in parts:
        full = (key, shape)
        block = _measured.get(full) if key is not None else None
        if block is None or not wanted <= block.quantities.keys():
            with _named_part(key, shape):
                block = measure(build, shape, memory=memory, also=also)
            if key is not None:
                _measured[full] = block
        if key is not None and callable(key[0]):
            maker, *arguments = key
            macs, peak = block.quantities["macs"], block.quantities.get("peak_activation_bytes")
            live = peak.live if peak else 0
            notes = check_there(maker, tuple(arguments), shape, block.shape, block.writes_input, macs, live)
            block = replace(block, notes=tuple(dict.fromkeys((*block.notes, *notes))))
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
        raise UsageError(
            f"{name_of(maker).rpartition(':')[2]} with in_channels {in_channels}, out_channels {out_channels}, stride {stride} "
            f"cannot take an input of shape {tuple(shape)}: {' '.join(str(error).split())}"
        ) from error


def total(chain: Sequence[Measured]) -> Costs:
    """The costs of a chain: of a whole network, or of consecutive blocks of it."""
    common = set[str].intersection(*(set(block.quantities) for block in chain))
    values = {
        q.name: q.total([block.quantities[q.name] for block in chain]) if q.name in common else None
        for q in on_paper()
    }
    uncounted = frozenset[str]().union(*(block.uncounted for block in chain))
    return Costs(**values, uncounted_operations=tuple(sorted(uncounted)))


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
