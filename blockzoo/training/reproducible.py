"""Within: the same bits every time. Threads are those of the request, operations the reproducible ones where there are such."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

CUBLAS = ":4096:8"
"""The workspace with which cuBLAS adds in one order; read when CUDA is first used."""


@contextmanager
def reproducible(threads: int | None) -> Iterator[None]:
    """What is computed within does not depend on the machine's load, its number of cores, or what else runs.

    A sum over several threads is added up in another order than over one, so the number of threads is set, not found. An
    operation that torch has in no reproducible form (some of CUDA's) is used as it is, with torch's warning.

    Args:
        threads: of the processor; None leaves those that the process has.
    """
    before = torch.get_num_threads()
    strict, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    deterministic: Any = torch.utils.deterministic  # a module that sets its attributes by a class
    filled = deterministic.fill_uninitialized_memory
    tuned, fixed = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS)
    try:
        torch.set_num_threads(threads or before)
        torch.use_deterministic_algorithms(True, warn_only=not (strict and not warns))
        deterministic.fill_uninitialized_memory = False  # nothing reads it
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        deterministic.fill_uninitialized_memory = filled
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = tuned, fixed
