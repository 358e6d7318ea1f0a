"""Some of the images: a seeded draw in which every class has its share, so that no subset is "the first classes"."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.errors import DataError, UsageError
from blockzoo.core.units import gib

if TYPE_CHECKING:
    from jaxtyping import Int


VERSION = "v1"
"""Of the draw: part of the name of every split that is made by it, and of the identity of trials on one."""


def drawn(labels: Int[np.ndarray, " N"], count: int, seed: int = 0) -> Int[np.ndarray, " count"]:
    """Indices (count,) of a draw without repetition, in the order in which they were drawn.

    Of every class there are as many as its share of all labels asks for, to less than one image; within a class chance
    decides. A smaller draw of the same labels and seed is the beginning of a larger one, so what looks at the first
    images of a draw sees every class too. Equal on every machine.

    Args:
        labels: (N,) classes as whole numbers. Of numbers that are no classes (N, ...), any `count` are drawn.
        count: 1 to N.
        seed: of the draw.

    Raises:
        UsageError: there are not so many images.

    Source: the quota method of Balinski and Young, 1975, which keeps within one of every share at every length.
    """
    order = seeded_order(len(labels), seed)
    if not 1 <= count <= len(labels):
        raise UsageError(f"{count} of {len(labels)} images: give 1 to {len(labels)}")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return order[:count]
    classes = labels[order]
    _, first, sizes = np.unique(classes, return_index=True, return_counts=True)
    by_class = np.split(order[np.argsort(classes, kind="stable")], np.cumsum(sizes)[:-1])
    chance = np.argsort(first)  # which class comes first among equals
    turns = chance[_turns(sizes[chance].tolist(), count)]
    counts = np.bincount(turns, minlength=len(sizes))
    result = np.empty(count, np.int64)
    result[np.argsort(turns, kind="stable")] = np.concatenate(
        [own[:n] for own, n in zip(by_class, counts, strict=True)]
    )
    return result


def seeded_order(count: int, seed: int = 0) -> Int[np.ndarray, " count"]:
    """A permutation that is the same on every machine and in every version of numpy."""
    return np.argsort(np.random.Generator(np.random.PCG64(seed)).random(count), kind="stable")


def check_room(needed: int, what: str) -> None:
    """DataError where `needed` bytes are more than the memory that is free."""
    import psutil

    free = psutil.virtual_memory().available
    if needed > free:
        raise DataError(
            f"{what} take {gib(needed)} of memory and {gib(free)} are free: "
            "take fewer of them, or a smaller --image-size"
        )


def _turns(sizes: list[int], count: int) -> np.ndarray:
    """(count,) which class is drawn from at each turn: after h turns, one of n has had more than hn/N - 1 and less than hn/N + 1.

    A class may be drawn from again once its share has grown past what it has had; of those that may, the one goes first
    whose share will soonest be a whole image more than that.
    """
    total = sum(sizes)
    had = [0] * len(sizes)
    waiting = [(1, which) for which in range(len(sizes))]  # (turn from which it may be drawn, class)
    ready: list[tuple[int, int]] = []  # (turn by which it must be drawn, class)
    turns = np.empty(count, np.int64)
    for turn in range(1, count + 1):
        while waiting and waiting[0][0] <= turn:
            _, which = heapq.heappop(waiting)
            heapq.heappush(ready, (-(-(had[which] + 1) * total // sizes[which]), which))
        _, which = heapq.heappop(ready)
        turns[turn - 1] = which
        had[which] += 1
        if had[which] < sizes[which]:
            heapq.heappush(waiting, (had[which] * total // sizes[which] + 1, which))
    return turns
