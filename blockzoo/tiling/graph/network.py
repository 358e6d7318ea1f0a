"""A network as a list of operations, each of which says what it reads of the maps before it. No tensors.

Made from a torch module by `graph.trace`, from an ONNX file by `onnx.graph`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from blockzoo.core.errors import UsageError
from blockzoo.tiling.geometry import Reads, Window

if TYPE_CHECKING:
    import torch

    from blockzoo.tiling.contracts import TileableOperation

Kind = Literal["window", "pointwise", "pool", "small", "whole"]
SAME = Window(1)
RECENT = 64
"""Values that a network keeps in `recent`."""
LONG, MOST_WAITING = 12, 4
"""A value may wait beside a boundary for a later reader if at least `LONG` operations, and a quarter of all, lie between the
two; at most `MOST_WAITING` wait at a time.
"""


@dataclass
class Operation:
    """One step of a network.

    Args:
        name: of the value that it makes.
        label: the module's path, where there is one.
        kind: "window": an output reads its neighbours; "pointwise": the pixel below it; "pool": the mean of a whole map;
            "small": reads and makes no map; "whole": anything else, which no tile can go through.
        sources: the values it reads, each once, in order.
        maps: those of them that are read tile by tile; others are read whole.
        shape: of its output.
        dtype: of its output, where tensors are made; None: not known.
        axes: which of its dimensions are rows and columns; None if the output is no feature map.
        windows: what it reads along rows and columns.
        own: places where its outputs are cut whatever the plan, rows and columns (a blocked layer); None for none.
        padding: what stands around its tiles.
        macs: multiply-adds for the whole map.
        weights: elements of its parameters.
        item: bytes of one element of its output, where its type is not the network's (a mask, indices); 0: it is.
        elements: new elements it makes for the whole map: its output, 0 for a view.
        beside: bytes that it needs for a moment besides, for the whole map (copies); as in fp32 where `item` is 0.
        beside_parts: the same where the maps that it reads are parts of larger ones, which some operations copy.
        indices: it makes indices besides, as a max-pool in PyTorch; it runs in strips, so that few of them exist at a time.
        counts: it divides by how many pixels each output is an average of, made for each tile.
        counted: what it needs for a moment besides follows from its tiles; otherwise a tile needs its share of `beside`.
        alias: its output is a view of its first source.
        over: those of its sources that it could write over.
        reason: why no tile can go through it.
        payload: what executes it.
        tileable: the tileable operation that it is; None: none that is known.
        users: the operations that read it.
    """

    name: str
    label: str
    kind: Kind
    sources: list[str]
    maps: list[str]
    shape: tuple[int, ...]
    dtype: torch.dtype | None = None
    axes: tuple[int, int] | None = None
    windows: tuple[Reads, Reads] = (SAME, SAME)
    own: tuple[list[int], list[int]] | None = None
    padding: str = "zeros"
    macs: int = 0
    weights: int = 0
    item: int = 0
    elements: int = 0
    beside: int = 0
    beside_parts: int = 0
    indices: bool = False
    counts: bool = False
    counted: bool = True
    alias: bool = False
    reason: str = ""
    payload: Any = None
    tileable: TileableOperation | None = None
    over: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    @property
    def local(self) -> bool:
        """Can a tile go through it?"""
        return self.kind in ("window", "pointwise")

    def size(self, axis: int) -> int:
        """Rows (0) or columns (1) of its output."""
        assert self.axes is not None
        return self.shape[self.axes[axis]]

    @property
    def square(self) -> bool:
        """Do its tiles lie along columns as along rows? A pool with indices is cut into strips along rows alone."""
        same = self.axes is None or self.size(0) == self.size(1)
        own = self.own is None or list(self.own[0]) == list(self.own[1])
        return same and own and self.windows[0] == self.windows[1] and not self.indices

    def __str__(self) -> str:
        return self.label or self.name


@dataclass
class Network:
    """Operations in the order of execution.

    Args:
        operations: in order.
        inputs: shapes of what it is given, by name; the first is the image, (N, C, H, W).
        outputs: the values that it returns, in the order of `structure`; an input or a constant may be among them.
        structure: what is around them, see `models.structure`; None: one value alone, or the file's list.
        constants: values that stay from image to image and that tiles read in parts, or that are returned as they are.
        input_types: of what it is given, as "uint8"; "" for the network's own type.
        items: bytes of one element of those inputs and constants whose type is not the network's.
        writes_inputs: the network that it was traced from writes to what it is given; it itself does not.
    """

    operations: list[Operation]
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    structure: Any = None
    constants: dict[str, Any] = field(default_factory=dict)
    input_types: tuple[str, ...] = ()
    items: dict[str, int] = field(default_factory=dict)
    writes_inputs: bool = False

    def __post_init__(self) -> None:
        for operation in self.operations:
            operation.users = []
        for operation in self.operations:
            for source in operation.sources:
                if source in self.by_name:
                    self.by_name[source].users.append(operation.name)

    @property
    def input(self) -> str:
        """Name of the image."""
        return next(iter(self.inputs))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return self.inputs[self.input]

    @cached_property
    def given(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the values that are there before it runs, and stay."""
        return {**self.inputs, **{name: tuple(value.shape) for name, value in self.constants.items()}}

    @cached_property
    def by_name(self) -> dict[str, Operation]:
        return {operation.name: operation for operation in self.operations}

    @cached_property
    def position(self) -> dict[str, int]:
        """Of each operation, by name; what is given is at -1."""
        return {
            **dict.fromkeys(self.given, -1),
            **{operation.name: i for i, operation in enumerate(self.operations)},
        }

    @cached_property
    def recent(self) -> dict[Any, Any]:
        """What was worked out of late, for plans that differ in a part; see `remember`."""
        return {}

    @cached_property
    def costs(self) -> dict[Any, Any]:
        """What stages cost, which many plans have in common; see `prediction`."""
        return {}

    def remember(self, key: object, value: object) -> None:
        """Keep a value in `recent`; the oldest goes."""
        if len(self.recent) >= RECENT:
            del self.recent[next(iter(self.recent))]
        self.recent[key] = value

    @property
    def macs(self) -> int:
        return sum(operation.macs for operation in self.operations)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a value."""
        return self.given[name] if name in self.given else self.by_name[name].shape

    def size(self, name: str, axis: int) -> int:
        """Rows (0) or columns (1) of a map."""
        return self.given[name][2 + axis] if name in self.given else self.by_name[name].size(axis)

    def item(self, name: str) -> int:
        """Bytes of one element of a value; 0 where its type is the network's."""
        return self.items.get(name, 0) if name in self.given else self.by_name[name].item

    def elements(self, name: str) -> int:
        return prod(self.shape(name))

    def ancestors(self, name: str, known: Iterable[str]) -> list[Operation]:
        """The operations that make a value from those that are known, in order."""
        wanted, seen = [name], {*known, *self.given}
        makers = []
        while wanted:
            current = wanted.pop()
            if current in seen:
                continue
            seen.add(current)
            makers.append(self.by_name[current])
            wanted.extend(self.by_name[current].sources)
        return sorted(makers, key=lambda operation: self.position[operation.name])

    def last_of(self, label: str) -> int:
        """The position of the last operation in a module.

        Raises:
            UsageError: there is none.
        """
        places = [
            i
            for i, o in enumerate(self.operations)
            if label in (o.label, o.name) or o.label.startswith(f"{label}.")
        ]
        if not places:
            raise UsageError(f"fuse_to {label!r}: no operation of the network lies in a module of that name")
        return places[-1]

    @cached_property
    def boundaries(self) -> list[int]:
        """Positions after which little is read later: one value, beside outputs and a few that wait long, as the skips of a U-Net
        and what the pyramid of a detector is built on. -1, the image, is the first.

        Views are not boundaries: they hold the value they show.
        """
        return [*self._waiting]

    @cached_property
    def _waiting(self) -> dict[int, list[str]]:
        """Of each boundary, the values besides its own and the outputs that later operations read."""
        last: dict[str, int] = {}
        for i, operation in enumerate(self.operations):
            for source in operation.sources:
                last[source] = i
        long = max(LONG, len(self.operations) // 4)
        waits = {name for name, place in last.items() if place - self.position[name] >= long}
        waiting: dict[int, list[str]] = {-1: []}
        alive: dict[str, None] = {self.input: None}
        for i, operation in enumerate(self.operations):
            alive[operation.name] = None
            alive = {name: None for name in alive if last.get(name, -1) > i}
            more = [
                n for n in alive if n not in (operation.name, *self.outputs, *self.constants, *self.others)
            ]
            few = len(more) <= MOST_WAITING and waits.issuperset(more) and self.input not in more
            if few and not operation.alias:
                waiting[i] = more
        return {**waiting, len(self.operations) - 1: []}

    def carried_at(self, position: int) -> list[str]:
        """The values that are carried over a boundary: its own and those that wait; not the image."""
        own = [self.operations[position].name] if position >= 0 else []
        return [*own, *self._waiting.get(position, [])]

    def needed_at(self, position: int) -> list[str]:
        """The values that operations after a boundary begin with, and the outputs so far."""
        returned = [name for name in self.outputs if -1 < self.position[name] <= position]
        return [*dict.fromkeys([*self.carried_at(position), *returned])]

    def held_at(self, position: int) -> list[str]:
        """The values that are there after a boundary: those that are needed, and what they are views of."""
        needed = self.needed_at(position)
        return [*dict.fromkeys([*needed, *(self.root[name] for name in needed)])]

    @cached_property
    def root(self) -> dict[str, str]:
        """Of each operation's value, the value that it is a view of."""
        return roots(self.operations)

    @property
    def others(self) -> list[str]:
        """Inputs besides the image."""
        return [*self.inputs][1:]


def roots(operations: Sequence[Operation], known: Iterable[str] = ()) -> dict[str, str]:
    """For each value that is a view, the value that it is a view of; others, and views of what is known, stand for themselves."""
    root: dict[str, str] = {}
    apart = {*known}
    for operation in operations:
        view = operation.alias and operation.sources and operation.sources[0] not in apart
        source = operation.sources[0] if view else operation.name
        root[operation.name] = root.get(source, source)
    return root


def held_until(operations: Sequence[Operation], known: Iterable[str] = ()) -> dict[str, int]:
    """For each value, the place in a list of operations that reads it, or a view of it, last; views of what is known each for
    themselves.
    """
    root = roots(operations, known)
    last: dict[str, int] = {}
    for place, operation in enumerate(operations):
        for name in (operation.name, *operation.sources):
            last[root.get(name, name)] = place
    return {name: last[root.get(name, name)] for name in {*root, *last}}


def overwritten(
    operations: Sequence[Operation], dead: Sequence[Sequence[str]], made: Iterable[str] = ()
) -> list[str | None]:
    """For each operation the operand it may write over: one that dies with it, that one of these operations made (or is named in
    `made`), and of which no other operand is a view.
    """
    root = roots(operations)
    own = {*made, *(operation.name for operation in operations)}

    def alone(operation: Operation, name: str) -> bool:
        return all(root.get(s, s) != root.get(name, name) for s in operation.sources if s != name)

    return [
        next(
            (s for s in operation.over if s in dying and root.get(s, s) in own and alone(operation, s)), None
        )
        for operation, dying in zip(operations, dead, strict=True)
    ]
