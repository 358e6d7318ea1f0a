"""Where datasets are looked for, and the error when one is nowhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from blockzoo.core.errors import DataError
from blockzoo.core.places import cache_folder


def search_roots(data_dir: str | Path | None = None) -> list[Path]:
    """Folders that datasets are looked for in: `data_dir` alone, or BLOCKZOO_DATA, ./data and the cache."""
    if data_dir is not None:
        return [Path(data_dir).expanduser()]
    named = [Path(p).expanduser() for p in os.environ.get("BLOCKZOO_DATA", "").split(os.pathsep) if p]
    return [*named, Path("data"), cache_folder() / "data"]


class DatasetNotFound(DataError):
    """A dataset is in none of the folders. Says what was expected where, and what to do.

    Args:
        name: the dataset.
        looked_at: every path that would have been taken.
        expected: what one of them must hold.
        reason: why it is not downloaded instead, to follow "... was not found and".
    """

    def __init__(self, name: str, looked_at: Sequence[Path], expected: str, reason: str) -> None:
        self.reason = reason
        places = "\n".join(f"  {path}" for path in looked_at)
        super().__init__(
            f"dataset {name} was not found and {reason}.\n"
            f"Expected {expected}. Looked at:\n{places}\n"
            "Place it there, name the folder that holds it with --data-dir or in the variable BLOCKZOO_DATA, "
            "or go on with --dataset digits, which needs no files."
        )
