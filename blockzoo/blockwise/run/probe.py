"""The largest batch whose real training step fits in memory: doubled until one does not, then bisected.

On a GPU the allocator says when memory ends. A processor's machine would begin to swap or kill; so each size is tried in a child
process whose address space may grow by what is free, and no further.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from blockzoo.blockwise.local import gradients_of
from blockzoo.blockwise.run.frame import Frame
from blockzoo.core.errors import OutOfMemory

SAFE_SHARE = 0.8
"""Of the free memory of a machine without a GPU, what a step may take."""


def largest_batch_size(frame: Frame, most: int | None = None) -> int:
    """The largest batch size, at most that of all training examples, with which a step of the whole network runs.

    Raises:
        OutOfMemory: a batch of one does not fit.
    """
    most = most or len(frame.train)
    on_gpu = next(frame.model.parameters()).is_cuda
    return largest(lambda size: _runs(frame, size) if on_gpu else _runs_in_a_child(frame, size), most)


def largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest size of 1 to `most` that fits, by doubling and bisecting; sizes above one that does not fit do not either.

    Raises:
        OutOfMemory: 1 does not.
    """
    if not fits(1):
        raise OutOfMemory(
            "not even a batch of one example fits in memory; choose a smaller network or smaller images"
        )
    good = 1
    while good < most:
        tried = min(2 * good, most)
        if not fits(tried):
            break
        good = tried
    else:
        return good
    bad = min(2 * good, most)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def _step(frame: Frame, size: int) -> None:
    """Forward and backward of the whole network, on examples repeated as needed."""
    places = torch.arange(size, device=frame.train.x.device) % len(frame.train)
    frame.model.train()
    gradients_of(frame.loss(frame.train.x[places], frame.train.y[places]), frame.whole.parameters)


def _runs(frame: Frame, size: int) -> bool:
    try:
        _step(frame, size)
        torch.cuda.synchronize()
        return True
    except torch.OutOfMemoryError:
        return False
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def _runs_in_a_child(frame: Frame, size: int) -> bool:
    process = multiprocessing.get_context("fork").Process(target=_limited_step, args=(frame, size))
    process.start()
    process.join()
    return process.exitcode == 0


def _limited_step(frame: Frame, size: int) -> None:
    torch.set_num_threads(1)  # a forked child has no thread pool
    faulthandler.disable()  # a batch that is too large may end this process; that is an answer, not a fault
    limit = _address_space() + int(SAFE_SHARE * free_memory())
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        _step(frame, size)
    except (RuntimeError, MemoryError):
        sys.exit(1)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def free_memory() -> int:
    """Bytes this machine could still give to a process, Linux only."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024
