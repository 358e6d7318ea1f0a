"""From an architecture to a network: the only door from the space to torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from blockzoo.core.arguments import check_counts
from blockzoo.core.contracts import BLOCKS, SUBJECTS
from blockzoo.core.errors import UsageError
from blockzoo.nas.options import PUBLISHED_WIDTH
from blockzoo.nas.space.macro import Architecture, MacroSpace
from blockzoo.nas.space.published import published_space

if TYPE_CHECKING:
    from torch import nn

    from blockzoo.core.spec import NetworkSpec
    from blockzoo.core.subject import Subject


def build(
    arch: Architecture,
    num_classes: int = 100,
    *,
    space: MacroSpace | None = None,
    in_channels: int = 3,
    width: int = PUBLISHED_WIDTH,
    cells_per_stage: int = 1,
    seed: int | None = None,
) -> nn.Module:
    """The network of an architecture; input (B, in_channels, H, W), output (B, num_classes).

    Args:
        arch: index, hash or vector. A vector is built as written, not as the canonical one of its class.
        num_classes: outputs of the network.
        space: where indices, hashes and operation numbers are looked up; default the published one.
        in_channels: channels of the images.
        width: channels of the first stage; each stage doubles them.
        cells_per_stage: copies of each stage's cell.
        seed: draw the weights from this seed alone.

    Raises:
        UsageError: an invalid architecture, or a size that is not positive.
    """
    space = space or published_space()
    sizes = {
        "num_classes": num_classes,
        "in_channels": in_channels,
        "width": width,
        "cells_per_stage": cells_per_stage,
    }
    check_counts(**sizes)
    vector = space.nested(arch)
    operations = [operation(name) for name in space.ops]

    from contextlib import nullcontext

    from blockzoo.models.macro import MacroNet
    from blockzoo.models.scaffold import seeded

    with nullcontext() if seed is None else seeded(seed, "network"):
        return MacroNet(
            vector,
            num_classes,
            in_channels=in_channels,
            width=width,
            cells_per_stage=cells_per_stage,
            operations=operations,
        )


def with_doubled_input(network: nn.Module) -> nn.Module:
    """The same network, whose first operation of each cell gets x + x from now on, as an early release of the benchmark had it.

    Raises:
        UsageError: it has no cells.
    """
    from blockzoo.models.macro import Cell

    cells = [module for module in network.modules() if isinstance(module, Cell)]
    if not cells:
        raise UsageError(f"{type(network).__name__} has no cells: give what nas.build makes")
    for cell in cells:
        cell.first_scale = 2
    return network


def operation(name: str) -> Callable[[int], nn.Module]:
    """What makes an operation from a width: one of the space's own, or a block of the zoo at stride 1."""
    from blockzoo.models.macro import OPERATIONS

    if name in OPERATIONS:
        return OPERATIONS[name]
    block = BLOCKS[name]
    return lambda channels: block(channels, channels, 1, "mid")


@SUBJECTS.register("macro")
def macro_network(subject: Subject, spec: NetworkSpec) -> nn.Module:
    """A network of the macro space: `macro:INDEX`, `macro:HASH`, of another width than 32 `macro:INDEX@WIDTH`."""
    name, at, width = subject.name.partition("@")
    if at and not width.isdecimal():
        raise UsageError(f"{subject}: after @ comes the width of the first stage, as in macro:1234@16")
    return build(
        int(name) if name.isdecimal() and len(name) < 32 else name,
        spec.num_classes,
        in_channels=spec.in_channels,
        width=int(width) if at else PUBLISHED_WIDTH,
    )
