"""How networks can be timed: dtypes and memory formats by the names people type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from blockzoo.core.errors import UsageError

DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
LAYOUTS = {"contiguous": "contiguous_format", "channels_last": "channels_last"}


class Way(NamedTuple):
    """How a network is run: by which runtime, in which dtype."""

    runtime: str = "eager"
    dtype: str = "fp32"

    def __str__(self) -> str:
        return f"{self.runtime}, {self.dtype}"


def ways_of(runtimes: Sequence[str], dtypes: Sequence[str]) -> list[Way]:
    """Every runtime with every dtype, each once."""
    return list(dict.fromkeys(Way(runtime, dtype) for dtype in dtypes for runtime in runtimes))


def check_ways(batch_sizes: Sequence[int], ways: Sequence[Way], memory_format: str) -> None:
    """All faults of the options at once, as a UsageError."""
    faults = []
    if not batch_sizes:
        faults.append("batch sizes: give at least one")
    if not ways:
        faults.append("runtimes and dtypes: give at least one of each")
    for dtype in dict.fromkeys(way.dtype for way in ways if way.dtype not in DTYPES):
        faults.append(f"dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
    if memory_format not in LAYOUTS:
        faults.append(f"memory format {memory_format!r}: choose one of {', '.join(LAYOUTS)}")
    if faults:
        raise UsageError("\n".join(faults))
