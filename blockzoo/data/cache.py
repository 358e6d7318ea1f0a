"""Decoded images on disk, so that each file is decoded once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blockzoo.core.errors import StoreError
from blockzoo.core.files import write_atomically
from blockzoo.data.images import Images
from blockzoo.data.load import cache_folder

log = logging.getLogger(__name__)


def cached(sources: Sequence[Path], what: str, decode: Callable[[], Images]) -> Images:
    """The images of `sources`, from the cache if they are there unharmed, else decoded and put there.

    The key holds path, size and time of change of each source, so a changed file is decoded anew. A cache that
    cannot be written costs time, nothing else. Images come memory-mapped.
    """
    story = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in sources]
    key = hashlib.sha256(repr((what, story)).encode()).hexdigest()[:16]
    base = cache_folder() / "images" / f"{what}-{key}"
    paths = base.with_name(base.name + "-images.npy"), base.with_name(base.name + "-labels.npy")
    if (found := _read(paths)) is not None:
        return found
    images = decode()
    try:
        write_atomically(paths[0], lambda t: np.save(t, images.images))
        write_atomically(paths[1], lambda t: np.save(t, images.labels))
    except StoreError as error:
        log.info("decoded images are not cached: %s", error)
    return images


def _read(paths: tuple[Path, Path]) -> Images | None:
    try:
        images: Any = np.load(paths[0], mmap_mode="r", allow_pickle=False)
        labels: Any = np.load(paths[1], allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return Images(images, labels) if len(images) == len(labels) and images.ndim == 4 else None
