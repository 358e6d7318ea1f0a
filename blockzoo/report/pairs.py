"""Pairs of things, and how many of them two lists of values put in the same order: Kendall's tau."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Pairs = tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]
else:
    Pairs = tuple
"""The places of the two things of each."""


def pairs_of(names: Sequence[str], comparable: Callable[[str, str], bool] | None = None) -> Pairs:
    """All pairs, or those that may be compared."""
    first, second = np.triu_indices(len(names), 1)
    if comparable is None:
        return first, second
    mask = [comparable(names[i], names[j]) for i, j in zip(first.tolist(), second.tolist(), strict=True)]
    return first[mask], second[mask]


def tau_b(
    x: Float[np.ndarray, " things"], y: Float[np.ndarray, " things"], pairs: Pairs | None = None
) -> float:
    """Kendall's tau-b: pairs in the same order less those in the other, ties counted in neither; 0 where one list is all ties.

    Examples:
        Of the six pairs of four things one is in the other order.

        >>> round(tau_b(np.array([1, 2, 3, 4]), np.array([1, 2, 4, 3])), 3)
        0.667
    """
    first, second = np.triu_indices(len(x), 1) if pairs is None else pairs
    signs = [np.sign(of[first] - of[second]) for of in (x, y)]
    untied = math.sqrt(float(np.abs(signs[0]).sum()) * float(np.abs(signs[1]).sum()))
    return float((signs[0] * signs[1]).sum()) / untied if untied else 0.0


def kendall_taus(
    first: Float[np.ndarray, "draws things"],
    second: Float[np.ndarray, "draws things"],
    pairs: Pairs | None = None,
) -> Float[np.ndarray, " draws"]:
    """Kendall's tau of each draw, -1 to 1: pairs in the same order less those in the other, as a share of all."""
    one, other = np.triu_indices(first.shape[1], 1) if pairs is None else pairs
    signs = [np.sign(of[:, one] - of[:, other]) for of in (first, second)]
    return np.asarray((signs[0] * signs[1]).mean(1))
