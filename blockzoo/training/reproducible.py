"""Within: the same bits every time, whatever a program or an environment has set.

Threads are those of the request, operations the reproducible ones where there are such, and all else is as torch begins.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from blockzoo.core.environment import arithmetic
from blockzoo.core.said import say_once

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
    if overrides := arithmetic():
        say_once(
            f"{overrides}: the environment asks for other arithmetic, so numbers are as on another kind of processor"
        )
    try:
        torch.set_num_threads(threads or before)
        torch.use_deterministic_algorithms(True, warn_only=not (strict and not warns))
        deterministic.fill_uninitialized_memory = False  # nothing reads it
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
        with _as_torch_begins():
            yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        deterministic.fill_uninitialized_memory = filled
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = tuned, fixed


@contextmanager
def _as_torch_begins() -> Iterator[None]:
    """Within, tensors are float32 on the processor unless said otherwise, and kernels oneDNN's, whatever a program has set."""
    mkldnn: Any = torch.backends.mkldnn  # as above
    dtype, fast = torch.get_default_dtype(), mkldnn.enabled
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in filter(torch.is_autocast_enabled, ("cpu", "cuda")):
            stack.enter_context(torch.autocast(kind, enabled=False))
        try:
            torch.set_default_dtype(torch.float32)
            mkldnn.enabled = True
            yield
        finally:
            torch.set_default_dtype(dtype)
            mkldnn.enabled = fast


@contextmanager
def without_variables(prefix: str) -> Iterator[None]:
    """Within, this process has no environment variable whose name begins so.

    Lightning's trainer takes PL_TRAINER_GRADIENT_CLIP_VAL and the like for arguments that it is not given: a request would
    come to other numbers than it says.
    """
    removed = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(prefix)}
    try:
        yield
    finally:
        os.environ.update(removed)
