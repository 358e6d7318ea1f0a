"""How much memory a file may take: a multiple of its size, or what --max-memory says. Readers ask before they allocate.

A small file may take `FLOOR` whatever it holds; beyond that, `MULTIPLE` bytes for each of its own. Compressed and repeated
content (zeros, one text a million times) is where a file takes more than it weighs; whoever trusts a file that does gives
--max-memory, or BLOCKZOO_MAX_MEMORY.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.units import rough_size

VARIABLE = "BLOCKZOO_MAX_MEMORY"
FLOOR = 64 << 20
MULTIPLE = 128
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


class TooLarge(DataError):
    """A file would take more memory than its size allows."""


def allowance(size: int, floor: int = FLOOR, multiple: int = MULTIPLE) -> int:
    """Bytes of memory that the content of a file of `size` bytes may take."""
    stated = os.environ.get(VARIABLE)
    return memory_size(stated) if stated else floor + multiple * size


@contextmanager
def allowing(stated: str | None) -> Iterator[None]:
    """Within, also in processes that are started, every file may take so much; None: what its size allows.

    Raises:
        UsageError: no size.
    """
    earlier = os.environ.get(VARIABLE)
    if stated is not None:
        memory_size(stated)
        os.environ[VARIABLE] = stated
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if earlier is not None:
            os.environ[VARIABLE] = earlier


def check_room(needed: int, allowed: int, what: str) -> None:
    """Refuse what would take more than is allowed.

    Raises:
        TooLarge: with both sizes and the remedy.
    """
    if needed > allowed:
        raise TooLarge(
            f"{what} would take {rough_size(needed)}, more than the {rough_size(allowed)} that its size allows; where you "
            f"trust it, --max-memory {rough_size(2 * needed).replace(' ', '')} lifts this"
        )


def memory_size(text: str) -> int:
    """Bytes of `500MB`, `8GiB` or `8g`: powers of 1024, whichever way they are written.

    Raises:
        UsageError: no size.
    """
    match = re.fullmatch(
        r"(\d{1,9}(?:\.\d{1,3})?) ?([kmgt]?)(?:i?b)?", text.strip(), re.IGNORECASE | re.ASCII
    )
    size = int(float(match[1]) * 2 ** _UNITS[match[2].lower()]) if match else 0
    if size <= 0:
        raise UsageError(f"--max-memory {text!r}: give a size such as 8GiB")
    return size
