"""From the name of a block to its class, wherever it lives."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from blockzoo.blocks.adapters import adapted
from blockzoo.blocks.attention import attended
from blockzoo.blocks.converted import converted
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import load_object
from blockzoo.core.subject import Subject


def block_class(subject: Subject) -> Callable[..., nn.Module]:
    """The class behind a block: from the zoo, a plugin, or the user's own file or package.

    Raises:
        UsageError: the file or package has no such class.
    """
    maker: Callable[..., nn.Module]
    if subject.wrapped and subject.is_block:
        options = subject.name.partition(":")[0]
        return converted(adapted(block_class(subject.wrapped)), subject.prefix, options)
    if not subject.is_block:
        raise UsageError(f"{subject} is a whole network, not a block: it has no position in the scaffold")
    named, plus, attention = subject.name.partition("+")
    origin, _, name = named.rpartition(":")
    maker = BLOCKS[named] if subject.prefix == "block" else load_object(origin, name)
    return attended(adapted(maker), attention) if plus else maker
