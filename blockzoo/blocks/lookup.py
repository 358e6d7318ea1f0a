"""From the name of a block to its class, wherever it lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import RequestError
from blockzoo.core.plugins import load_module
from blockzoo.core.subject import Subject


def block_class(subject: Subject) -> Callable[..., nn.Module]:
    """The class behind a block: from the zoo, a plugin, or the user's own file or package.

    Raises:
        RequestError: the file or package has no such class.
    """
    if subject.prefix == "block":
        return BLOCKS[subject.name]
    if subject.prefix != "code":
        raise RequestError(f"{subject} is a whole network, not a block: it has no position in the scaffold")
    origin, _, name = subject.name.rpartition(":")
    found: Any = getattr(load_module(origin), name, None)
    if not callable(found):
        raise RequestError(f"{origin} has no class {name!r}")
    return found


def registered_name(block: Any) -> str | None:
    """The name a class is registered under, if it is."""
    name = getattr(block, "__name__", "")
    candidates = [n for n in BLOCKS.names(variants=True) if n.partition("@")[0] in name]
    return next((n for n in candidates if BLOCKS[n] is block), None)
