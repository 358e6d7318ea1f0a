"""What images are, as a digest of their content: where a name can stand for any, their digest is part of the request."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from blockzoo.core.errors import DataError
from blockzoo.data.cache import cached_array
from blockzoo.data.images import ImageData

WHOLE = 4 * 2**30
"""Bytes of a tree up to which all of it is read."""
SAMPLED = 4096
"""Files whose content is read of a larger one."""
SIZE = 16  # bytes of a digest
PIECE = 2**20

File = tuple[Path, int]  # an image and its label


def digest_of_files(root: Path, parts: Mapping[str, Sequence[File]]) -> str:
    """Of the files of each split: names within `root`, labels, sizes and content; wherever `root` lies.

    Content is that of all files up to 4 GiB, and of 4,096 files from all over a larger tree: an image of it that is replaced by
    one of as many bytes may then go unnoticed. It is read again once a file has changed (its size, or the times of its change).

    Raises:
        DataError: a file cannot be read.
    """
    before = os.fsencode(root) + os.sep.encode()
    entries = [(part, path, label) for part, files in parts.items() for path, label in files]
    names, stamps, total = hashlib.blake2b(digest_size=SIZE), hashlib.sha256(os.fsencode(root.resolve())), 0
    for part, path, label in entries:
        try:
            stat = os.stat(path)  # noqa: PTH116  (of a million files)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        within = os.fsencode(path).removeprefix(before)
        name = b"%s %d %d %s\n" % (part.encode(), label, stat.st_size, within)
        names.update(name)
        stamps.update(b"%d %d %s" % (stat.st_mtime_ns, stat.st_ctime_ns, name))
        total += stat.st_size
    step = 1 if total <= WHOLE else -(-len(entries) // SAMPLED)
    chosen = [path for _, path, _ in entries[::step]]

    def fill(out: np.ndarray) -> None:
        digest = names.copy()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for content in pool.map(_digest_of_file, chosen):
                digest.update(content)
        out[:] = np.frombuffer(digest.digest(), np.uint8)

    return cached_array("content-v1", stamps.hexdigest(), (SIZE,), np.uint8, fill).tobytes().hex()


def digest_of(data: ImageData) -> str:
    """Of images at hand, and of all that a training makes of them; of those in files, see `digest_of_files`."""
    facts = data.shape, data.margin, data.num_classes, data.mean, data.std, data.flip, data.kept
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=SIZE)
    for part, (images, labels) in (("train", data.train), ("val", data.val), ("test", data.test)):
        digest.update(f"{part} {images.shape} {labels.shape}".encode())
        digest.update(np.ascontiguousarray(labels).data)
        if images.dtype.kind == "S":
            files = [(Path(os.fsdecode(path)), 0) for path in images]
            root = Path(os.path.commonpath([path.parent for path, _ in files]))
            digest.update(digest_of_files(root, {part: files}).encode())
        else:
            digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def _digest_of_file(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=SIZE)
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return digest.digest()
