"""How networks can be timed: dtypes and memory formats by the names people type."""

from __future__ import annotations

from collections.abc import Sequence

from blockzoo.core.errors import UsageError

DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
LAYOUTS = {"contiguous": "contiguous_format", "channels_last": "channels_last"}


def check_options(batch_sizes: Sequence[int], dtype: str, memory_format: str) -> None:
    """All faults of the options at once, as a UsageError."""
    faults = []
    if not batch_sizes:
        faults.append("batch sizes: give at least one")
    if dtype not in DTYPES:
        faults.append(f"dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
    if memory_format not in LAYOUTS:
        faults.append(f"memory format {memory_format!r}: choose one of {', '.join(LAYOUTS)}")
    if faults:
        raise UsageError("\n".join(faults))
