"""What the scaffold relies on in a block, tried on small maps before the block is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from blockzoo.blocks.adapters import Adapter, Maker, adapted, is_of_the_zoo, name_of, what_to_write
from blockzoo.core.contracts import CHECKS
from blockzoo.core.errors import ContractBroken
from blockzoo.core.said import say_once
from blockzoo.models.examination import examine, examine_there
from blockzoo.models.findings import Examined

SHAPES = ((16, 16, 1), (16, 32, 2), (16, 32, 1), (24, 24, 2), (32, 16, 1))
"""Input channels, output channels and stride that a block meets: one that keeps its shape first."""
SIZES = (32, 56)
"""Sides of the maps on which `check_block` evaluates it too."""
MOST_MACS, MOST_BYTES = 10**9, 2**29
"""Of one image on the maps of its network, beyond which it is evaluated on smaller ones there."""


@CHECKS.register("block-contract")
def check_block(
    block: Maker,
    shapes: Sequence[tuple[int, int, int]] = SHAPES,
    *,
    position: str = "mid",
    strict: bool = True,
) -> float:
    """A block with what the scaffold relies on: width, stride, odd sizes, outputs that are its image's alone and the same in each
    call of evaluation mode, an input that is left as it is, gradients, copies, weights drawn from the seed.

    Catches: a stride or a width that is ignored (on the maps of its network too), outputs that are no tensor, an input written
    to, chance or a memory in evaluation mode, statistics over the batch in evaluation mode, weights shared by two blocks, a seed
    set or passed by in the constructor, a gradient that is cut, weights of earlier calls that are kept (`weights-followed`). What
    is of evaluation mode, on the maps of its network too.

    Tolerance: none of shapes and inputs; 1e-4 of the largest output between one image alone and in a batch, or between two calls.

    Cost: some thirty passes on maps of 9 x 7 at the width it has, once for each shape in a process: 0.2 s of one core (AMD EPYC),
    the mean over the blocks of the zoo at 16 to 32 channels, and 2 s for two 3x3 convolutions of 512; and passes of eleven images
    on each map of its network, 0.07 s for two 3x3 convolutions of 64 on 32 x 32, at most some seconds. Nothing for blocks of the
    zoo, which the tests examine.

    Args:
        block: a class or function as `Block` of `core/contracts.py`, or one that `adapted` can call.
        shapes: input channels, output channels, stride.
        position: stage that it is told.
        strict: notes are faults too.

    Raises:
        ContractBroken: with every fault.
        UsageError: its signature cannot be used; the message says what to write.
    """
    maker = adapted(block)
    examined = [examine(maker, *shape, position) for shape in shapes]
    if not any(each.faults for each in examined):
        examined += [examine_there(maker, (*shapes[0], position), (size, size)) for size in SIZES]
    faults = [fault for each in examined for fault in each.faults]
    faults += [note for each in examined for note in each.notes if strict]
    if faults:
        raise ContractBroken(_refusal(maker, list(dict.fromkeys(faults))))
    return max(each.deviation for each in examined)


def check_there(
    maker: Maker,
    arguments: tuple[int, int, int, str],
    given: Sequence[int],
    made: Sequence[int],
    writes: bool,
    macs: int,
    peak_bytes: int,
) -> tuple[str, ...]:
    """A block on the maps that it gets in its network, larger than those it is tried on; nothing of one of the zoo.

    Args:
        maker: of the block.
        arguments: input channels, output channels, stride, position.
        given: shape of its input.
        made: shape of its output; odd sizes may be rounded down, which `trust` says.
        writes: did an operation write to its input?
        macs: of it on this input; where they are many, smaller maps do.
        peak_bytes: of its activations on this input; where they are many, smaller maps do.

    Returns:
        Notes.

    Raises:
        ContractBroken: it has not the shape that was asked for, writes to its input, or breaks its contract in evaluation mode.
    """
    if is_of_the_zoo(maker):
        return ()
    _, out_channels, stride, _ = arguments
    sizes = [{-(-n // stride), n // stride} for n in given[2:]]
    is_fitting = len(made) == len(given) and (made[0], made[1]) == (given[0], out_channels)
    faults = []
    if not is_fitting or any(n not in allowed for n, allowed in zip(made[2:], sizes, strict=True)):
        faults.append(
            f"makes {tuple(made)} of its input of shape {tuple(given)}, at out_channels {out_channels} and stride {stride}, "
            "though smaller maps had the right shape"
        )
    if writes:
        faults.append(
            f"changes its input of shape {tuple(given)} in evaluation mode (an in-place operation on it)"
        )
    height, width = given[2:]
    shrunk = 1
    while (
        max(macs / MOST_MACS, peak_bytes / MOST_BYTES) > given[0] * shrunk**2 and min(height, width) > shrunk
    ):
        shrunk *= 2
    size = height // shrunk, width // shrunk
    faults += [] if faults else examine_there(maker, arguments, size).faults
    if faults:
        raise ContractBroken(_refusal(maker, faults))
    if shrunk == 1:
        return ()
    note = f"{name_of(maker)} was evaluated on maps of {size[0]} x {size[1]}, since those of {height} x {width} cost too much"
    say_once(note)
    return (note,)


def _refusal(maker: Maker, faults: list[str]) -> str:
    listed = "".join(f"\n  - it {fault}" for fault in faults)
    remedy = f"\n{what_to_write(maker)}" if isinstance(maker, Adapter) else ""
    return (
        f"{name_of(maker)} is not used, since it does not do what a block must:{listed}\n"
        f"A block maps (B, in_channels, H, W) to (B, out_channels, ceil(H / stride), ceil(W / stride)), and nothing else.{remedy}"
    )


def trust(maker: Maker, in_channels: int, out_channels: int, stride: int, position: str) -> Examined:
    """What was found of a block before it goes into a network, how it is called among the notes, which are said once; nothing of
    one of the zoo.

    It is tried at the width that it has there, on small maps: a class may be another block where it is wide.

    Raises:
        ContractBroken: with every fault.
        UsageError: it cannot be built.
    """
    if is_of_the_zoo(maker):
        return Examined()
    examined = examine(maker, in_channels, out_channels, stride, position)
    if examined.faults:
        raise ContractBroken(_refusal(maker, list(examined.faults)))
    notes = [f"{name_of(maker)} {note}" for note in examined.notes]
    notes = [maker.said, *notes] if isinstance(maker, Adapter) else notes
    for note in notes:
        say_once(note)
    return replace(examined, notes=tuple(notes))
