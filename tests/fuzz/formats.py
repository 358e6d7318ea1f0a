"""The door: one entry for each format that a reader of this project takes.

    @fuzzed("units", text=True)
    class Units:
        def write(folder): ...   # the project's own writers make a file, or several; returns their paths
        def read(path): ...      # the content, or an error of the project's own

Mutations are written over the file, in its place; what lies beside it (a checksum, the rest of a run) stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

MIB = 1 << 20


@dataclass(frozen=True)
class Format:
    """A format and what its reader promises.

    Args:
        name: of the format.
        write: makes the seeded corpus in an empty folder and returns the files that are damaged.
        read: what the reader makes of a file.
        checksum: the format tells damage, so that other content is never returned.
        text: also damage it as structured text.
        multiple, floor: memory stays below `floor + multiple * size of the file`.
        seconds: of the processor, for one file.
        quick: mutations in the quick suite.
    """

    name: str
    write: Callable[[Path], Sequence[Path]]
    read: Callable[[Path], Any]
    checksum: bool = False
    text: bool = False
    multiple: int = 128
    floor: int = 64 * MIB
    seconds: float = 5.0
    quick: int = 300


FORMATS: dict[str, Format] = {}


def fuzzed(name: str, **promises: Any) -> Callable[[type], type]:
    """Register a class with `write(folder)` and `read(path)` as a format."""

    def register(entry: type) -> type:
        made = vars(entry)["write"], vars(entry)["read"]
        write, read = (m.__func__ if isinstance(m, staticmethod) else m for m in made)
        FORMATS[name] = Format(name, lambda folder: _paths(write(folder)), read, **promises)
        return entry

    return register


def _paths(made: Path | Sequence[Path]) -> Sequence[Path]:
    return [made] if isinstance(made, Path) else made


def content_digest(value: Any) -> str:
    """Equal for equal content: names, numbers, text, arrays, tensors, and whatever holds these."""
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if hasattr(part, "detach"):  # a tensor
            part = part.detach().cpu().contiguous().numpy()
        if is_dataclass(part) and not isinstance(part, type):
            part = asdict(part)
        if isinstance(part, np.ndarray) and part.dtype != object:
            digest.update(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        elif isinstance(part, Mapping):
            for key in sorted(part, key=repr):
                add(key)
                add(part[key])
        elif isinstance(part, (list, tuple, np.ndarray)):
            digest.update(f"[{len(part)}".encode())
            for inner in part:
                add(inner)
        else:
            digest.update(repr(part).encode() + b"\0")

    add(value)
    return digest.hexdigest()
