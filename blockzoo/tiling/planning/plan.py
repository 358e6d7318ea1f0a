"""How a network is run: whole operations, and stages that run tile by tile. No tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from blockzoo.core.contracts import RESULTS
from blockzoo.core.errors import UsageError
from blockzoo.core.result import Result
from blockzoo.core.units import aligned_size
from blockzoo.tiling.graph.network import Network, Operation, overwritten, roots
from blockzoo.tiling.planning.grouping import Place, groups, tile_deaths
from blockzoo.tiling.planning.stage import Mode, Stage, check_grid, make_stage

if TYPE_CHECKING:
    from blockzoo.report.drawing import Figure

ITEM_BYTES = {"int8": 1, "fp16": 2, "bf16": 2, "fp32": 4, "fp64": 8}
"""Of one activation."""


FORMS = {"torch": "", "onnx": ", as an ONNX file"}
"""What a plan is counted for, in words."""


@dataclass(frozen=True)
class Step:
    """One part of a plan.

    Args:
        kind: "whole": operations one after the other on whole maps; "tiled": all that makes one map, tile by tile; "pooled": the
            same, and of the map only its mean is kept.
        output: the value that it makes.
        operations: of a whole step, in order.
        grid: tiles along rows and columns.
        batch: tiles that go through the stage together, at most: more memory, more speed.
    """

    kind: Literal["whole", "tiled", "pooled"]
    output: str
    operations: tuple[str, ...] = ()
    grid: tuple[int, int] = (1, 1)
    batch: int = 1

    @property
    def how(self) -> str:
        """In words."""
        if self.kind == "whole":
            return "whole"
        return f"{self.grid[0]} x {self.grid[1]} tiles, {self.batch} at a time"


@dataclass(frozen=True)
class Cost:
    """What running a network costs, for one input as planned.

    Args:
        peak_bytes: of live activations, the network's input not counted.
        macs: multiply-adds of the values that the tiles need. PyTorch's convolutions pad both sides alike: beside a border
            they compute a row more and drop it, which `count_macs` of a runner counts; exported files do not.
        tiles: passes through fused stages; 0 where none is fused.
        steps: peak bytes in each step.
    """

    peak_bytes: int
    macs: int
    tiles: int
    steps: tuple[int, ...] = ()


@RESULTS.register("plan")
@dataclass(frozen=True, repr=False)
class Plan(Result):
    """How a network is run, and what that costs.

    Args:
        steps: in order.
        mode: "block" or "exact".
        input_shape: (N, C, H, W).
        dtype: of activations and weights.
        fold: batch norms are folded into convolutions.
        cost: predicted.
        layer_by_layer: of the same network, one operation after the other.
        labels: of the steps, for people.
        target: what runs it, as whose memory is counted: "torch", this package's executor (int8: a device that writes tiles in
            place), or "onnx", ONNX Runtime a file, which copies slices and joins tiles.
        other_inputs: shapes of what the network is given besides the image.
        input_types: of the image and the others, as "uint8"; "" for the network's own type.
        checked: how far the peak that was tracked in a run is from the predicted one, as a share of it; None: not run.
        agreement: the largest difference of what the run computed from the network; see `check_runner`.
    """

    steps: tuple[Step, ...]
    mode: Mode
    input_shape: tuple[int, ...]
    dtype: str
    fold: bool
    cost: Cost
    layer_by_layer: Cost
    labels: tuple[str, ...] = field(default=(), compare=False)
    target: Literal["torch", "onnx"] = "torch"
    other_inputs: tuple[tuple[int, ...], ...] = ()
    input_types: tuple[str, ...] = ()
    checked: float | None = field(default=None, compare=False)
    agreement: float | None = field(default=None, compare=False)

    @property
    def peak_bytes(self) -> int:
        """Predicted peak of live activations, the input not counted."""
        return self.cost.peak_bytes

    @property
    def input_bytes(self) -> int:
        """Of the image, which peaks do not count: it may be read from elsewhere, or stay."""
        return prod(self.input_shape) * ITEM_BYTES[self.dtype]

    @property
    def macs(self) -> int:
        return self.cost.macs

    @property
    def tiles(self) -> int:
        return self.cost.tiles

    def __str__(self) -> str:
        before, after = self.layer_by_layer, self.cost
        lines = [
            f"{self.mode}, {self.dtype}{FORMS[self.target]}, input {' x '.join(map(str, self.input_shape))}: "
            f"peak {aligned_size(after.peak_bytes)} "
            f"(layer by layer {aligned_size(before.peak_bytes)}; the image's {aligned_size(self.input_bytes)} not counted), "
            f"{after.macs / max(1, before.macs):.2f} x the MACs, {after.tiles} tiles"
            + ("" if self.checked is None else f"; checked: memory {self.checked:.1e}")
            + ("" if self.agreement is None else f", result {self.agreement:.1e}")
        ]
        for step, label, size in zip(self.steps, self.labels, after.steps, strict=True):
            lines.append(f"  {label:44} {step.how:30} {aligned_size(size):>14}")
        return "\n".join(lines)

    def headline(self) -> str:
        return str(self).partition("\n")[0]

    def table_rows(self) -> list[dict[str, Any]]:
        """One row per step."""
        labels = self.labels or [step.output for step in self.steps]
        peaks = self.cost.steps or [None] * len(self.steps)
        rows = zip(labels, self.steps, peaks, strict=True)
        return [{"step": label, "how": step.how, "peak_bytes": peak} for label, step, peak in rows]

    def figure(self) -> Figure:
        """What each step needs at most, beside the whole network layer by layer."""
        from blockzoo.tiling.experiments.memory_figure import memory_of_steps

        return memory_of_steps(self)


@dataclass(frozen=True)
class PlannedStep:
    """A step with all that its execution needs.

    Args:
        step: of the plan.
        stage: where its tiles lie.
        operations: in order.
        ends: after a stage, the values from before it that nothing reads any more.
    """

    step: Step
    stage: Stage | None
    operations: list[Operation]
    ends: list[str] = field(default_factory=list)

    @cached_property
    def dead(self) -> list[list[str]]:
        """For each operation the values that nothing reads afterwards: of a tile in a stage, else of the network, as `program`
        finds them.
        """
        return [[] for _ in self.operations] if self.stage is None else tile_deaths(self.stage)

    @cached_property
    def over(self) -> list[str | None]:
        """For each operation the operand that it writes over."""
        alone = self.stage is None
        return [None] * len(self.operations) if alone else overwritten(self.operations, self.dead)

    @cached_property
    def groups(self) -> list[list[Place]]:
        """Tiles of a stage that run together."""
        return [] if self.stage is None else groups(self.stage, self.step.batch)


def program(network: Network, steps: Sequence[Step], mode: Mode, start: int = -1) -> list[PlannedStep]:
    """The steps of a plan for a network.

    Args:
        network: that is run.
        steps: in order.
        mode: "block" or "exact", see `stage.make_stage`.
        start: the position of the operation whose value they begin with; -1: the image.

    Raises:
        UsageError: the steps do not fit the network.
    """
    parts: list[PlannedStep] = []
    available = network.held_at(start)
    for step in steps:
        if step.kind == "whole":
            operations = [network.by_name[name] for name in step.operations]
            parts.append(PlannedStep(step, None, operations))
            available.extend(step.operations)
            continue
        output = step.output if step.kind == "tiled" else network.by_name[step.output].maps[0]
        stage = make_stage(network, output, available, step.grid, mode)
        parts.append(PlannedStep(step, stage, stage.operations))
        available.append(step.output)
    _free(network, parts, start)
    return parts


def _free(network: Network, parts: Sequence[PlannedStep], start: int) -> None:
    """Say at each place which values of the network die there: no output, and nothing that was given."""
    root = roots([operation for part in parts if part.stage is None for operation in part.operations])
    values = dict.fromkeys(network.held_at(start))
    places = [*_places(parts)]
    last: dict[str, list[str]] = {}
    for dead, names in places:
        values[names[-1]] = None
        last.update(dict.fromkeys((root.get(name, name) for name in names), dead))
    unread = places[0][0]
    stay = {root.get(name, name) for name in _needed_after(network, parts)} | {*network.given}
    for name in values:
        top = root.get(name, name)
        if top not in stay:
            last.get(top, unread).append(name)
    _write_over(parts, values)  # only what the network made is ever listed as dead


def _places(parts: Sequence[PlannedStep]) -> Iterator[tuple[list[str], Sequence[str]]]:
    """Of each operation on whole maps, and of each stage: the list of what dies with it, to be filled; and the values that it
    reads, then the one that it makes.
    """
    for part in parts:
        if part.stage is not None:
            yield part.ends, (*part.stage.known, part.step.output)
            continue
        for dead, operation in zip(part.dead, part.operations, strict=True):
            yield dead, (*operation.sources, operation.name)


def _needed_after(network: Network, parts: Sequence[PlannedStep]) -> list[str]:
    """Outputs, what they are views of, and what is read behind the parts."""
    outputs = [*network.outputs, *(network.root.get(name, name) for name in network.outputs)]
    return [*outputs, *network.held_at(network.position[parts[-1].step.output])]


def _write_over(parts: Sequence[PlannedStep], made: Iterable[str]) -> None:
    """Say of each operation on whole maps which operand it writes over: they are seen together, whatever part they are in."""
    whole = [part for part in parts if part.stage is None]
    operations = [operation for part in whole for operation in part.operations]
    over = iter(overwritten(operations, [dead for part in whole for dead in part.dead], made))
    for part in whole:
        part.over[:] = [next(over) for _ in part.operations]


def whole_steps(network: Network, start: int = -1, stop: int | None = None) -> list[Step]:
    """The operations after position `start` up to `stop`, one after the other."""
    chosen = network.operations[start + 1 : len(network.operations) if stop is None else stop + 1]
    return [Step("whole", chosen[-1].name, tuple(o.name for o in chosen))] if chosen else []


def tiled_steps(network: Network, start: int, stop: int, grid: tuple[int, int], batch: int = 1) -> list[Step]:
    """The operations between two positions as stages: one for each mean of a whole map, for each map that the network returns
    or that waits to be read, and for the last map.

    What a mean is taken of is computed again for what is done with the mean: two passes, and no map is kept. The mean of a map
    that is there needs no pass.
    """
    there = {network.operations[start].name if start >= 0 else network.input, *network.held_at(start)}
    last = network.operations[stop]
    needed = {*network.needed_at(stop)} - {*network.held_at(start), last.name}
    steps: list[Step] = []
    small: list[str] = []

    def flush() -> None:
        if small:
            steps.append(Step("whole", small[-1], tuple(small)))
            small.clear()

    for operation in network.operations[start + 1 : stop + 1]:
        if operation.kind == "pool" and operation.maps[0] not in there:
            flush()
            steps.append(Step("pooled", operation.name, (), grid, batch))
        elif operation.kind in ("pool", "small"):
            small.append(operation.name)
            there.add(operation.name)
        elif operation.name in needed:
            flush()
            steps.append(Step("tiled", operation.name, (), grid, batch))
            there.add(operation.name)
    flush()
    if last.local:
        steps.append(Step("tiled", last.name, (), grid, batch))
    return steps


def cannot_tile(network: Network, start: int, stop: int) -> str:
    """Why the operations between two positions cannot be stages; "" if they can."""
    for operation in network.operations[start + 1 : stop + 1]:
        if operation.kind == "whole":
            return f"{operation} cannot be cut into tiles: {operation.reason}"
    first, last = network.operations[start + 1], network.operations[stop]
    return (
        ""
        if any(o.local for o in network.operations[start + 1 : stop + 1])
        else f"{first} to {last}: no map to cut"
    )


def one_stage(network: Network, grid: tuple[int, int], fuse_to: str, batch: int, mode: str) -> list[Step]:
    """Everything up to a module fused, the rest one operation after the other.

    Raises:
        UsageError: the module is not known, cannot be the end of a stage, or something in between cannot be cut.
    """
    check_grid(grid, mode)
    stop = network.last_of(fuse_to)
    reason = cannot_tile(network, -1, stop)
    if reason:
        raise UsageError(reason)
    if stop not in network.boundaries:
        inside = {o.name for o in network.operations[: stop + 1]}
        open_ends = [str(o) for o in network.operations[:stop] if any(user not in inside for user in o.users)]
        ends = [str(network.operations[i]) for i in network.boundaries[1:]]
        near = min(ends, key=lambda label: abs(network.last_of(label) - stop))
        raise UsageError(
            f"fuse_to {fuse_to!r}: {', '.join(open_ends) or fuse_to} is read after the stage too; fuse to {near}"
        )
    last = network.operations[stop]
    if last.axes:  # no more tiles than the map has pixels
        grid = min(grid[0], last.size(0)), min(grid[1], last.size(1))
    return [*tiled_steps(network, -1, stop, grid, batch), *whole_steps(network, stop)]
