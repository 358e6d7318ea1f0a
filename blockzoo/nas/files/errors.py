"""What can be wrong with a dataset file."""

from __future__ import annotations

from blockzoo.core.documents import describe
from blockzoo.core.errors import DataError

__all__ = ["DamagedFile", "describe"]


class DamagedFile(DataError):
    """A dataset file is truncated, altered or not what its header says. `read` adds the path in front."""
