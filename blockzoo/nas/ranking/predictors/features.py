"""Architectures as vectors of numbers: what is in each stage, and every pair of these."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from blockzoo.nas.space.cells import CellGraph
from blockzoo.nas.space.macro import Indices, MacroSpace

Features = npt.NDArray[np.float64]


@cache
def cell_features(space: MacroSpace) -> Features:
    """(cells, features): one-hot of first and last operation, counts, and how the nodes are joined."""
    ops = len(space.ops)
    return np.array([_of_cell(graph, ops) for graph in space.cells.graphs])


def _of_cell(graph: CellGraph, ops: int) -> list[float]:
    nodes, output = len(graph.ops), len(graph.ops) + 1
    one_hot = np.eye(ops)
    depth = [0] * (output + 1)
    for a, b in sorted(graph.edges, key=lambda edge: edge[1]):
        depth[b] = max(depth[b], depth[a] + 1)
    sources = [a for a, b in graph.edges if b == output]
    inner = [(a, b) for a, b in graph.edges if a > 0 and b < output]
    from_input = [b for a, b in graph.edges if a == 0]
    return [
        *one_hot[graph.ops[0]],
        *one_hot[graph.ops[-1]],
        *(float(graph.ops.count(op)) for op in range(ops)),
        float(nodes),
        float(depth[output]),
        float(len(sources) > 1),
        float(bool(inner)),
        float(len(from_input) > 1),
    ]


@cache
def standardised_cell_features(space: MacroSpace) -> Features:
    """(cells, features): `cell_features` with mean 0 and deviation 1 over cells."""
    raw = cell_features(space)
    scale = raw.std(0)
    return np.asarray((raw - raw.mean(0)) / np.where(scale > 0, scale, 1))


def one_hot_pairs(space: MacroSpace, indices: Indices, weight: float) -> Features:
    """(N, features): which cell is in each stage (one-hot), its standardised features, and all products of two of these.

    Args:
        space: that the indices are of.
        indices: (N,) of the networks.
        weight: of the one-hot part: how much a cell's own effect counts beside that of its features.
    """
    digits = space.digits(indices)
    single = standardised_cell_features(space)[digits].reshape(len(indices), -1)
    left, right = np.triu_indices(single.shape[1])
    which = weight * np.eye(len(space.cells))[digits].reshape(len(indices), -1)
    return np.concatenate([which, single, single[:, left] * single[:, right]], axis=1)
