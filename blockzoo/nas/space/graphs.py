"""The graph of a whole network: what its hash is made from, and a way to ask by graph.

Vertices carry labels: input -1, output -2, operation o of stage s as o + (ops + 1) s, the reduction of stage s as
ops + (ops + 1) s. With the three published operations these are the published labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from blockzoo.core.errors import UsageError
from blockzoo.nas.space.hashing import INPUT, OUTPUT, graph_hash, network_graph
from blockzoo.nas.space.macro import Architecture, MacroSpace
from blockzoo.nas.space.published import published_space


@dataclass(frozen=True)
class Graph:
    """Labels of vertices 0..n-1, and edges between them."""

    labels: tuple[int | str, ...]
    edges: tuple[tuple[int, int], ...]


def graph_of(arch: Architecture, space: MacroSpace | None = None) -> Graph:
    """The pruned graph of a network.

    Raises:
        UsageError: an invalid architecture.
    """
    space = space or published_space()
    index = space.index(arch)
    if index is None:
        raise UsageError(f"{arch!r} is invalid: a stage has no path from its input to its output")
    cells = [space.cells.graphs[cell] for cell in space.digits(index)]
    labels, _, after = network_graph(cells, space.ops)
    return Graph(tuple(labels), tuple((a, b) for a, targets in enumerate(after) for b in targets))


def hash_of_graph(graph: Any) -> str | None:
    """The hash of a network's graph; None if nothing leads from its input to its output.

    Args:
        graph: a `Graph`, what `graph_utils.get_model_graph` gives, or a graph of networkx whose vertices carry `label`
            (or `op`). Vertices on no path from the input (label -1) to the output (label -2) are dropped.
    """
    if isinstance(graph, tuple) and len(graph) == 2 and isinstance(graph[1], list | tuple):
        from blockzoo.nas.space.graph_utils import graph_hash as hash_of_published
        from blockzoo.nas.space.graph_utils import is_empty

        graph = (
            graph[0] if isinstance(graph[0], tuple) else graph
        )  # get_model_graph gives the full graph beside it
        return None if is_empty(graph) else hash_of_published(graph)
    if isinstance(graph, Graph):
        labels, edges = dict(enumerate(graph.labels)), list(graph.edges)
    else:
        try:
            labels = {
                v: data["label"] if "label" in data else data["op"] for v, data in graph.nodes(data=True)
            }
            edges = [(a, b) for a, b, *_ in graph.edges]
        except (AttributeError, TypeError, KeyError, ValueError):
            raise UsageError(
                f"{type(graph).__name__}: give a Graph, or one of networkx with a `label` per node"
            ) from None
    ends = [[v for v, label in labels.items() if label == end] for end in (INPUT, OUTPUT)]
    if any(len(vertices) != 1 for vertices in ends):
        raise UsageError(f"a graph needs one input (label {INPUT}) and one output (label {OUTPUT})")
    live = _reached(edges, ends[0][0]) & _reached([(b, a) for a, b in edges], ends[1][0])
    if len(live) < 3:
        return None
    place = {v: i for i, v in enumerate(v for v in labels if v in live)}
    before: list[list[int]] = [[] for _ in place]
    after: list[list[int]] = [[] for _ in place]
    for a, b in edges:
        if a in live and b in live:
            after[place[a]].append(place[b])
            before[place[b]].append(place[a])
    return graph_hash([labels[v] for v in place], before, after)


def _reached(edges: list[tuple[Any, Any]], start: Any) -> set[Any]:
    reached, frontier = {start}, [start]
    while frontier:
        here = frontier.pop()
        for a, b in edges:
            if a == here and b not in reached:
                reached.add(b)
                frontier.append(b)
    return reached
