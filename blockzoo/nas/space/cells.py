"""The cell of a macro space and its algebra: which vectors describe the same cell, and which describe none.

A cell has nodes 1..N. Node 1 is `[op]` and reads the cell's input. Node k is `[op, from k-1, ..., from 1, from input, sc]`:
its operation, whether it reads each earlier node and the input (what it reads is summed), and whether node k-1 is also
added to the cell's output. The last node always feeds the output. With two nodes this is `[[op1], [op2, prev, inp, sc]]`.

Nodes on no path from input to output drop out. Two cells are the same if a renaming of their nodes makes them equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import permutations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CellVector = list[list[int]]
INVALID = -1
MOST_NODES, MOST_VECTORS, MOST_RAW = 8, 1 << 19, 1 << 62
"""Of a cell: nodes, and raw vectors, which are all looked at (a minute and 150 MiB at this limit). Of a space: raw vectors."""


def vector_count(num_ops: int, nodes: int) -> int:
    """Raw vectors of a cell, without making one: `num_ops` of each node, and whether it reads what lies before it."""
    return int(num_ops**nodes * 2 ** sum(k + 1 for k in range(2, nodes + 1)))


def faults_of_size(num_ops: int, nodes: int, stages: int) -> list[str]:
    """Why a space is too large to be enumerated, in words; nothing where it is not."""
    if nodes > MOST_NODES or vector_count(num_ops, nodes) > MOST_VECTORS:
        return [
            f"cells of {nodes} nodes over {num_ops} ops have more than {MOST_VECTORS:,} vectors, which are not enumerated: "
            "give fewer nodes or ops"
        ]
    if stages > MOST_RAW.bit_length() or vector_count(num_ops, nodes) ** stages > MOST_RAW:
        return [f"stages {stages}: there are more networks than a number of 64 bits can count"]
    return []


class CellGraph(NamedTuple):
    """A pruned cell: vertex 0 is the input, 1..m the nodes with their `ops`, m+1 the output."""

    ops: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class CellTable:
    """All cells of `nodes` nodes over `num_ops` operations. Rows of raw tables are coded with the first coordinate fastest."""

    num_ops: int
    nodes: int

    @cached_property
    def options(self) -> tuple[int, ...]:
        """Number of values of each flat coordinate: 3, 3, 2, 2, 2 for two nodes over three operations."""
        return tuple(n for node in self.shape for n in node)

    @property
    def shape(self) -> list[list[int]]:
        """`options` node by node, as headers of dataset files write it."""
        return [[self.num_ops]] + [[self.num_ops] + [2] * (k + 1) for k in range(2, self.nodes + 1)]

    @cached_property
    def strides(self) -> npt.NDArray[np.int64]:
        """Weight of each coordinate in a raw code."""
        return np.cumprod([1, *self.options[:-1]], dtype=np.int64)

    @cached_property
    def vectors(self) -> npt.NDArray[np.uint8]:
        """(raw cells, coordinates): every raw vector, by its code."""
        codes = np.arange(int(np.prod(self.options)))
        return np.asarray(codes[:, None] // self.strides % np.array(self.options), np.uint8)

    @cached_property
    def _classes(self) -> tuple[npt.NDArray[np.int64], list[int], list[CellGraph]]:
        ids: dict[CellGraph, int] = {}
        first: list[int] = []
        unique = np.full(len(self.vectors), INVALID)
        for code, vector in enumerate(self.vectors.tolist()):
            graph = canonical_graph(vector, self.nodes)
            if graph is not None:
                if graph not in ids:
                    ids[graph] = len(ids)
                    first.append(code)
                unique[code] = ids[graph]
        return unique, first, list(ids)

    @property
    def unique(self) -> npt.NDArray[np.int64]:
        """(raw cells,): which of the unique cells a raw code describes, numbered by first appearance; -1 for none."""
        return self._classes[0]

    @property
    def first(self) -> list[int]:
        """The raw code at which each unique cell first appears: its canonical vector."""
        return self._classes[1]

    @property
    def graphs(self) -> list[CellGraph]:
        """The graph of each unique cell."""
        return self._classes[2]

    @cached_property
    def multiplicity(self) -> npt.NDArray[np.int64]:
        """(unique cells,): how many raw vectors describe each."""
        return np.bincount(self.unique[self.unique >= 0], minlength=len(self))

    @cached_property
    def neighbours(self) -> list[list[int]]:
        """For each unique cell the others that one changed coordinate of any of its vectors leads to."""
        neighbours: list[set[int]] = [set() for _ in range(len(self))]
        for code, cell in enumerate(self.unique.tolist()):
            if cell == INVALID:
                continue
            for stride, options, value in zip(self.strides, self.options, self.vectors[code], strict=True):
                base = code - int(value) * int(stride)
                neighbours[cell].update(
                    self.unique[base : base + options * int(stride) : int(stride)].tolist()
                )
        return [sorted(others - {cell, INVALID}) for cell, others in enumerate(neighbours)]

    def __len__(self) -> int:
        return len(self.first)

    def nested(self, code: int) -> CellVector:
        """The vector of a raw code, node by node."""
        flat = self.vectors[code].tolist()
        lengths = [len(node) for node in self.shape]
        return [flat[sum(lengths[:i]) : sum(lengths[: i + 1])] for i in range(self.nodes)]


@cache
def cell_table(num_ops: int, nodes: int) -> CellTable:
    """The one table of these cells in this process."""
    return CellTable(num_ops, nodes)


def canonical_graph(vector: Sequence[int], nodes: int) -> CellGraph | None:
    """The graph of a flat cell vector, the same for all vectors of one cell; None where nothing reaches the output."""
    ops, edges = _raw_graph(vector, nodes)
    live = live_nodes(vector, nodes)
    inner = sorted(live - {0, nodes + 1})
    if not inner:
        return None
    kept = [(a, b) for a, b in edges if a in live and b in live]

    def renamed(order: Sequence[int]) -> CellGraph:
        name = {0: 0, nodes + 1: len(order) + 1, **{node: i + 1 for i, node in enumerate(order)}}
        return CellGraph(tuple(ops[n] for n in order), tuple(sorted((name[a], name[b]) for a, b in kept)))

    return min(renamed(order) for order in permutations(inner))


def live_nodes(vector: Sequence[int], nodes: int) -> set[int]:
    """The vertices on a path from the input (0) to the output (nodes + 1), these two among them."""
    edges = raw_edges(vector, nodes)
    return _closure(edges, 0, forward=True) & _closure(edges, nodes + 1, forward=False)


def raw_edges(vector: Sequence[int], nodes: int) -> list[tuple[int, int]]:
    """All edges that a flat cell vector states, those that lead nowhere too."""
    return _raw_graph(vector, nodes)[1]


def _raw_graph(vector: Sequence[int], nodes: int) -> tuple[dict[int, int], list[tuple[int, int]]]:
    output = nodes + 1
    ops, edges, at = {1: vector[0]}, [(0, 1)], 1
    for node in range(2, output):
        ops[node], *reads = vector[at : at + node + 2]
        sources = [*range(node - 1, 0, -1), 0]
        edges += [(source, node) for source, on in zip(sources, reads, strict=False) if on]
        edges += [(node - 1, output)] * reads[-1]
        at += node + 2
    return ops, [*edges, (nodes, output)]


def _closure(edges: list[tuple[int, int]], start: int, *, forward: bool) -> set[int]:
    reached, frontier = {start}, [start]
    while frontier:
        here = frontier.pop()
        for a, b in edges:
            source, target = (a, b) if forward else (b, a)
            if source == here and target not in reached:
                reached.add(target)
                frontier.append(target)
    return reached
