"""Where blockzoo keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Decoded images and computed tables: BLOCKZOO_CACHE, or blockzoo/ in the user's cache folder."""
    if own := os.environ.get("BLOCKZOO_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "blockzoo"
