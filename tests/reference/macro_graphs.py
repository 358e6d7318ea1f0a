"""The macro space the slow way: one explicit graph per vector, pruned and hashed as the published text says.

Nothing of `blockzoo.nas` is used here.
"""

from __future__ import annotations

import itertools
from hashlib import md5
from typing import Any

Arch = list[list[list[int]]]


def all_vectors(stages: int) -> Any:
    """Every vector of `stages` cells of two nodes, the first coordinate fastest."""
    options = [3, 3, 2, 2, 2] * stages
    for slow_first in itertools.product(*(range(n) for n in reversed(options))):
        flat = slow_first[::-1]
        yield [[[flat[i]], list(flat[i + 1 : i + 5])] for i in range(0, len(flat), 5)]


def graph(arch: Arch) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """Labels by vertex and edges, unpruned."""
    labels, edges, entry = {"in": -1}, set(), "in"
    for stage, ((op1,), (op2, prev, inp, sc)) in enumerate(arch):
        one, two, reduction = f"{stage}.1", f"{stage}.2", f"{stage}.r"
        labels |= {one: op1 + 4 * stage, two: op2 + 4 * stage, reduction: 3 + 4 * stage}
        edges |= {(entry, one), (two, reduction)}
        edges |= {(one, two)} if prev else set()
        edges |= {(entry, two)} if inp else set()
        edges |= {(one, reduction)} if sc else set()
        entry = reduction
    labels["out"] = -2
    edges.add((entry, "out"))
    return labels, edges


def reached(start: str, edges: set[tuple[str, str]]) -> set[str]:
    vertices = {start}
    while more := {b for a, b in edges if a in vertices} - vertices:
        vertices |= more
    return vertices


def pruned(arch: Arch) -> tuple[dict[str, int], set[tuple[str, str]]] | None:
    labels, edges = graph(arch)
    live = reached("in", edges) & reached("out", {(b, a) for a, b in edges})
    if "in" not in live:
        return None
    return {v: label for v, label in labels.items() if v in live}, {
        (a, b) for a, b in edges if {a, b} <= live
    }


def hash_of(arch: Arch) -> str | None:
    live = pruned(arch)
    if live is None:
        return None
    labels, edges = live
    into = {v: [a for a, b in edges if b == v] for v in labels}
    out = {v: [b for a, b in edges if a == v] for v in labels}
    h = {
        v: md5(str((float(len(out[v])), float(len(into[v])), label)).encode()).hexdigest()
        for v, label in labels.items()
    }
    for _ in labels:
        h = {
            v: md5(
                (
                    "".join(sorted(h[u] for u in into[v]))
                    + "|"
                    + "".join(sorted(h[u] for u in out[v]))
                    + "|"
                    + h[v]
                ).encode()
            ).hexdigest()
            for v in labels
        }
    return md5(str(sorted(h.values())).encode()).hexdigest()


def isomorphic(a: Arch, b: Arch) -> bool:
    """By trying every renaming of vertices that keeps labels."""
    one, two = pruned(a), pruned(b)
    if one is None or two is None:
        return one is two
    if sorted(one[0].values()) != sorted(two[0].values()) or len(one[1]) != len(two[1]):
        return False
    labels = sorted(set(one[0].values()))
    ours, theirs = ([[v for v in g[0] if g[0][v] == label] for label in labels] for g in (one, two))
    for orders in itertools.product(*(itertools.permutations(group) for group in theirs)):
        renamed = {
            v: w for group, order in zip(ours, orders, strict=True) for v, w in zip(group, order, strict=True)
        }
        if {(renamed[x], renamed[y]) for x, y in one[1]} == two[1]:
            return True
    return False
