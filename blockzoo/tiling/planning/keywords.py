"""Keyword arguments by name and type: written by `python scripts/settings.py` from the dataclasses of settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict


class CuttingKeywords(TypedDict, total=False):
    """Within what memory a network runs, or which part of it in how many tiles."""

    grid: int | Sequence[int] | None
    fuse_to: str | None
    budget: int | str | None
    mode: Literal["block", "exact"]


class PlanningKeywords(TypedDict, total=False):
    """What a plan is asked for."""

    grid: int | Sequence[int] | None
    fuse_to: str | None
    budget: int | str | None
    mode: Literal["block", "exact"]
    dtype: Literal["fp64", "fp32", "fp16", "bf16", "int8"] | None
    batch: int
    fold: bool
    in_place_depthwise: bool
