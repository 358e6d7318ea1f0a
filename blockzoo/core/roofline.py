"""The roofline: operations, the limits of a machine, and which of them limits an operation.

An operation can take no less time than its FLOPs at the machine's highest rate, its bytes at the rate of its memory, and its
calls at the time of one that computes nothing to speak of. The largest of the three is its roof.

Source: Williams, Waterman and Patterson, Roofline, CACM 52 (4), 2009.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

KINDS = (
    "dense convolutions",
    "1x1 convolutions",
    "grouped convolutions",
    "depthwise convolutions",
    "matrix products",
    "attention",
    "norms",
    "activations",
    "pointwise operations",
    "pooling",
    "reductions",
    "interpolation",
    "copies",
    "other operations",
    "views",
)
"""Of operations, in the order of their colours. A view computes and moves nothing."""
WITH_MACS = frozenset(KINDS[:6])
FAR = 0.25
"""Of its roof, the least share that an operation reaches which is said to be limited by it."""

ANY_KIND = "pointwise operations"
"""The kind whose smallest operation stands for those of all kinds without one of their own."""

Kind = str
Roof = Literal["compute", "memory", "calls"]
Limiting = Literal["compute", "memory", "calls", "none"]


@dataclass(frozen=True)
class Operation:
    """One operation of one call of a network.

    Args:
        layer: the module in which it runs, as `stage1.0.conv1`; empty: the network itself.
        name: torch's, as `aten.convolution`.
        kind: one of `KINDS`.
        macs: multiply-adds; 2 FLOPs each.
        bytes_read: of the tensors it is given, each once.
        bytes_written: of the tensors it makes or writes to.
        unknown: which of "MACs" and "bytes" nobody can count.
    """

    layer: str
    name: str
    kind: Kind
    macs: int
    bytes_read: int
    bytes_written: int
    unknown: tuple[str, ...] = ()

    @property
    def bytes_moved(self) -> int:
        """Read and written."""
        return self.bytes_read + self.bytes_written


@dataclass(frozen=True)
class Timed:
    """An operation with its times in milliseconds, one a round."""

    operation: Operation
    samples_ms: tuple[float, ...] = field(repr=False)

    @property
    def ms(self) -> float:
        """The median."""
        return statistics.median(self.samples_ms)


@dataclass(frozen=True)
class Limit:
    """A rate of this machine, measured.

    Args:
        what: ran, as `copy of 128 MiB`.
        amount: FLOPs, bytes or calls of one sample.
        samples_ms: milliseconds of each sample.
    """

    what: str
    amount: float
    samples_ms: tuple[float, ...] = field(repr=False)

    @property
    def ms(self) -> float:
        """The median."""
        return statistics.median(self.samples_ms)

    @property
    def rate(self) -> float:
        """FLOPs, bytes or calls in a second, at the median."""
        return 1e3 * self.amount / self.ms


class Bound(NamedTuple):
    """What limits an operation: the nearest roof, or none where it stays far below; that roof, and the share that is reached."""

    limit: Limiting
    roof: Roof
    reached: float


@dataclass(frozen=True)
class Machine:
    """The limits of a machine with the threads and the dtype in use.

    Args:
        products: large products, of which the fastest is the highest rate; FLOPs.
        copies: copies of different sizes, bytes read and written; a small one lies in a cache.
        calls: the smallest operation of a kind, that of `ANY_KIND` among them.
    """

    products: tuple[Limit, ...]
    copies: tuple[Limit, ...]
    calls: dict[Kind, Limit]

    @property
    def compute(self) -> Limit:
        """The highest rate of FLOPs."""
        return max(self.products, key=lambda limit: limit.rate)

    @property
    def memory(self) -> Limit:
        """The largest copy, which no cache holds."""
        return max(self.copies, key=lambda limit: limit.amount)

    @property
    def cache(self) -> Limit:
        """The fastest copy."""
        return max(self.copies, key=lambda limit: limit.rate)

    def bandwidth(self, moved: float) -> float:
        """Bytes in a second of an operation that moves so many: the fastest copy of as many or more.

        Examples:
            >>> copies = (Limit("in a cache", 1e6, (0.01,)), Limit("in memory", 1e9, (100.0,)))
            >>> machine = Machine((), copies, {})
            >>> machine.bandwidth(1e3) / 1e9, machine.bandwidth(2e6) / 1e9, machine.bandwidth(1e12) / 1e9
            (100.0, 10.0, 10.0)
        """
        return max([c.rate for c in self.copies if c.amount >= moved], default=self.memory.rate)

    def roofs_ms(self, operation: Operation) -> dict[Roof, float]:
        """Milliseconds that one call takes at least, by each limit."""
        call = self.calls.get(operation.kind) or self.calls[ANY_KIND]
        moved = operation.bytes_moved
        return {
            "compute": 2e3 * operation.macs / self.compute.rate,
            "memory": 1e3 * moved / self.bandwidth(moved),
            "calls": call.ms,
        }

    def bound(self, timed: Sequence[Timed]) -> Bound:
        """What limits several operations: the roof of those that take most of their time, and the share of it that these reach.

        Examples:
            One that moves 1 GB in 125 ms where a copy takes 100 ms, and makes few FLOPs of it:

            >>> copies = (Limit("copy", 1e9, (100.0,)),)
            >>> machine = Machine((Limit("product", 1e9, (1.0,)),), copies, {ANY_KIND: Limit("add", 1, (0.001,))})
            >>> norm = Operation("norm", "aten.native_batch_norm", "norms", 0, 500_000_000, 500_000_000)
            >>> machine.bound([Timed(norm, (125.0,))])
            Bound(limit='memory', roof='memory', reached=0.8)
            >>> machine.bound([Timed(norm, (1250.0,))])
            Bound(limit='none', roof='memory', reached=0.08)
        """
        spent: dict[Roof, float] = {"compute": 0.0, "memory": 0.0, "calls": 0.0}
        least = dict(spent)
        for one in timed:
            roofs = self.roofs_ms(one.operation)
            nearest = max(roofs, key=lambda roof: roofs[roof])
            spent[nearest] += one.ms
            least[nearest] += roofs[nearest]
        most = max(spent, key=lambda roof: spent[roof])
        reached = least[most] / spent[most] if spent[most] else 0.0
        return Bound(most if reached >= FAR else "none", most, reached)


@dataclass(frozen=True)
class Group:
    """Operations of one kind, or of one layer, together.

    Args:
        kind: what they have in common.
        operations: all of them.
        timed: the same with their times; empty where nothing was timed.
    """

    kind: Kind
    operations: tuple[Operation, ...]
    timed: tuple[Timed, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return sum(o.macs for o in self.operations)

    @property
    def bytes_read(self) -> int:
        """By all of them."""
        return sum(o.bytes_read for o in self.operations)

    @property
    def bytes_written(self) -> int:
        """By all of them."""
        return sum(o.bytes_written for o in self.operations)

    @property
    def bytes_moved(self) -> int:
        """Read and written."""
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float | None:
        """Arithmetic intensity in FLOPs a byte; None where no byte is moved."""
        return 2 * self.macs / self.bytes_moved if self.bytes_moved else None

    @property
    def ms(self) -> float:
        """Medians, added up."""
        return sum(t.ms for t in self.timed)

    @property
    def flop_rate(self) -> float:
        """FLOPs in a second."""
        return 2e3 * self.macs / self.ms if self.ms else 0.0

    @property
    def byte_rate(self) -> float:
        """Bytes in a second."""
        return 1e3 * self.bytes_moved / self.ms if self.ms else 0.0


def by_kind(operations: Iterable[Operation | Timed]) -> list[Group]:
    """Groups of one kind, in the order of `KINDS`."""
    members: dict[Kind, list[Operation | Timed]] = {kind: [] for kind in KINDS}
    for one in operations:
        members[_operation(one).kind].append(one)
    return [together(kind, own) for kind, own in members.items() if own]


def together(kind: Kind, members: Iterable[Operation | Timed]) -> Group:
    """One group of all of them."""
    every = list(members)
    timed = tuple(one for one in every if isinstance(one, Timed))
    return Group(kind, tuple(map(_operation, every)), timed)


def _operation(one: Operation | Timed) -> Operation:
    return one.operation if isinstance(one, Timed) else one
