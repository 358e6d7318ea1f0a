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
    all_names = list(names)
    return ", ".join(all_names[:3]) + (f" and {len(all_names) - 3} more" if all_names[3:] else "")


def misshaped(shape: tuple[int, ...], given: tuple[int, ...], out_channels: int, stride: int) -> str:
    """What is wrong with the shape that a block made of maps of shape `given` (B, C, H, W)."""
    wanted = tuple(-(-n // stride) for n in given[2:])
    if len(shape) != 4:
        return f"gives shape {shape} for an input of {given}: four numbers B C H W are wanted"
    faults = []
    if shape[0] != given[0]:
        faults.append(f"makes {shape[0]} images of {given[0]}")
    if shape[1] != out_channels:
        faults.append(f"gives {shape[1]} channels where {out_channels} are asked for")
    if shape[2:] != wanted:
        ignored = stride != 1 and shape[2:] == given[2:]
        faults.append(
            f"ignores stride {stride}"
            if ignored
            else f"makes {shape[2]} x {shape[3]} of {given[2]} x {given[3]}, not {wanted[0]} x {wanted[1]}"
        )
    arguments = f"at in_channels {given[1]}, out_channels {out_channels}, stride {stride}"
    return f"{' and '.join(faults)} ({arguments})"
