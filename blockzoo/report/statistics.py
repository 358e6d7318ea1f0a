"""From rows to means with intervals, grouped so that only what is comparable is compared."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from blockzoo.core.contracts import POSITIONS
from blockzoo.core.spec import DEFAULT_FILLER

Row = dict[str, Any]

ACCURACIES = ("test_acc", "val_acc")

COSTS = ("flops", "macs", "params_total", "memory_mb", "peak_activation_bytes",
         "stage_flops", "stage_macs", "stage_params_total", "stage_peak_activation_bytes")  # fmt: skip
TIMES = ("latency_ms", "stage_latency_ms", "throughput")
"""Costs that are only comparable on one `latency_device`."""

SHARED = ("dataset", "protocol", "epochs", "batch_size", "lr", "num_blocks", "base_channels", "limit_train")
"""What rows of one group have in common; the key of rows that carry no `comparable`."""

TOLD = ("filler", "image_size", "split")
"""Told of a group where its rows agree, but no key: a trial that failed does not know them."""

Group = tuple[tuple[str, Any], ...]
"""What makes rows comparable, and what is known of them: names with values."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, with the half width of its 95 % interval (None for a single seed)."""

    mean: float
    half_width: float | None
    n: int


@dataclass(frozen=True)
class Summary:
    """One block at one position (or over all of them, position "") within one comparable group."""

    group: Group
    block: str  # with its depth and width in brackets where they are not the scaffold's
    position: str
    positions: tuple[str, ...]  # those that hold results: what an average is taken over
    accuracies: dict[str, Estimate]  # val_acc, test_acc
    costs: dict[str, float]
    times: dict[str, dict[str, float]]  # latency_device -> costs in time there
    not_ok: dict[str, int] = field(default_factory=dict)  # status -> rows


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval of independent values, by Student's t with n - 1 degrees of freedom."""
    n = len(values)
    if n < 2:
        return Estimate(values[0], None, n)
    return Estimate(statistics.fmean(values), student_t(n - 1) * statistics.stdev(values) / math.sqrt(n), n)


def student_t(degrees: int) -> float:
    """The 97.5 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def usable(rows: Iterable[Row]) -> list[Row]:
    """Rows whose trial went well (a table without statuses has only those)."""
    return [row for row in rows if row.get("status") in (None, "", "ok")]


def left_out(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows carry no weight: by status, or "without accuracy"."""
    reasons = Counter(
        row["status"] if not usable([row]) else "without accuracy"
        for row in rows
        if not usable([row]) or not any(_is_number(row.get(name)) for name in ACCURACIES)
    )
    return dict(sorted(reasons.items()))


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """One summary per group, block and position, over distinct seeds."""
    return _summaries(rows, _position)


def average_positions(rows: Iterable[Row]) -> list[Summary]:
    """One summary per group and block: the mean over positions and seeds, every position with equal weight.

    The interval is that of the per-seed means over the positions, so positions of one seed stay together. Only
    seeds present at every position of the block count; where there is none, the mean of the positions' means
    stands without an interval. A cost that is unknown at one of the positions is left out.
    """
    return _summaries(rows, lambda row: "")


def _summaries(rows: Iterable[Row], position_of: Callable[[Row], str]) -> list[Summary]:
    found = []
    for group, members in _grouped(rows).items():
        cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in members:
            cells[_label(row), position_of(row)].append(row)
        found += [_summary(group, block, position, cell) for (block, position), cell in cells.items()]
    order = {position: index for index, position in enumerate(POSITIONS)}
    return sorted(found, key=lambda s: (repr(s.group), order.get(s.position, -1), s.block))


def _grouped(rows: Iterable[Row]) -> dict[Group, list[Row]]:
    keyed: dict[Group, list[Row]] = defaultdict(list)
    for row in rows:
        keyed[group_of(row)].append(row)
    return {(*key, *_told(members)): members for key, members in keyed.items()}


def _told(rows: list[Row]) -> Group:
    values = {name: {row[name] for row in rows if row.get(name) is not None} for name in TOLD}
    return tuple((name, found.pop()) for name, found in values.items() if len(found) == 1)


def _label(row: Row) -> str:
    """The block; depth and width of the stage under test belong to its name where they are not the usual ones."""
    depth, width = row.get("active_blocks"), row.get("active_width")
    changed = [f"depth {depth:g}"] if depth is not None and depth != row.get("num_blocks") else []
    changed += [f"width {width:g}"] if width not in (None, 1) else []
    return f"{row['block']} ({', '.join(changed)})" if changed else str(row["block"])


def _position(row: Row) -> str:
    return row.get("position") or ""


def _summary(group: Group, block: str, position: str, rows: list[Row]) -> Summary:
    good = _newest(usable(rows))
    positions = tuple(sorted({_position(row) for _, row in good}))
    accuracies = {n: mean for n in ACCURACIES if (mean := _over_seeds(good, n)) is not None}
    not_ok = Counter(row["status"] for row in rows if not usable([row]))
    costs = _costs([row for _, row in good], COSTS, positions)
    times = {}
    for device in sorted({row.get("latency_device") or "" for _, row in good}):
        there = [row for _, row in good if (row.get("latency_device") or "") == device]
        if known := _costs(there, TIMES, positions):
            times[device] = known
    return Summary(group, block, position, positions, accuracies, costs, times, dict(sorted(not_ok.items())))


def _newest(rows: list[Row]) -> list[tuple[Any, Row]]:
    """Each seed and the newest row of each (position, seed). Rows without a seed count one by one."""
    found: dict[tuple[str, Any], Row] = {}
    unnamed: Counter[str] = Counter()
    for row in rows:
        seed = row.get("seed")
        if seed is None:
            unnamed[_position(row)] += 1
            seed = f"run {unnamed[_position(row)]}"
        found[_position(row), seed] = row
    return [(seed, row) for (_, seed), row in found.items()]


def _over_seeds(rows: list[tuple[Any, Row]], name: str) -> Estimate | None:
    """Mean over positions, then over the seeds that every position has."""
    values: dict[Any, dict[str, float]] = defaultdict(dict)
    for seed, row in rows:
        if _is_number(row.get(name)):
            values[seed][_position(row)] = row[name]
    positions = {position for of_seed in values.values() for position in of_seed}
    if complete := [statistics.fmean(v.values()) for v in values.values() if set(v) == positions]:
        return estimate(complete)
    if not positions:
        return None
    means = [statistics.fmean(v[p] for v in values.values() if p in v) for p in sorted(positions)]
    return Estimate(statistics.fmean(means), None, 0)


def _costs(rows: list[Row], names: Sequence[str], positions: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for name in names:
        cells: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            if _is_number(row.get(name)):
                cells[_position(row)].append(row[name])
        if cells and set(cells) == set(positions):
            found[name] = statistics.fmean(statistics.fmean(values) for values in cells.values())
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)  # numpy's numbers too


def group_of(row: Row) -> Group:
    """What a row shares with those it may be compared with."""
    shared = [(name, row.get(name)) for name in SHARED if row.get(name) is not None]
    return (*shared, ("comparable", row.get("comparable")))


def describe_group(group: Group) -> str:
    """What a group has in common, as a caption."""
    return ", ".join(part for part in (headline(group), details(group)) if part)


def headline(group: Group) -> str:
    """Dataset, protocol and epochs."""
    facts = dict(group)
    parts = [str(facts[name]) for name in ("dataset", "protocol") if name in facts]
    return ", ".join([*parts, _counted(facts["epochs"], "epoch")] if "epochs" in facts else parts)


def details(group: Group) -> str:
    """The rest: step, scaffold, images, split."""
    facts = dict(group)
    parts = []
    if "batch_size" in facts:
        parts.append(f"batch {facts['batch_size']:g}")
    if "lr" in facts:
        parts.append(f"lr {facts['lr']:g}")
    if "num_blocks" in facts:
        parts.append(f"{_counted(facts['num_blocks'], 'block')} a stage")
    if "base_channels" in facts:
        parts.append(f"width {facts['base_channels']:g}")
    if facts.get("filler", DEFAULT_FILLER) != DEFAULT_FILLER:
        parts.append(f"other stages {facts['filler']}")
    if "image_size" in facts:
        parts.append(f"{facts['image_size']:g} px")
    if "limit_train" in facts:
        parts.append(f"{facts['limit_train']:,.0f} training images")
    if "split" in facts:
        parts.append(f"split {facts['split']}")
    return ", ".join(parts)


def _counted(number: float, thing: str) -> str:
    return f"{number:g} {thing}{'' if number == 1 else 's'}"


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, accuracy) that no other beats, by falling neither in cost nor in accuracy.

    A point is beaten if another costs no more, is no less accurate, and is better in one of the two. Equal points
    are all kept. In order of cost.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    for i in order:
        cost, accuracy = points[i]
        if not front or accuracy > points[front[-1]][1] or (cost, accuracy) == points[front[-1]]:
            front.append(i)
    return front
