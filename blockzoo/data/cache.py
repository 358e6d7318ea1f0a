"""Decoded arrays on disk, so that each file is decoded once and its pages are shared between processes."""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.arrays import add_sums, open_array
from blockzoo.core.errors import DataError, StoreError
from blockzoo.core.files import write_atomically
from blockzoo.core.once import made_once
from blockzoo.core.places import cache_folder
from blockzoo.core.units import gib

log = logging.getLogger(__name__)


def cached_array(
    what: str,
    story: object,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    fill: Callable[[np.ndarray], object],
) -> np.ndarray:
    """The array that `fill` makes, memory-mapped from the cache; made and put there where absent or damaged, by one process.

    Each opening reads all of it once, to compare its checksums.

    A cache that cannot be written costs time and memory, nothing else. Writing into the array that is
    returned does not change the cache.

    Args:
        what: name of the content, with its version; becomes part of the file name.
        story: all that the content depends on, in a form whose `repr` is stable.
        shape: of the array.
        dtype: of its elements.
        fill: writes every element of the empty array it is given.
    """
    key = hashlib.sha256(repr((what, story, shape)).encode()).hexdigest()[:16]
    path = cache_folder() / "arrays" / f"{what}-{key}.npy"
    needed = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize

    def write(temporary: Path) -> None:
        # a memory map on a full disk ends the process with SIGBUS, so look first
        if shutil.disk_usage(temporary.parent).free < needed:
            raise OSError(errno.ENOSPC, f"{gib(needed)} do not fit on the disk")
        array = np.lib.format.open_memmap(temporary, "w+", dtype, shape)
        fill(array)
        array.flush()
        add_sums(temporary)

    def make() -> np.ndarray:
        array = None
        try:
            write_atomically(path, write)
        except StoreError as error:
            log.info("decoded images are not cached: %s", error)
        else:
            array = _open(path, shape, dtype)
        return _in_memory(what, shape, dtype, needed, fill) if array is None else array

    return made_once(path, lambda: _open(path, shape, dtype), make)


def stamps(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Path, size and time of change of each file: differs when one of them was replaced."""
    facts = [(path, path.stat()) for path in files]
    return [(str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path, stat in facts]


def _open(path: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray | None:
    try:
        array: Any = open_array(path)
    except FileNotFoundError:
        return None
    except (OSError, DataError) as error:
        log.warning("%s: it is made anew", error)
        return None
    return array if array.shape == shape and array.dtype == dtype else None


def _in_memory(
    what: str, shape: tuple[int, ...], dtype: Any, needed: int, fill: Callable[[np.ndarray], object]
) -> np.ndarray:
    check_memory(
        f"{what}: the cache {cache_folder()} cannot hold it, so set BLOCKZOO_CACHE to a folder with room",
        needed,
    )
    array = np.empty(shape, dtype)
    fill(array)
    return array


def check_memory(what: str, needed: int) -> None:
    """Refuse what the machine has no room for, before it takes any.

    Raises:
        DataError: so many bytes are not free; `what` says of what.
    """
    import psutil

    free = psutil.virtual_memory().available
    if needed > free:
        raise DataError(
            f"{what}; it needs {gib(needed)}, and {gib(free)} of memory are free: take a smaller --image-size"
        )
