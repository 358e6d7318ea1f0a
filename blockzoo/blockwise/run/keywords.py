"""Keyword arguments by name and type: written by `python scripts/settings.py` from the dataclasses of settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class HandlingKeywords(TypedDict, total=False):
    """What becomes of an earlier run of the same configuration, and what is written."""

    resume: bool
    adopt: bool
    restart: bool
    tensorboard: bool
    store: bool


class ProcessesKeywords(TypedDict, total=False):
    """The processes of a distributed run."""

    ranks: int | None
    patience: float
    plugins: Sequence[str]
