"""The prefix `celled:`: a network of the macro space whose cells are one block each, as a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blockzoo.core.contracts import SUBJECTS
from blockzoo.core.errors import UsageError
from blockzoo.core.subject import Subject
from blockzoo.nas.space.macro import MacroSpace
from blockzoo.nas.space.published import published_space

if TYPE_CHECKING:
    from torch import nn

    from blockzoo.core.spec import NetworkSpec

STAGES = 3
"""Of the space."""
ALONE = [0, 0, 0, 1]
"""A second node that reads nothing, past which the first one is the output."""


@SUBJECTS.register("celled", tags=("wrapper",))
def cell_network(subject: Subject, spec: NetworkSpec) -> nn.Module:
    """A network of the macro space with a block as the one node of each of its cells: `celled:16:RepMixer`, its first width 16.

    Raises:
        UsageError: no width, or what is no block without a position.
    """
    from blockzoo.blocks.adapters import adapted
    from blockzoo.blocks.lookup import block_class
    from blockzoo.models.macro import MacroNet

    width, _, inner = subject.name.partition(":")
    block = Subject.parse(inner)
    if not width.isdecimal() or not 1 <= int(width) <= 4096:
        raise UsageError(
            f"{subject}: after celled: comes the width of the first stage, as in celled:16:RepMixer"
        )
    if not block.is_block or block.position:
        raise UsageError(f"{subject}: name a block without a position, as in celled:16:RepMixer")
    make = adapted(block_class(block))
    return MacroNet(
        [[[0]]] * STAGES,
        spec.num_classes,
        in_channels=spec.in_channels,
        width=int(width),
        operations=[lambda channels: make(channels, channels, 1, "mid")],
    )


def cell_of_one(operation: str, space: MacroSpace | None = None) -> int:
    """The index of the network whose cells are one node of this operation each.

    Raises:
        UsageError: the space has no such operation.

    Examples:
        >>> cell_of_one("mbconv")
        20710
    """
    space = space or published_space()
    if operation not in space.ops:
        raise UsageError(f"{operation!r}: the operations of this space are {', '.join(space.ops)}")
    vector = [[space.ops.index(operation)], ALONE]
    index = space.index([vector] * space.stages)
    assert index is not None
    return index
