"""How networks can be timed: number formats and memory formats by the names people type."""

from __future__ import annotations

from collections.abc import Sequence

from blockzoo.core.errors import RequestError

DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
LAYOUTS = {"contiguous": "contiguous_format", "channels_last": "channels_last"}


def check_options(
    batch_sizes: Sequence[int],
    dtype: str,
    memory_format: str,
    threads: int | None,
) -> None:
    """All faults of the options at once, as a RequestError."""
    faults = []
    if not batch_sizes or any(b < 1 for b in batch_sizes):
        faults.append(f"batch sizes {tuple(batch_sizes)}: give positive numbers")
    if dtype not in DTYPES:
        faults.append(f"dtype {dtype!r}: choose one of {', '.join(DTYPES)}")
    if memory_format not in LAYOUTS:
        faults.append(f"memory format {memory_format!r}: choose one of {', '.join(LAYOUTS)}")
    if threads is not None and threads < 1:
        faults.append(f"threads {threads}: give a positive number")
    if faults:
        raise RequestError("\n".join(faults))
