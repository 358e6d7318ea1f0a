"""The macro space: every network of a chain of cells, as index, vector and hash.

Flat coordinates are enumerated with the first fastest; the index of a unique network is its order of first
appearance, and the vector it first appears as is its canonical one. Since stages are independent, the index is a
number in base 45 (cells of the published space) whose digits are the stages' cells: three small tables answer for
373,248 vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from blockzoo.core.arguments import not_counts, texts_of
from blockzoo.core.errors import UsageError
from blockzoo.nas.space.cells import INVALID, CellTable, CellVector, cell_table, faults_of_size
from blockzoo.nas.space.hashing import all_hashes, hashes_are_cached, network_hash

ArchVector = list[CellVector]
Architecture = int | str | Sequence[Any]
"""One network: its index, its hash, its vector by stage and node, or its vector as flat numbers."""
Indices = npt.NDArray[np.int64]
CHUNK = 1 << 16  # rows worked on at a time: what they need stays in the cache


@dataclass(frozen=True)
class MacroSpace:
    """All networks of `stages` cells of `nodes` nodes over `ops`; by default the published space of 91,125.

    Methods take one architecture (index, hash, nested or flat vector) or many (an array of indices (N,) or of flat
    vectors (N, coordinates)). `len(space)` is the number of unique networks.
    """

    ops: tuple[str, ...] = ("conv", "mbconv", "bconv")
    nodes: int = 2
    stages: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "ops", tuple(texts_of(self.ops, "ops", alone=False)))
        faults = not_counts(nodes=self.nodes, stages=self.stages)
        if not self.ops or len(set(self.ops)) != len(self.ops):
            faults.append(f"ops {self.ops}: give one or more different names")
        if faults := faults or faults_of_size(len(self.ops), self.nodes, self.stages):
            raise UsageError("; ".join(faults))

    # --- size -------------------------------------------------------------------------------------

    @property
    def cells(self) -> CellTable:
        """The algebra of one cell."""
        return cell_table(len(self.ops), self.nodes)

    def __len__(self) -> int:
        return int(len(self.cells) ** self.stages)

    @property
    def raw_size(self) -> int:
        """Number of vectors, invalid and equal ones included."""
        return int(len(self.cells.vectors) ** self.stages)

    @property
    def valid_size(self) -> int:
        """Number of vectors in which every stage has a path from input to output."""
        return int((self.cells.unique != INVALID).sum() ** self.stages)

    @property
    def shape(self) -> list[list[list[int]]]:
        """Options of each coordinate by stage and node, as headers of dataset files write it."""
        return [self.cells.shape for _ in range(self.stages)]

    @property
    def coordinates(self) -> int:
        """Length of a flat vector."""
        return len(self.cells.options) * self.stages

    # --- one way and the other --------------------------------------------------------------------

    @overload
    def index(self, architectures: npt.NDArray[Any]) -> Indices: ...
    @overload
    def index(self, architectures: int) -> int: ...
    @overload
    def index(self, architectures: Architecture) -> int | None: ...
    def index(self, architectures: Any) -> Any:
        """The index of an architecture, None if it is invalid; of many an array, with -1 where invalid.

        Raises:
            UsageError: not an architecture of this space, or a hash or index out of it.
        """
        try:  # nested vectors of the published shape, the commonest request, without a call
            ((a,), (b, c, d, e)), ((f,), (g, h, i, j)), ((p,), (q, r, s, t)) = architectures
            low, middle, high = self._digits
            return low[a, b, c, d, e] + middle[f, g, h, i, j] + high[p, q, r, s, t]
        except (TypeError, ValueError, KeyError):
            return self._index(architectures)

    def _index(self, architectures: Any) -> Any:
        if isinstance(architectures, np.ndarray):
            if architectures.ndim:
                return self._indices(architectures)
            architectures = architectures.item()
        if isinstance(architectures, str):
            return self.index_of_hash(architectures)
        if isinstance(architectures, int | np.integer) and not isinstance(architectures, bool):
            if not 0 <= architectures < len(self):
                raise UsageError(f"index {architectures}: this space has networks 0 to {len(self) - 1:,}")
            return int(architectures)
        index = int(self._indices(np.array([self._flat(architectures)], dtype=np.int64))[0])
        return None if index == INVALID else index

    @cached_property
    def _digits(self) -> list[dict[tuple[int, ...], int]]:
        """For each stage: the contribution of a valid cell vector to the index."""
        keys = [tuple(vector) for vector in self.cells.vectors.tolist()]
        cells = self.cells.unique.tolist()
        return [
            {
                key: cell * len(self.cells) ** stage
                for key, cell in zip(keys, cells, strict=True)
                if cell != INVALID
            }
            for stage in range(self.stages)
        ]

    def _indices(self, array: npt.NDArray[Any]) -> Indices:
        if array.shape == (0,):
            return np.zeros(0, np.int64)
        if array.shape == (self.coordinates,) and array.dtype.kind in "iu" and self._could_be_vector(array):
            raise UsageError(
                f"the array {array.tolist()} could be {len(array)} indices or one flat vector: give a vector as array[None] "
                f"or array.tolist(), or its index; indices as one of other length"
            )
        if array.ndim == 1 and array.dtype.kind in "iu":
            if array.size and not 0 <= int(array.min()) <= int(array.max()) < len(self):
                raise UsageError(f"an index is out of this space of networks 0 to {len(self) - 1:,}")
            return array.astype(np.int64, copy=False)
        if array.ndim == 1 and array.dtype.kind in "US":
            return np.array([self.index_of_hash(str(h)) for h in array.astype(str)], np.int64)
        if array.ndim != 2 or array.shape[1] != self.coordinates or array.dtype.kind not in "iu":
            raise UsageError(
                f"an array of shape {array.shape} and type {array.dtype}: give indices (N,), hashes (N,) or "
                f"whole numbers (N, {self.coordinates})"
            )
        index = np.empty(len(array), np.int64)
        for start in range(0, len(array), CHUNK):
            index[start : start + CHUNK] = self._indices_of_vectors(array[start : start + CHUNK], start)
        return index

    def _could_be_vector(self, array: npt.NDArray[Any]) -> bool:
        return bool(((array >= 0) & (array < np.tile(self.cells.options, self.stages))).all())

    def _indices_of_vectors(self, array: npt.NDArray[Any], row: int) -> Indices:
        columns = np.ascontiguousarray(array.T)  # one pass over memory, then everything is contiguous
        options = np.tile(self.cells.options, self.stages)
        if (columns.max(1) >= options).any() or (array.dtype.kind == "i" and columns.min() < 0):
            bad = int(np.flatnonzero(((columns >= options[:, None]) | (columns < 0)).any(0))[0])
            raise UsageError(
                f"row {row + bad}, {array[bad].tolist()}: a coordinate is outside 0..{(options - 1).tolist()}"
            )
        width = len(self.cells.options)
        code_type = np.uint8 if len(self.cells.vectors) <= 256 else np.int64
        columns = columns.astype(code_type, copy=False)
        index = np.zeros(len(array), np.int64)
        for stage, digit in enumerate(self._digit_of_code):
            code = columns[stage * width].copy()
            for column in range(1, width):
                code += columns[stage * width + column] * code_type(self.cells.strides[column])
            index += digit.take(code)
        return np.maximum(index, INVALID, out=index)

    @cached_property
    def _digit_of_code(self) -> list[Indices]:
        """For each stage: the contribution of a raw cell code to the index, very negative where invalid."""
        cells = self.cells.unique
        never = -len(self) - 1
        return [
            np.where(cells == INVALID, never, cells * len(self.cells) ** stage)
            for stage in range(self.stages)
        ]

    def _flat(self, arch: Any) -> list[int]:
        """A nested or flat vector as flat numbers."""
        flat: list[Any] = []

        def walk(part: Any) -> None:
            for item in part:
                if isinstance(item, list | tuple | np.ndarray):
                    walk(item)
                else:
                    flat.append(item)

        if not isinstance(arch, list | tuple | np.ndarray):
            raise UsageError(
                f"{arch!r} is no architecture: give an index, a hash or a vector such as {self.arch_vec(0)}"
            )
        walk(arch)
        nested = any(isinstance(item, list | tuple | np.ndarray) for item in arch)
        lengths = [[len(node) for node in cell] for cell in self.shape]
        if len(flat) != self.coordinates or (nested and _lengths(arch) != lengths):
            raise UsageError(
                f"{arch!r}: an architecture of this space is a vector such as {self.arch_vec(0)}"
            )
        options = list(self.cells.options) * self.stages
        for place, (value, limit) in enumerate(zip(flat, options, strict=True)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < limit:
                raise UsageError(f"{arch!r}: coordinate {place} is {value!r}, must be 0 to {limit - 1}")
        return [int(value) for value in flat]

    def digits(self, indices: int | Indices) -> npt.NDArray[np.int64]:
        """(..., stages): the cell in each stage of the network(s) of these indices."""
        return np.asarray(indices)[..., None] // len(self.cells) ** np.arange(self.stages) % len(self.cells)

    def vectors(self, indices: Indices) -> npt.NDArray[np.uint8]:
        """(N, coordinates): the canonical vectors of these networks."""
        table = self.cells.vectors[self.cells.first]
        return table[self.digits(self._indices(np.asarray(indices)))].reshape(len(indices), self.coordinates)

    def arch_vec(self, arch: Architecture) -> ArchVector:
        """The canonical vector of a network, by stage and node.

        Raises:
            UsageError: an invalid architecture.
        """
        return [self.cells.nested(self.cells.first[cell]) for cell in self.digits(self._valid(arch)).tolist()]

    canonical = arch_vec

    def nested(self, arch: Architecture) -> ArchVector:
        """The vector of a network by stage and node: as given where a vector is given, else the canonical one."""
        self._valid(arch)
        return self.nested_as_written(arch)

    def nested_as_written(self, arch: Architecture) -> ArchVector:
        """The same for a vector that may be invalid."""
        if isinstance(arch, int | str | np.integer):
            return self.arch_vec(arch)
        width = len(self.cells.options)
        codes = np.array(self._flat(arch)).reshape(self.stages, width) @ self.cells.strides
        return [self.cells.nested(code) for code in codes.tolist()]

    def is_valid(self, arch: Architecture) -> bool:
        """Has every stage a path from its input to its output? False for what is no vector of this space too."""
        try:
            return self.index(arch) is not None
        except UsageError:
            return False

    def _valid(self, arch: Architecture) -> int:
        index = self.index(arch)
        if index is None:
            raise UsageError(f"{arch!r} is invalid: a stage has no path from its input to its output")
        return index

    # --- hashes -----------------------------------------------------------------------------------

    @cached_property
    def _hashes(self) -> npt.NDArray[np.str_]:
        """All hashes and an empty text behind them, which index -1 (invalid) finds."""
        raw = all_hashes(self.ops, self.nodes, self.stages).tobytes()
        return np.append(np.frombuffer(raw.hex().encode(), "S32").astype("U32"), "")

    @cached_property
    def _hash_list(self) -> list[str]:
        return list(self.hashes().tolist())

    @cached_property
    def _index_of_hash(self) -> dict[str, int]:
        return {text: index for index, text in enumerate(self._hash_list)}

    def hashes(self) -> npt.NDArray[np.str_]:
        """(networks,): all hashes, by index. The first call on a machine computes them, which takes seconds."""
        return self._hashes[:-1]

    @overload
    def hash(self, architectures: npt.NDArray[Any]) -> npt.NDArray[np.str_]: ...
    @overload
    def hash(self, architectures: Architecture) -> str | None: ...
    def hash(self, architectures: Any) -> Any:
        """The hash of an architecture, None if it is invalid; of many an array, with '' where invalid."""
        index = self.index(architectures)
        if not isinstance(index, np.ndarray):
            return None if index is None else self._hash_list[index]
        return self._hashes[index]

    def hash_alone(self, arch: Architecture) -> str | None:
        """The same for one architecture, computed from its graph without the table of all hashes."""
        index = self.index(arch)
        if index is None:
            return None
        return network_hash([self.cells.graphs[cell] for cell in self.digits(index)], self.ops)

    def hashes_are_known(self) -> bool:
        """Are all hashes in this process or in the cache folder, so that asking for one takes no seconds?"""
        return "_hashes" in vars(self) or hashes_are_cached(self.ops, self.nodes, self.stages)

    def index_of_hash(self, text: str) -> int:
        """The index of a hash of 32 hexadecimal digits.

        Raises:
            UsageError: no network of this space has it.
        """
        try:
            return self._index_of_hash[text]
        except (KeyError, TypeError):
            raise UsageError(f"{text!r} is the hash of no network of this space") from None

    def indices_of_raw_hashes(self, hashes: npt.NDArray[np.uint8]) -> Indices:
        """(N,): the indices of hashes given as (N, 16) bytes, -1 where no network has one."""
        own = np.ascontiguousarray(all_hashes(self.ops, self.nodes, self.stages)).view("V16").ravel()
        order = np.argsort(own)
        queries = np.ascontiguousarray(hashes, np.uint8).view("V16").ravel()
        indices = order[np.minimum(np.searchsorted(own, queries, sorter=order), len(own) - 1)]
        return np.where(own[indices] == queries, indices, INVALID)

    # --- moving about -----------------------------------------------------------------------------

    def multiplicity(self, arch: Architecture) -> int:
        """How many vectors describe this network."""
        return int(np.prod(self.cells.multiplicity[self.digits(self._valid(arch))]))

    def neighbours(self, arch: Architecture) -> list[int]:
        """Indices of the networks that differ in the cell of one stage, by one coordinate of some vector of it."""
        index = self._valid(arch)
        neighbours = []
        for stage, cell in enumerate(self.digits(index).tolist()):
            place = len(self.cells) ** stage
            neighbours += [index + (other - cell) * place for other in self.cells.neighbours[cell]]
        return sorted(neighbours)

    def sample(self, n: int, seed: int | None = None) -> Indices:
        """`n` different networks, each unique network as likely as any other."""
        if not 0 <= n <= len(self):
            raise UsageError(f"sample of {n}: this space has {len(self):,} networks")
        return np.random.default_rng(seed).choice(len(self), n, replace=False)

    def __iter__(self) -> Iterator[ArchVector]:
        return (self.arch_vec(index) for index in range(len(self)))


def _lengths(arch: Any) -> list[list[int]]:
    try:
        return [[len(node) for node in cell] for cell in arch]
    except TypeError:
        return []
