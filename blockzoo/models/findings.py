"""What an examination of a block finds, and how it says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Examined:
    """What was found of a block of one shape.

    Args:
        faults: sentences, each of which makes its numbers wrong or not its own.
        notes: sentences that are worth knowing, and change no number.
        deviation: the largest difference between outputs that should be the same, relative.
    """

    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    deviation: float = 0.0


class Broken(Exception):
    """A fault after which nothing else can be tried."""


class Failed(Exception):
    """The block raised."""


def said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(": ")


def listed(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if found[3:] else "")
