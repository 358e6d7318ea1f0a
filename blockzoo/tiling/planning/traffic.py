"""Bytes between a device's own memory and the memory outside it, for one inference: the reason for block convolution.

A value that fits into the on-chip buffer together with all else that is alive while it is computed and read never leaves. Of
what does not fit, each operation reads its inputs and writes its output. Weights come from outside: once for an operation on
whole maps; for a stage once if they fit beside its tiles, else once for each group of tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from torch import nn

from blockzoo.core.units import aligned_size
from blockzoo.tiling.graph.network import Network, Operation
from blockzoo.tiling.graph.trace import planned_inputs, ready, traced
from blockzoo.tiling.planning.plan import ITEM_BYTES, Plan, PlannedStep, program, whole_steps
from blockzoo.tiling.planning.prediction import tile_bytes
from blockzoo.tiling.planning.tile_memory import Counted


@dataclass(frozen=True)
class Traffic:
    """Off-chip traffic of one inference.

    Args:
        buffer_bytes: on-chip memory for maps and the weights in use.
        read, written: bytes of maps: the image once (with halos read again), maps that do not stay, the result.
        weights: bytes of weights that are read.
        stays: whether every map between the image and the result stays on chip.
        largest: the first step whose maps do not, with what it needs; "" if all stay.
    """

    buffer_bytes: int
    read: int
    written: int
    weights: int
    stays: bool
    largest: str = ""

    @property
    def total(self) -> int:
        """Bytes read and written, weights included."""
        return self.read + self.written + self.weights

    def columns(self) -> dict[str, int | bool]:
        """For a table."""
        return {
            "read_bytes": self.read,
            "written_bytes": self.written,
            "weight_bytes": self.weights,
            "stays_on_chip": self.stays,
        }

    def __str__(self) -> str:
        text = f"reads {aligned_size(self.read)}, writes {aligned_size(self.written)}, weights {aligned_size(self.weights)}"
        held = (
            "every intermediate map stays on chip" if self.stays else f"not all stays on chip: {self.largest}"
        )
        return f"{text}; {held}"


def traffic(model: nn.Module, plan: Plan, buffer_bytes: int) -> tuple[Traffic, Traffic]:
    """Of a plan, and of the same network layer by layer.

    Args:
        model: the network the plan was made for.
        plan: see `plan`.
        buffer_bytes: on-chip memory.
    """
    example = planned_inputs(model, plan)
    network = traced(ready(model, example, plan.fold), example)
    counted = Counted(ITEM_BYTES[plan.dtype], "bare")
    parts, whole = (program(network, steps, plan.mode) for steps in (plan.steps, whole_steps(network)))
    return _of(network, parts, counted, buffer_bytes), _of(network, whole, counted, buffer_bytes)


class _Count:
    """Adds up traffic; values that are on chip are known by name."""

    def __init__(self, network: Network, counted: Counted, buffer: int) -> None:
        self.network, self.counted, self.buffer = network, counted, buffer
        self.read = self.written = self.weights = 0
        self.inside: dict[str, int] = {}
        self.outside: set[str] = {*network.given}
        self.largest = ""

    def bytes_of(self, name: str) -> int:
        return prod(self.network.shape(name)) * self.counted.of(self.network, name)

    def make_room(self, needed: int, kept: Sequence[str], what: str) -> bool:
        """Does a step fit beside what is on chip? If not, what it does not need is written out, largest first."""
        waiting = sorted((size, name) for name, size in self.inside.items() if name not in kept)
        while sum(self.inside.values()) + needed > self.buffer and waiting:
            self.spill(waiting.pop()[1])
        fits = sum(self.inside.values()) + needed <= self.buffer
        if not fits and not self.largest:
            self.largest = f"{what} needs {aligned_size(sum(self.inside.values()) + needed)}"
        return fits

    def spill(self, name: str) -> None:
        self.written += self.inside.pop(name)
        self.outside.add(name)
        self.largest = self.largest or f"{name} is kept for later"

    def take(self, name: str, times: float = 1.0) -> None:
        """Read a value if it lies outside."""
        if name in self.outside:
            self.read += round(self.bytes_of(name) * times)

    def put(self, name: str, fits: bool) -> None:
        """Keep a value that was made."""
        if fits:
            self.inside[name] = self.bytes_of(name)
        else:
            self.outside.add(name)
            self.written += self.bytes_of(name)

    def forget(self, names: Sequence[str]) -> None:
        for name in names:
            self.inside.pop(name, None)


def _of(network: Network, parts: Sequence[PlannedStep], counted: Counted, buffer: int) -> Traffic:
    count = _Count(network, counted, buffer)
    for part in parts:
        if part.stage is None:
            for operation, dead, over in zip(part.operations, part.dead, part.over, strict=True):
                _whole(count, operation, over)
                count.forget(dead)
        else:
            _stage(count, part)
            count.forget(part.ends)
    returned = {*network.outputs}
    count.written += sum(size for name, size in count.inside.items() if name in returned)
    stays = not (count.outside - returned - {*network.given})
    return Traffic(buffer, count.read, count.written, count.weights, stays, "" if stays else count.largest)


def _whole(count: _Count, operation: Operation, over: str | None) -> None:
    sources = list(operation.sources)
    nbytes = 0 if operation.alias or over else count.bytes_of(operation.name)
    fits = count.make_room(nbytes, sources, str(operation)) and not any(
        s in count.outside - {*count.network.given} for s in sources
    )
    count.weights += operation.weights * count.counted.item
    for source in sources:
        count.take(source)
    if operation.alias or over:
        source = over or sources[0]
        held = source in count.inside
        count.forget([source] if over else [])
        if held:
            count.inside[operation.name] = count.bytes_of(operation.name) if over else 0
        else:
            count.put(operation.name, False) if over else count.outside.add(operation.name)
        return
    count.put(operation.name, fits)


def _stage(count: _Count, part: PlannedStep) -> None:
    """A stage: what it reads from outside, tile by tile; its own maps stay if the tiles fit."""
    network, stage = count.network, part.stage
    assert stage is not None
    tiles = max(tile_bytes(network, part, places, count.counted) for places in part.groups)
    output = count.bytes_of(part.step.output)
    weights = sum(operation.weights for operation in stage.operations) * count.counted.item
    fits = count.make_room(tiles + output, stage.known, f"stage to {stage.output}")
    room = fits and sum(count.inside.values()) + tiles + output + weights <= count.buffer
    count.weights += weights * (1 if room else len(part.groups))
    for source in stage.known:
        count.take(source, _share_read(network, part, source))
    if sum(count.inside.values()) + tiles > count.buffer:  # tiles do not fit: their maps go out and in
        for operation in stage.operations[:-1]:
            size = 0 if operation.alias else count.bytes_of(operation.name)
            count.written += size
            count.read += size * len(operation.users)
            count.outside.add(operation.name)
    count.put(part.step.output, fits)


def _share_read(network: Network, part: PlannedStep, source: str) -> float:
    """How many times over a value is read by all tiles: more than once where halos overlap."""
    stage = part.stage
    assert stage is not None
    readers = [operation for operation in stage.operations if source in operation.maps]
    if not readers:
        return float(len(part.groups))
    share = 1.0
    for axis, lines in ((0, stage.rows), (1, stage.columns)):
        spans = [
            max(t.stop for r in readers for t in line[r.name])
            - min(t.start for r in readers for t in line[r.name])
            for line in lines
        ]
        share *= sum(spans) / network.size(source, axis)
    return share
