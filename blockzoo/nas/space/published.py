"""The published space of 91,125 networks, and the space that the header of a dataset file states."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from blockzoo.core.documents import first_line
from blockzoo.core.errors import DataError, UsageError
from blockzoo.nas.space.cells import MOST_NODES, vector_count
from blockzoo.nas.space.macro import MacroSpace

MOST_VECTORS_OF_A_FILE = 1 << 16
"""Raw vectors of a cell that a file can state: they are looked at in seconds. The published space has 72."""


@cache
def published_space() -> MacroSpace:
    """The space of 91,125 networks, one object per process."""
    return MacroSpace()


def space_of(header: Mapping[str, Any]) -> MacroSpace:
    """The space that a header states; the published one where it states none.

    Raises:
        DataError: its shape is not that of its ops, nodes and stages.
    """
    stated = header.get("search_space")
    if stated is None:
        return published_space()
    try:
        ops, nodes, stages = stated["ops"], stated["nodes"], stated["stages"]
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (nodes, stages))
        if not (isinstance(ops, list | tuple) and all(isinstance(op, str) for op in ops) and whole):
            raise TypeError("ops are names, nodes and stages whole numbers")
        if nodes > MOST_NODES or vector_count(len(ops), max(nodes, 1)) > MOST_VECTORS_OF_A_FILE:
            raise UsageError(
                f"cells of {nodes} nodes over {len(ops)} ops are more than a file can ask to enumerate"
            )
        space = MacroSpace(tuple(ops), nodes, stages)
        same = stated.get("shape", space.shape) == space.shape
    except (UsageError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"its search_space cannot be: {first_line(error)}") from None
    if not same:
        raise DataError("the shape of its search_space is not that of its ops, nodes and stages")
    return published_space() if space == published_space() else space
