"""The functions of the published package's `graph_utils`, by its names: a graph is (matrix, labels).

`matrix[a, b]` is 1 for an edge from a to b; a label is (name of the operation, stage), `('input', None)`, `('reduction', stage)`,
`('output', None)`. Drawing is `blockzoo nas draw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import UsageError
from blockzoo.nas.space.cells import raw_edges
from blockzoo.nas.space.hashing import INPUT, OUTPUT, label_of
from blockzoo.nas.space.hashing import graph_hash as hash_of_labels
from blockzoo.nas.space.macro import Architecture
from blockzoo.nas.space.search_space import _space_of_vector

VertexLabel = tuple[str, int | None] | None
PublishedGraph = tuple[npt.NDArray[np.float64], list[VertexLabel]]


def get_model_graph(
    arch_vector: Architecture,
    ops: Sequence[str] | None = None,
    minimize: bool = True,
    keep_dims: bool = False,
) -> tuple[PublishedGraph, PublishedGraph | None]:
    """The graph of a network, and with `minimize` the full one beside it.

    Args:
        arch_vector: a vector by stage and node, or another name of a network of the published space.
        ops: names of the operations that its numbers stand for.
        minimize: drop vertices on no path from input to output; an empty graph where there is no such path.
        keep_dims: keep the rows of dropped vertices, empty and with the label None.
    """
    space = _space_of_vector(arch_vector, ops)
    full = _full_graph(space.nested_as_written(arch_vector), space.ops)
    if not minimize:
        return full, None
    matrix, labels = full[0].copy(), list(full[1])
    live = _reachable(matrix, 0) & _reachable(matrix.T, len(labels) - 1)
    if keep_dims:
        matrix[~live], matrix[:, ~live] = 0, 0
        return (matrix, [label if on else None for label, on in zip(labels, live, strict=True)]), full
    live_labels = [label for label, on in zip(labels, live, strict=True) if on]
    return (matrix[np.ix_(live, live)], live_labels), full


def _full_graph(vector: Sequence[Sequence[Sequence[int]]], ops: Sequence[str]) -> PublishedGraph:
    labels: list[VertexLabel] = [("input", None)]
    edges = []
    for stage, cell in enumerate(vector):
        entry, nodes = len(labels) - 1, len(cell)
        flat = [value for node in cell for value in node]
        edges += [(entry + a, entry + b) for a, b in raw_edges(flat, nodes)]
        labels += [(ops[node[0]], stage) for node in cell]
        labels.append(("reduction", stage))
    labels.append(("output", None))
    edges.append((len(labels) - 2, len(labels) - 1))
    matrix = np.zeros((len(labels), len(labels)))
    for a, b in edges:
        matrix[a, b] = 1
    return matrix, labels


def _reachable(matrix: npt.NDArray[np.float64], start: int) -> npt.NDArray[np.bool_]:
    """(vertices,): those that a path of edges leads to."""
    reached = np.zeros(len(matrix), bool)
    reached[start] = True
    while (more := reached | (matrix[reached].any(0))).sum() > reached.sum():
        reached = more
    return reached


def is_empty(g: PublishedGraph) -> bool:
    """Leads nothing from the input to the output?"""
    return not g[1]


def graph_hash(g: PublishedGraph) -> str:
    """The published hash of a graph.

    Raises:
        UsageError: no graph of this module.
    """
    try:
        matrix = g[0]
        labels: Any = g[1]  # None stands for a vertex that was dropped
        numbers = [
            INPUT if name == "input" else OUTPUT if name == "output" else label_of(name, int(stage or 0))
            for name, stage in labels
        ]
        before = [np.flatnonzero(matrix[:, v]).tolist() for v in range(len(labels))]
        after = [np.flatnonzero(matrix[v]).tolist() for v in range(len(labels))]
    except (TypeError, ValueError, IndexError):
        raise UsageError(
            "give a graph of get_model_graph: (matrix, labels), without dropped vertices"
        ) from None
    return hash_of_labels(numbers, before, after)
