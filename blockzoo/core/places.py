"""Where blockzoo keeps what it can make again, and what the user told it once."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Decoded images and computed tables: BLOCKZOO_CACHE, or blockzoo/ in the user's cache folder."""
    if own := os.environ.get("BLOCKZOO_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "blockzoo"


def configuration_folder() -> Path:
    """What the user decided: BLOCKZOO_CONFIG, or blockzoo/ in the user's configuration folder."""
    if own := os.environ.get("BLOCKZOO_CONFIG"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "blockzoo"
