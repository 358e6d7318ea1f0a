"""Keyword arguments by name and type: written by `python scripts/settings.py` from the dataclasses of settings."""

from __future__ import annotations

from typing import Literal, TypedDict


class SearchingKeywords(TypedDict, total=False):
    """How a coupling map is searched for."""

    rank: int
    tol: float
    seed: int
    failure: float
    matrix: Literal["hessian", "ggn"]
    max_products: int | None
    max_seconds: float | None
