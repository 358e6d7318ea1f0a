"""From the name of a block to its class, wherever it lives."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

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
    if subject.prefix == "block":
        maker = BLOCKS[subject.name]
        return maker
    if not subject.is_block:
        raise UsageError(f"{subject} is a whole network, not a block: it has no position in the scaffold")
    origin, _, name = subject.name.rpartition(":")
    maker = load_object(origin, name)
    return maker
