"""From rows to means with intervals, grouped so that only what is comparable is compared."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blockzoo.core.contracts import POSITIONS
from blockzoo.core.quantity import quantities
from blockzoo.report.estimates import FRACTION, Estimate, estimate
from blockzoo.report.groups import (
    OF_STAGE_SIZE,
    SHARED,
    Row,
    Spent,
    group_of,
    is_number,
    is_of_a_search,
    name_of,
    tiers_of,
)
from blockzoo.report.pooled import Pooled, pooled
from blockzoo.report.trainings import Group, of_one_network, went_well

COSTS = tuple(name for name, quantity in quantities().items() if quantity.axis or quantity.heading[0])
"""Quantities that a table or a picture shows."""
TIMES = ("latency_ms", "stage_latency_ms")
TIMED = frozenset(
    f"{prefix}latency{what}"
    for prefix in ("", "stage_")
    for what in ("_ms", "_low_ms", "_high_ms", "_std", "_p90_ms", "_n", "_doubt", "_checked", "_device")
) | {"throughput", "throughput_doubt"}
"""Columns of times, which belong to the way in which they were taken."""
ACCURACIES = ("val_acc", "test_acc")
LOSSES = ("val_loss", "test_loss", "train_loss")


@dataclass(frozen=True)
class Time:
    """A latency in milliseconds, with its 95 % interval where the samples have one, and why it is doubtful."""

    ms: float
    interval: tuple[float, float] | None = None
    doubt: str = ""


@dataclass(frozen=True)
class Summary:
    """One block at one position (or over all of them, position "") within one comparable group."""

    group: tuple[tuple[str, Any], ...]
    block: str
    position: str
    accuracies: dict[str, Estimate]  # val_acc, test_acc
    costs: dict[str, float]
    times: dict[str, Time] = field(
        default_factory=dict
    )  # latency_ms, stage_latency_ms; all of a group taken in one way
    timed_on: str = ""  # which that is
    not_ok: dict[str, int] = field(default_factory=dict)  # status -> rows
    of_others: dict[str, int] = field(default_factory=dict)  # tier -> rows that others handed in
    off_budget: float | None = None  # what its stage costs, as a multiple of a budget that it misses
    compared: bool = True  # it does not miss it by so much that it is in no verdict
    lr: float | None = None  # of its trainings, where each block has its own
    older: dict[str, int] = field(
        default_factory=dict
    )  # trainings of other networks of its name -> their number
    spreads: Mapping[str, Pooled] = field(
        default_factory=dict
    )  # of an accuracy: what the cells of the group have in common, by which its interval is; else by its own seeds


SUMMARISED = tuple(
    dict.fromkeys(
        [
            *SHARED,
            "comparable",
            "block",
            "position",
            "seed",
            "experiment_name",
            "status",
            "tier",
            "budget_ratio",
            *OF_STAGE_SIZE,
            *ACCURACIES,
            *COSTS,
            *TIMES,
        ]
        + ["throughput", "latency_device"]
        + [f"{name.removesuffix('_ms')}_{what}" for name in TIMES for what in ("low_ms", "high_ms", "doubt")]
    )
)
"""Columns that a summary is made of: a reader of many rows need give no others."""
LOOKED_AT = (*SUMMARISED, *LOSSES)
"""Those that comparisons are made of: equal losses tell whether trainings are of one network."""


def usable(rows: Iterable[Row]) -> list[Row]:
    """Rows whose trial went well (a table without statuses has only those), and by which nothing was chosen."""
    return [row for row in rows if went_well(row) and not is_of_a_search(row)]


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """One summary per group, block and position, over distinct seeds."""
    cells, spent = _cells(rows)
    order = {position: index for index, position in enumerate(POSITIONS)}
    summaries = _summaries(
        [(group, block, {position: cell}) for (group, block, position), cell in cells.items()], spent
    )
    return sorted(summaries, key=lambda s: (repr(s.group), order.get(s.position, -1), s.block))


def average_positions(rows: Iterable[Row]) -> list[Summary]:
    """One summary per group and block: the mean over positions and seeds.

    The interval is that of the per-seed means over the positions, so positions of one seed stay together. Only seeds at every
    position count, and a block that was not trained at every position of its group is left out. A whole network is its own mean.
    """
    cells, spent = _cells(rows)
    of_blocks: dict[tuple[Group, str], dict[str, Sequence[Row]]] = defaultdict(dict)
    places: dict[Group, set[str]] = defaultdict(set)
    for (group, block, position), cell in cells.items():
        if any(map(went_well, cell)):
            of_blocks[group, block][position] = cell
            places[group] |= {position} - {""}
    chosen = [
        (group, block, of) for (group, block), of in of_blocks.items() if of.keys() in ({""}, places[group])
    ]
    return _summaries(chosen, spent)


def _cells(rows: Iterable[Row]) -> tuple[dict[tuple[Group, str, str], Sequence[Row]], Spent]:
    """The rows of each group, block and position but those by which something was chosen, and what their stages cost."""
    cells: dict[tuple[Group, str, str], Sequence[Row]] = defaultdict(list)
    timed = _timed_alike(rows)
    for group, row in timed:
        cells[group, name_of(row), row.get("position") or ""].append(row)  # type: ignore[attr-defined]
    return cells, Spent(row for _, row in timed)


Places = Mapping[str, Sequence[Row]]
"""The rows of a block by position."""


@dataclass(frozen=True)
class _Counted:
    """The trainings of a block that count, over the positions whose rows are given.

    Args:
        rows: of one network each position, failed ones too.
        older: trainings of other networks, see `Summary`.
        accuracies: the mean over the positions, of each seed.
    """

    rows: list[Row]
    older: Mapping[str, int]
    accuracies: Mapping[str, Mapping[object, float]]

    @classmethod
    def of(cls, places: Places) -> _Counted:
        older: Counter[str] = Counter()
        rows: list[Row] = []
        for cell in places.values():
            own, others = of_one_network(cell)
            rows += own
            older.update(others)
        good = [row for row in rows if went_well(row)]
        return cls(rows, older, {name: _per_seed(good, name, len(places)) for name in ACCURACIES})


def _summaries(of_blocks: Sequence[tuple[Group, str, Places]], spent: Spent) -> list[Summary]:
    """Of each block; intervals are by the spread that those of a group have in common, where they have one."""
    counted = [_Counted.of(places) for _, _, places in of_blocks]
    cells: dict[tuple[Group, str], list[Mapping[object, float]]] = defaultdict(list)
    for (group, _, _), one in zip(of_blocks, counted, strict=True):
        for name, per_seed in one.accuracies.items():
            cells[group, name].append(per_seed)
    spreads: dict[Group, dict[str, Pooled]] = defaultdict(dict)
    for (group, name), several in cells.items():
        if (spread := pooled(several)) is not None:
            spreads[group][name] = spread
    return [
        _summary(group, block, places, (one, spreads[group], spent))
        for (group, block, places), one in zip(of_blocks, counted, strict=True)
    ]


def _summary(
    group: Group, block: str, cells: Places, known: tuple[_Counted, Mapping[str, Pooled], Spent]
) -> Summary:
    """Of a block, over the positions whose rows are given."""
    counted, spreads, spent = known
    rows = counted.rows
    of_one = len(cells) == 1
    position = next(iter(cells)) if of_one else ""
    good = [row for row in rows if went_well(row)]
    accuracies = {
        name: spreads[name].estimate([*of.values()])
        if name in spreads
        else estimate([*of.values()], FRACTION)
        for name, of in counted.accuracies.items()
        if of
    }
    costs = {
        name: mean for name in COSTS if (mean := _mean_over_positions(good, name, of_one=of_one)) is not None
    }
    times = {name: time for name in TIMES if (time := _time(good, name, of_one=of_one))}
    ways = [str(row["latency_device"]) for row in good if row.get("latency_device")]
    not_ok = Counter(row["status"] for row in rows if not went_well(row)) if len(good) < len(rows) else {}
    at_budget = rows if dict(group).get("budget") else []
    off = next((ratio for row in at_budget if (ratio := spent.off(row)) is not None), None)
    compared = all(spent.is_compared(row) for row in at_budget)
    lr = rows[0]["lr"] if rows[0].get("lr_among") else None
    return Summary(
        group,
        block,
        position,
        accuracies,
        costs,
        times,
        timed_on=ways[0] if ways else "",
        not_ok=dict(not_ok),
        of_others=tiers_of(good),
        off_budget=off,
        compared=compared,
        lr=lr,
        older=dict(counted.older),
        spreads=spreads,
    )


def _timed_alike(rows: Iterable[Row]) -> list[tuple[tuple[tuple[str, Any], ...], Row]]:
    """Each row with its group, in each group with the times of one way alone: that of most of its rows, of two the later.

    Threads, dtypes, layouts and machines differ in speed: times taken in two ways share no table, picture or front.
    """
    groups: dict[Any, Any] = {}  # one object for all rows of a group
    grouped = [
        (groups.setdefault(group := group_of(row), group), row) for row in rows if not is_of_a_search(row)
    ]
    ways: dict[Any, Counter[Any]] = defaultdict(Counter)
    latest: dict[Any, dict[Any, int]] = defaultdict(dict)
    for number, (group, row) in enumerate(grouped):
        if row.get("latency_device") is not None or any(row.get(name) is not None for name in TIMED):
            way = row.get("latency_device")
            ways[group][way] += 1
            latest[group].setdefault(way, number)
    chosen = {
        group: max(counts, key=lambda way: (counts[way], latest[group][way]))
        for group, counts in ways.items()
    }
    return [
        (group, row)
        if row.get("latency_device") == chosen.get(group)
        else (group, {name: None if name in TIMED else value for name, value in row.items()})
        for group, row in grouped
    ]


def _time(rows: list[Row], name: str, *, of_one: bool) -> Time | None:
    """Of one network its time; over positions the mean of times, and of the ends of their intervals."""
    ms = _mean_over_positions(rows, name, of_one=of_one)
    if ms is None:
        return None
    stem = name.removesuffix("_ms")
    keys = [tuple(map(row.get, (name, f"{stem}_low_ms", f"{stem}_high_ms", f"{stem}_doubt"))) for row in rows]
    if of_one and keys.count(keys[0]) == len(keys):  # seeds of one network share its times
        rows = rows[:1]
    counted = [row for row in rows if is_number(row.get(name))]
    ends = [_mean_over_positions(counted, f"{stem}_{end}_ms", of_one=of_one) for end in ("low", "high")]
    whole = all(is_number(row.get(f"{stem}_{end}_ms")) for row in counted for end in ("low", "high"))
    reasons = dict.fromkeys(str(row[f"{stem}_doubt"]) for row in counted if row.get(f"{stem}_doubt"))
    interval = (ends[0], ends[1]) if whole and ends[0] is not None and ends[1] is not None else None
    return Time(ms, interval, "; ".join(reasons))


def _per_seed(rows: list[Row], name: str, positions: int) -> dict[object, float]:
    """For each seed that so many positions have the mean over them; the newest row of a (seed, position) counts."""
    if positions == 1:
        return {
            _seed(row, index): float(v) for index, row in enumerate(rows) if is_number(v := row.get(name))
        }
    values: dict[Any, dict[str, float]] = defaultdict(dict)
    for index, row in enumerate(rows):
        if is_number(row.get(name)):
            values[_seed(row, index)][row.get("position") or ""] = row[name]
    return {seed: statistics.fmean(v.values()) for seed, v in values.items() if len(v) == positions}


def _seed(row: Row, index: int) -> object:
    """A row without a seed is of one of its own."""
    return index if (seed := row.get("seed")) is None else seed


def _mean_over_positions(rows: list[Row], name: str, *, of_one: bool = False) -> float | None:
    """The mean of the means at each position; `of_one`: all rows are of one."""
    if of_one:
        values = [row.get(name) for row in rows]
        if values and values.count(values[0]) == len(values):  # costs of one network are
            return float(values[0]) if is_number(values[0]) else None
        numbers = [value for value in values if is_number(value)]
        return statistics.fmean(numbers) if numbers else None
    cells: dict[str, list[float]] = {}
    for row in rows:
        if is_number(value := row.get(name)):
            cells.setdefault(row.get("position") or "", []).append(value)
    return statistics.fmean([statistics.fmean(v) for v in cells.values()]) if cells else None
