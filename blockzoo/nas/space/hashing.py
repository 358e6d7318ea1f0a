"""The published hash of a network: Weisfeiler-Lehman rounds of md5 over its graph, equal for isomorphic networks.

The graph is the chain input, (nodes and a reduction) for each stage, output. A vertex starts as the md5 of
`str((out_degree, in_degree, label))`, where the label says operation and stage; in as many rounds as there are vertices it
becomes the md5 of its sorted predecessors, '|', its sorted successors, '|', itself. The hash of the network is the md5 of
the sorted list.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Sequence
from hashlib import md5
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blockzoo.core.errors import StoreError, UsageError
from blockzoo.core.files import write_atomically
from blockzoo.core.once import made_once
from blockzoo.core.places import cache_folder
from blockzoo.core.safe_path import module_command
from blockzoo.nas.space.cells import CellGraph, cell_table

MOST_HASHED = 1 << 22
"""Networks of a space whose hashes are computed: 64 MiB, and minutes."""
log = logging.getLogger(__name__)

INPUT, OUTPUT = -1, -2
OPERATIONS = ("conv", "mbconv", "bconv")
"""The published operations. Labels are by name: whatever their order in a space, a network of convs has one hash."""
REDUCTION = len(OPERATIONS)
Label = int | str
SHARED_ROUNDS = 3
"""In the first rounds a vertex knows its near surroundings only, which many networks share."""


def network_hash(cells: Sequence[CellGraph], ops: Sequence[str], known: dict[str, str] | None = None) -> str:
    """The hash of the network whose stages hold `cells`, as 32 hexadecimal digits.

    Args:
        cells: the pruned cell of each stage, in order.
        ops: names of the operations that cells number.
        known: md5 of messages of earlier networks, added to; saves about a third of the work.
    """
    return graph_hash(*network_graph(cells, ops), known)


def graph_hash(
    labels: Sequence[Label],
    before: list[list[int]],
    after: list[list[int]],
    known: dict[str, str] | None = None,
) -> str:
    """The hash of a graph given by the label, the predecessors and the successors of each vertex.

    Examples:
        The chain input, conv, output; the order in which vertices are numbered changes nothing.

        >>> graph_hash([INPUT, 0, OUTPUT], [[], [0], [1]], [[1], [2], []])
        '0e2cd002f49269be0a7cf20914fbce8c'
        >>> graph_hash([OUTPUT, 0, INPUT], [[1], [2], []], [[], [0], [1]])
        '0e2cd002f49269be0a7cf20914fbce8c'
    """
    known = {} if known is None else known
    state = [
        md5(str((float(len(after[v])), float(len(before[v])), label)).encode()).hexdigest()
        for v, label in enumerate(labels)
    ]
    for turn in range(len(labels)):
        new = []
        for v, own in enumerate(state):
            message = f"{_joined(state, before[v])}|{_joined(state, after[v])}|{own}"
            digest = known.get(message) if turn < SHARED_ROUNDS else None
            if digest is None:
                digest = md5(message.encode(), usedforsecurity=False).hexdigest()
                if turn < SHARED_ROUNDS:
                    known[message] = digest
            new.append(digest)
        state = new
    return md5(str(sorted(state)).encode()).hexdigest()


def _joined(state: list[str], vertices: list[int]) -> str:
    if len(vertices) == 1:
        return state[vertices[0]]
    return "".join(sorted([state[v] for v in vertices]))


def label_of(name: str, stage: int) -> Label:
    """What stands for an operation, or `reduction`, in a stage: the published number, or for operations of others their name."""
    if name == "reduction" or name in OPERATIONS:
        number = REDUCTION if name == "reduction" else OPERATIONS.index(name)
        return number + (REDUCTION + 1) * stage
    return f"{name}@{stage}"


def network_graph(
    cells: Sequence[CellGraph], ops: Sequence[str]
) -> tuple[list[Label], list[list[int]], list[list[int]]]:
    """Labels, predecessors and successors of the vertices of a whole network."""
    labels: list[Label] = [INPUT]
    edges, entry = [], 0
    for stage, cell in enumerate(cells):
        base = len(labels)
        labels += [label_of(ops[op], stage) for op in cell.ops]
        reduction = len(labels)
        labels.append(label_of("reduction", stage))
        place = {0: entry, len(cell.ops) + 1: reduction}
        edges += [(place.get(a, base + a - 1), place.get(b, base + b - 1)) for a, b in cell.edges]
        entry = reduction
    labels.append(OUTPUT)
    edges.append((entry, len(labels) - 1))
    before: list[list[int]] = [[] for _ in labels]
    after: list[list[int]] = [[] for _ in labels]
    for a, b in edges:
        after[a].append(b)
        before[b].append(a)
    return labels, before, after


def all_hashes(ops: Sequence[str], nodes: int, stages: int) -> npt.NDArray[np.uint8]:
    """(networks, 16): the hashes of a whole space by index, memory-mapped.

    Computed once, in two processes, and kept in the cache folder with a checksum as the last row; whoever asks meanwhile waits.
    A file that does not match its checksum is made again; a folder that cannot be written to costs the time anew in each
    process, and is said.
    """
    path, count = _place(ops, nodes, stages)

    def make() -> npt.NDArray[np.uint8]:
        hashes = _compute(ops, nodes, stages, count)
        try:
            write_atomically(
                path, lambda temporary: np.save(temporary, np.vstack([hashes, _checksum(hashes)]))
            )
        except StoreError as error:
            log.warning("%s; the hashes of the space are computed anew each time", error)
        return hashes

    return made_once(path, lambda: _cached(path, count), make)


def hashes_are_cached(ops: Sequence[str], nodes: int, stages: int) -> bool:
    """Is the table of this space in the cache folder, whole?"""
    return _cached(*_place(ops, nodes, stages)) is not None


def _cached(path: Path, count: int) -> npt.NDArray[np.uint8] | None:
    try:
        table = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    whole = table.shape == (count + 1, 16) and table.dtype == np.uint8
    return table[:-1] if whole and (_checksum(table[:-1]) == table[-1]).all() else None


def _checksum(hashes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(md5(hashes.tobytes(), usedforsecurity=False).digest(), np.uint8)


def _place(ops: Sequence[str], nodes: int, stages: int) -> tuple[Path, int]:
    count = len(cell_table(len(ops), nodes)) ** stages
    if count > MOST_HASHED:
        raise UsageError(
            f"the hashes of a space of {count:,} networks are not computed: at most {MOST_HASHED:,}"
        )
    names = md5(",".join(ops).encode(), usedforsecurity=False).hexdigest()[:8]
    return cache_folder() / "nas" / f"hashes-v3-{names}-{nodes}-{stages}.npy", count


def _compute(ops: Sequence[str], nodes: int, stages: int, count: int) -> npt.NDArray[np.uint8]:
    # a child of its own, not multiprocessing: that would import the caller's script again
    middle = count // 2
    words = (",".join(ops), str(nodes), str(stages), str(middle), str(count))
    child = subprocess.Popen(module_command("blockzoo.nas.space.hashing", *words), stdout=subprocess.PIPE)
    try:
        first = hash_range(ops, nodes, stages, 0, middle)
        second, _ = child.communicate()
    finally:
        child.kill()
    if child.returncode:
        second = hash_range(ops, nodes, stages, middle, count)
    return np.frombuffer(first + second, np.uint8).reshape(count, 16)


def hash_range(ops: Sequence[str], nodes: int, stages: int, start: int, stop: int) -> bytes:
    """The hashes of networks `start` to `stop` of a space, 16 bytes each."""
    graphs = cell_table(len(ops), nodes).graphs
    cache: dict[str, str] = {}
    hashes = []
    for index in range(start, stop):
        cells = [graphs[index // len(graphs) ** stage % len(graphs)] for stage in range(stages)]
        hashes.append(network_hash(cells, ops, cache))
    return bytes.fromhex("".join(hashes))


if __name__ == "__main__":
    sys.stdout.buffer.write(hash_range(sys.argv[1].split(","), *(int(word) for word in sys.argv[2:])))
