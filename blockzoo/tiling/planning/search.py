"""The search for plans: dynamic programming over cut points and grids.

A state is a place in the network where one map alone is alive. From each, steps lead to later ones: the operations between run on
whole maps, or as a stage of some grid. Within a limit of memory a state keeps the ways to it that are Pareto-optimal in
multiply-adds and tiles; the front is what is left at each limit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from blockzoo.core.errors import UsageError
from blockzoo.core.progress import followed
from blockzoo.core.units import aligned_size
from blockzoo.tiling.graph.network import Network
from blockzoo.tiling.planning.labels import labels
from blockzoo.tiling.planning.plan import (
    Cost,
    Plan,
    Step,
    cannot_tile,
    one_stage,
    program,
    tiled_steps,
    whole_steps,
)
from blockzoo.tiling.planning.prediction import cost
from blockzoo.tiling.planning.stage import Mode
from blockzoo.tiling.planning.tile_memory import Counted

GRIDS = ((1, 1), (2, 1), (2, 2), (4, 1), (3, 3), (4, 4), (8, 1), (6, 6), (8, 8), (12, 12), (16, 16))
"""Grids that are tried, tiles along rows and columns."""
MOST_MACS = 1.2
"""Without a budget: the least memory for at most this many times the multiply-adds."""
SMALL_BYTES = 256 * 1024
"""A network that needs less has nothing worth saving: stages that were asked for are not refused for saving nothing."""
MOST_WORK = 75_000
"""Operations that are looked at, once for each segment and grid: deep networks get fewer places to go from stage to stage."""
MOST_LEVELS = 400
"""Sizes of memory at which the front is looked at one by one; where segments have more, in steps of a part of 20."""
LEAST_SIDE = {"block": 4, "exact": 2}
"""Rows and columns of the smallest tiles that are tried: what independent tiles cost in accuracy grows as they shrink."""


class _Way(NamedTuple):
    """To a state: what it costs so far, its last steps, and the way before these."""

    peak: int
    macs: int
    tiles: int
    steps: tuple[Step, ...]
    before: _Way | None = None

    @property
    def all_steps(self) -> tuple[Step, ...]:
        steps: list[Step] = []
        way: _Way | None = self
        while way is not None:
            steps[:0] = way.steps
            way = way.before
        return tuple(steps)


class Planner:
    """Plans for one network."""

    def __init__(self, network: Network, mode: Mode, dtype: str, fold: bool, counted: Counted) -> None:
        self.network, self.mode, self.dtype, self.fold, self.counted = network, mode, dtype, fold, counted
        self.layer_by_layer = self.cost(whole_steps(network))

    def cost(self, steps: Sequence[Step]) -> Cost:
        return cost(self.network, program(self.network, steps, self.mode), self.counted)

    def made(self, steps: Sequence[Step]) -> Plan:
        steps = tuple(_joined(steps))
        names = labels(self.network, steps)
        shape, *others = self.network.inputs.values()
        return Plan(
            steps,
            self.mode,
            shape,
            self.dtype,
            self.fold,
            self.cost(steps),
            self.layer_by_layer,
            names,
            other_inputs=tuple(others),
            input_types=self.network.input_types,
        )

    def fused(self, grid: tuple[int, int], fuse_to: str, batch: int, limit: int | None) -> Plan:
        """One stage, as asked for."""
        plan = self.made(one_stage(self.network, grid, fuse_to, batch, self.mode))
        before, after = self.layer_by_layer, plan.cost
        saves = after.peak_bytes < before.peak_bytes or before.peak_bytes < SMALL_BYTES
        if not saves and after.macs > MOST_MACS * before.macs:
            raise UsageError(
                f"{grid[0]} x {grid[1]} tiles to {fuse_to} save nothing in mode {self.mode}: "
                f"peak {aligned_size(after.peak_bytes)}, layer by layer {aligned_size(before.peak_bytes)}, "
                f"for {after.macs / before.macs:.2f} x the MACs; fuse less far"
            )
        if limit is not None and after.peak_bytes > limit:
            raise UsageError(
                f"this stage needs {aligned_size(after.peak_bytes)}, not {aligned_size(limit)}: {_largest(plan)}"
            )
        return plan

    def least_memory(self) -> Plan:
        """The least peak that a way with few enough multiply-adds has; tiles run together where that costs no memory."""
        most = MOST_MACS * self.layer_by_layer.macs
        peaks = self._levels

        def enough(limit: int) -> bool:
            return any(way.macs <= most for way in self.ways(limit))

        best = peaks[bisect_left(peaks, True, key=enough)]
        return self.together(min(self.ways(best), key=lambda way: way[1:3]), best)

    def within(self, limit: int) -> Plan:
        """The fewest multiply-adds, then the fewest tiles, whose peak lies within a budget."""
        fitting = self.ways(limit)
        if not fitting:
            best = self.least()
            raise UsageError(
                f"no plan needs {aligned_size(limit)} or less; the least is {aligned_size(best.peak_bytes)}: {_largest(best)}"
            )
        return self.together(min(fitting, key=lambda way: (way.macs, way.tiles, way.peak)), limit)

    def least(self) -> Plan:
        """The least peak there is, whatever it costs."""
        peaks = self._levels
        best = peaks[bisect_left(peaks, True, key=lambda limit: bool(self.ways(limit)))]
        return self.made(min(self.ways(best), key=lambda way: way[1:3]).all_steps)

    def front(self, limit: int | None = None) -> list[Plan]:
        """Pareto-optimal ways to the end, the least memory first: all of them, or where there are very many those at some
        sizes of memory. What is listed is beaten by none, listed or not.

        Args:
            limit: of the memory; None: none.
        """
        cheapest: dict[tuple[int, int, int], _Way] = {}
        every = len(self._levels) <= MOST_LEVELS
        limit = self._levels[-1] if limit is None else limit
        while ways := self.ways(limit):
            cheapest.update((way[:3], way) for way in ways)
            below = max(way.peak for way in ways) - 1
            limit = below if every else min(below, limit - limit // 20)
        return [self.made(cheapest[cost].all_steps) for cost in sorted(cheapest)]

    def together(self, way: _Way, limit: int) -> Plan:
        """As many tiles at a time as the limit allows, stage by stage."""
        steps = list(way.all_steps)
        for place, step in enumerate(steps):
            if step.kind == "whole":
                continue
            for batch in _halvings(step.grid[0] * step.grid[1]):
                tried = [*steps[:place], replace(step, batch=batch), *steps[place + 1 :]]
                if self.cost(tried).peak_bytes <= limit:
                    steps = tried
                    break
        return self.made(steps)

    def ways(self, limit: int) -> list[_Way]:
        """To the end of the network, with no more memory than this: those that are Pareto-optimal in multiply-adds and tiles, of
        equals the one with the least memory. No other way within the limit, or within less, beats one of them in all three.
        """
        ways_to: dict[int, list[_Way]] = {-1: [_Way(0, 0, 0, ())]}
        for stop in self._states[1:]:
            ways_to[stop] = _undominated(
                _Way(max(way.peak, own.peak), way.macs + own.macs, way.tiles + own.tiles, own.steps, way)
                for start, ways in ways_to.items()
                for own in self._segments[start, stop]
                if own.peak <= limit
                for way in ways
            )
        return ways_to[len(self.network.operations) - 1]

    @cached_property
    def _levels(self) -> list[int]:
        """The peaks that plans can have."""
        return sorted({segment.peak for segments in self._segments.values() for segment in segments})

    @cached_property
    def _segments(self) -> dict[tuple[int, int], list[_Way]]:
        """From each state to each later one: whole, if it is the next one, and in tiles."""
        ends = self._states
        pairs = [(start, stop, ends[place - 1]) for place, stop in enumerate(ends) for start in ends[:place]]
        return {
            (start, stop): list(self._between(start, stop, start == before))
            for start, stop, before in followed(pairs, "planning", len(pairs), "parts")
        }

    def _between(self, start: int, stop: int, adjacent: bool) -> Iterator[_Way]:
        network = self.network
        if adjacent:
            yield self._segment(start, whole_steps(network, start, stop))
        if cannot_tile(network, start, stop):
            return
        last = network.operations[stop]
        map_of = last.name if last.axes else last.maps[0] if last.kind == "pool" else None
        if last.kind == "small" or map_of is None:
            return
        for grid in GRIDS:
            fits = all(
                grid[axis] * LEAST_SIDE[self.mode] <= network.size(map_of, axis)
                for axis in (0, 1)
                if grid[axis] > 1
            )
            if fits and (grid != (1, 1) or last.kind == "pool"):
                yield self._segment(start, tiled_steps(network, start, stop, grid))

    def _segment(self, start: int, steps: list[Step]) -> _Way:
        """Its cost, with the map it starts from held."""
        network = self.network
        held = [name for name in network.held_at(start) if network.root.get(name) == name]
        entry = {name: network.elements(name) * self.counted.item for name in held}
        own = cost(network, program(network, steps, self.mode, start), self.counted, entry)
        return _Way(own.peak_bytes, own.macs, own.tiles, tuple(steps))

    def _in_place(self, start: int, stop: int) -> bool:
        """Do these operations, the last one included, do nothing but write over the one map?"""
        return all(
            o.alias or (o.kind == "pointwise" and len(o.sources) == 1 and o.over == o.sources)
            for o in self.network.operations[start : stop + 1]
        )

    @cached_property
    def _states(self) -> list[int]:
        """Boundaries at which the map is no larger than at both neighbours, the ends, maps that are returned, and where what
        comes next cannot be cut or reads what has waited.

        Behind an operation that writes over the map alone (a ReLU) rather than before it: that is as good in every way.
        """
        network = self.network
        ends = network.boundaries
        sizes = [sum(map(network.elements, network.carried_at(i))) for i in ends]
        chosen, needed = {ends[0], ends[-1]}, {ends[0], ends[-1]}
        for k in range(1, len(ends) - 1):
            narrow = sizes[k] <= sizes[k + 1] and (sizes[k] <= sizes[k - 1] or k == 1)
            edge = bool(cannot_tile(network, ends[k], ends[k + 1])) != bool(
                cannot_tile(network, ends[k - 1], ends[k])
            )
            returned = network.operations[ends[k]].name in network.outputs
            waiting, still = ({*network.carried_at(end)[1:]} for end in ends[k : k + 2])
            if narrow or edge or returned or waiting - still:
                while k < len(ends) - 1 and self._in_place(ends[k] + 1, ends[k + 1]):
                    k += 1
                chosen.add(ends[k])
                needed |= {ends[k]} if edge else set()
        states, most = sorted(chosen), len(chosen)
        while self._work(states) > MOST_WORK and most > len(needed):
            most -= 1
            states = _thinned(sorted(chosen), needed, most)
        return states

    def _work(self, states: Sequence[int]) -> int:
        """Operations in all segments between states, once for each grid."""
        wholes = list(accumulate((o.kind == "whole" for o in self.network.operations), initial=0))
        return sum(
            (stop - start) * self._grids[stop]
            for place, stop in enumerate(states)
            for start in states[:place]
            if wholes[stop + 1] == wholes[start + 1]
        )

    @cached_property
    def _grids(self) -> list[int]:
        """For each operation, how many grids its map could be cut into."""
        least = LEAST_SIDE[self.mode]
        return [
            sum(all(n == 1 or n * least <= o.size(axis) for axis, n in enumerate(grid)) for grid in GRIDS)
            if o.axes
            else 1
            for o in self.network.operations
        ]


def _thinned(states: list[int], needed: set[int], most: int) -> list[int]:
    """So many states, those that are needed and others, evenly spread."""
    others = [state for state in states if state not in needed]
    room = max(0, most - len(needed))
    if len(others) <= room:
        return states
    kept = {others[round(i * (len(others) - 1) / max(1, room - 1))] for i in range(room)}
    return sorted(needed | kept)


def _undominated(ways: Iterable[_Way]) -> list[_Way]:
    """Those that are Pareto-optimal in multiply-adds and tiles; of equals the one with the least memory."""
    front: list[_Way] = []
    for way in sorted(ways, key=lambda way: (way.macs, way.tiles, way.peak)):
        if not front or way.tiles < front[-1].tiles:
            front.append(way)
    return front


def _joined(steps: Sequence[Step]) -> Iterator[Step]:
    """Whole steps that follow one another as one."""
    waiting: list[str] = []
    for step in steps:
        if step.kind == "whole":
            waiting += step.operations
            continue
        if waiting:
            yield Step("whole", waiting[-1], tuple(waiting))
            waiting = []
        yield step
    if waiting:
        yield Step("whole", waiting[-1], tuple(waiting))


def _halvings(count: int) -> Iterator[int]:
    while count > 1:
        yield count
        count = -(-count // 2)


def _largest(plan: Plan) -> str:
    """The step that needs most, in words."""
    size, label = max(zip(plan.cost.steps, plan.labels, strict=True))
    return f"{label} needs {aligned_size(size)}"
