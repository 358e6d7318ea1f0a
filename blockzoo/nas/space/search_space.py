"""The functions of the published package's `search_space`, by its names.

Each takes `ops`, `nodes` and `stages`; by default those of the published space. Vectors are lists by stage and node.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from blockzoo.core.errors import UsageError
from blockzoo.nas.space.macro import Architecture, ArchVector, MacroSpace
from blockzoo.nas.space.published import published_space

all_ops = ["conv", "mbconv", "bconv"]
ops_no_zero = all_ops[:-1]
default_nodes = 2
default_stages = 3


def space_named(
    ops: Sequence[str] | None = None, nodes: int | None = None, stages: int | None = None
) -> MacroSpace:
    """The space of these operations, nodes and stages; the one object of the published space for its own."""
    space = MacroSpace(
        all_ops if ops is None else ops,  # type: ignore[arg-type]
        default_nodes if nodes is None else nodes,
        default_stages if stages is None else stages,
    )
    return published_space() if space == published_space() else space


def get_search_space(
    ops: Sequence[str] | None = None, nodes: int | None = None, stages: int | None = None
) -> list[list[list[int]]]:
    """The options of each coordinate, by stage and node."""
    return space_named(ops, nodes, stages).shape


def get_model_hash(
    arch_vec: Architecture, ops: Sequence[str] | None = None, minimize: bool = True
) -> str | None:
    """The published hash of a network; None where a stage has no path from input to output.

    Computed from the graph (a third of a millisecond) until the table of all hashes exists on this machine.

    Args:
        arch_vec: a vector by stage and node; of the default space also an index, a hash or flat numbers.
        ops: names of the operations that its numbers stand for.
        minimize: drop what leads nowhere first. Without it the hash is of the graph as written.
    """
    if not minimize:
        from blockzoo.nas.space.graph_utils import get_model_graph, graph_hash

        return graph_hash(get_model_graph(arch_vec, ops, minimize=False)[0])
    space = _space_of_vector(arch_vec, ops)
    return space.hash(arch_vec) if space.hashes_are_known() else space.hash_alone(arch_vec)


def _space_of_vector(arch: Any, ops: Sequence[str] | None) -> MacroSpace:
    """The space with as many stages and nodes as a nested vector has."""
    nested = isinstance(arch, list | tuple) and bool(arch) and isinstance(arch[0], list | tuple)
    if not nested:
        return space_named(ops)
    return space_named(ops, len(arch[0]), len(arch))


def get_all_architectures(
    ops: Sequence[str] | None = None, nodes: int | None = None, stages: int | None = None
) -> Iterator[ArchVector]:
    """Every vector, invalid and equal ones included, the first coordinate fastest."""
    space = space_named(ops, nodes, stages)
    cells, count = space.cells, len(space.cells.vectors)
    for code in range(space.raw_size):
        yield [cells.nested(code // count**stage % count) for stage in range(space.stages)]


def get_unique_architectures(
    ops: Sequence[str] | None = None, nodes: int | None = None, stages: int | None = None
) -> list[ArchVector]:
    """One vector of each unique network, in order of first appearance: 91,125 by default."""
    return list(space_named(ops, nodes, stages))


def get_random_architectures(
    num: int,
    ops: Sequence[str] | None = None,
    nodes: int | None = None,
    stages: int | None = None,
    seed: int | None = None,
) -> list[ArchVector]:
    """`num` raw vectors, each coordinate uniform: the same draws as the published function for a seed.

    Invalid and equal ones are among them. `MacroSpace.sample` draws different networks, each as likely as any other.
    """
    if isinstance(num, bool) or not isinstance(num, int) or num < 0:
        raise UsageError(f"num {num!r}: give a whole number of vectors")
    draw = random.Random(seed) if seed is not None else random
    shape = get_search_space(ops, nodes, stages)
    return [[[[draw.randrange(n) for n in node] for node in cell] for cell in shape] for _ in range(num)]


def arch_vec_to_names(arch_vec: ArchVector, ops: Sequence[str] | None = None) -> list[Any]:
    """The vector with the name of each operation in place of its number."""
    names = list(all_ops if ops is None else ops)
    return [[[names[op], *connections] for op, *connections in cell] for cell in arch_vec]
