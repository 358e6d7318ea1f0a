"""The leaderboard of one comparable group as plain values: what a page needs to sort, filter and draw, and no more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from blockzoo.core.contracts import STAGES
from blockzoo.core.text import plain
from blockzoo.report.charts import AXES, Panel, panel_of, spread_at
from blockzoo.report.comparable import Comparable
from blockzoo.report.effects import USUAL
from blockzoo.report.front import spread_of
from blockzoo.report.groups import describe_group, short_name
from blockzoo.report.site.pairs import MEAN, Pairs, alike
from blockzoo.report.summaries import Summary, Time, average_positions, summarise

TIME = "latency_ms"
DTYPES = ("fp32", "bf16", "fp16", "int8")
"""Words of a way of timing that end the name of the hardware."""
DIFFERS = ("split", "image_size", "images", "devices", "threads")
"""Columns that tell two groups apart which are described alike."""


def key_of(of: Comparable) -> str:
    """A short name of a group for addresses: equal for equal groups, whatever else the results hold."""
    return short_name(of.group)


def facets_of(of: Comparable) -> dict[str, str]:
    """What a group is found by: dataset, protocol, track and amount of its budget, design, where it was trained."""
    facts = dict(of.group)
    track, _, amount = str(facts.get("budget") or "native").partition(" ")
    trained = dict.fromkeys(
        str(row.get("gpu") or row.get("cpu") or row.get("device") or "") for row in of.rows
    )
    return {
        "dataset": plain(str(facts.get("dataset") or "-"), lines=False),
        "protocol": plain(str(facts.get("protocol") or "-"), lines=False),
        "track": plain(track, lines=False),
        "budget": plain(amount or "none", lines=False),
        "design": "isolated and crossed" if of.crossed else "isolated",
        "trained": plain(", ".join(filter(None, trained)) or "-", lines=False),
    }


def way_words(way: str) -> tuple[str, str]:
    """The hardware of a way of timing, and the rest of it: dtype, layout, runtime, threads.

    Examples:
        >>> way_words("Some CPU, 2 GHz, fp32, contiguous, eager, 1 threads")
        ('Some CPU, 2 GHz', 'fp32, contiguous, eager, 1 threads')
    """
    words = way.split(", ")
    end = next((place for place, word in enumerate(words) if word in DTYPES), len(words))
    return ", ".join(words[:end]), ", ".join(words[end:])


def titles_of(groups: Sequence[Comparable]) -> list[str]:
    """A line for each group; those that are described alike say in which columns they differ."""
    words = [describe_group(of.group) or "results" for of in groups]
    titles = []
    for of, own in zip(groups, words, strict=True):
        rivals = [other for other, same in zip(groups, words, strict=True) if same == own]
        differences = [
            f"{name} {_values(of, name)}"
            for name in DIFFERS
            if len({_values(other, name) for other in rivals}) > 1
        ]
        titles.append(plain(", ".join([own, *differences]), lines=False))
    again = [title for title in titles if titles.count(title) > 1]
    return [
        f"{title}, table {key_of(of)}" if title in again else title
        for title, of in zip(titles, groups, strict=True)
    ]


def _values(of: Comparable, name: str) -> str:
    return " or ".join(dict.fromkeys(str(row.get(name)) for row in of.rows))


def board_of(of: Comparable, title: str, pairs: Pairs, timed: Mapping[str, Comparable]) -> dict[str, Any]:
    """A leaderboard.

    Args:
        of: the group.
        title: its line.
        pairs: of its blocks.
        timed: the group with the times of each further way.
    """
    seen = Seen(of)
    cells = [s for at in seen.at.values() for s in at]
    own = next((s.timed_on for s in cells if s.timed_on), "")
    ways = {own: seen} if any(s.times for s in cells) else {}
    ways |= {way: Seen(other) for way, other in timed.items() if way != own}
    blocks = sorted({s.block for s in cells})
    reference = USUAL if any(USUAL in at for at in pairs.cells.values()) else ""
    return {
        "key": key_of(of),
        "title": title,
        "facets": facets_of(of),
        "accuracy": of.accuracy,
        "left_out": of.left_out,
        "spread": of.spread,
        "blocks": [plain(block, lines=False) for block in blocks],
        "reference": blocks.index(reference) if reference else None,
        "ways": [[plain(part, lines=False) for part in way_words(way)] for way in ways],
        "places": [_place(seen, place, pairs, blocks, ways) for place in _places(pairs, seen)],
    }


class Seen:
    """The summaries of a group by position and over all of them, each made once; of networks of several blocks there are none."""

    def __init__(self, of: Comparable) -> None:
        self.of = of
        self._rows = [row for row in of.rows if not str(row["block"]).startswith(f"{STAGES}:")]

    @cached_property
    def at(self) -> dict[str, list[Summary]]:
        """By position."""
        by_place: dict[str, list[Summary]] = defaultdict(list)
        for summary in summarise(self._rows):
            by_place[summary.position].append(summary)
        return dict(by_place)

    @cached_property
    def means(self) -> list[Summary]:
        """Over positions."""
        return average_positions(self._rows)

    def of_place(self, place: str, *, is_mean: bool) -> list[Summary]:
        """Of a position, or the means."""
        return self.means if is_mean else self.at.get(place, [])


def _places(pairs: Pairs, seen: Seen) -> list[str]:
    """The mean first, then positions in the order of the network, those too whose trainings all failed."""
    there = dict.fromkeys([*pairs.of.positions, *seen.at])
    return [*([MEAN] if MEAN in pairs.cells and pairs.is_mean(MEAN) else []), *there]


def _place(
    seen: Seen, place: str, pairs: Pairs, blocks: Sequence[str], ways: Mapping[str, Seen]
) -> dict[str, Any]:
    """The lines of a position, the most accurate first; what is in no comparison comes last."""
    of, is_mean = seen.of, pairs.is_mean(place)
    here = seen.of_place(place, is_mean=is_mean)
    if is_mean:
        here = [s for s in here if s.block in pairs.cells[place]]
    judged = _judged(pairs, place)
    here = sorted(
        here, key=lambda s: (s.block not in judged, -judged.get(s.block, _Judged(_mean(of, s))).mean)
    )
    compared = pairs.cells.get(place, [])
    return {
        "name": "mean" if is_mean else place,
        "block": [blocks.index(s.block) for s in here],
        **_columns(of, here, judged),
        "rank": [_rank(pairs, s.block, place, number) for number, s in enumerate(here)],
        **_costs(of, here, place, is_mean),
        "times": [_times(ways[way], place, is_mean, here) for way in ways],
        "compared": [blocks.index(block) for block in compared],
        "pairs": pairs.columns(place) if pairs.alone.get(place) else None,
    }


class _Judged:
    """The mean of a block at a position, with the interval that holds together with all others there."""

    def __init__(
        self, mean: float, low: float | None = None, high: float | None = None, best: float | None = None
    ) -> None:
        self.mean, self.low, self.high, self.best = mean, low, high, best


def _judged(pairs: Pairs, place: str) -> dict[str, _Judged]:
    """Of each block that is compared there."""
    blocks = pairs.cells.get(place, [])
    table = pairs.of.fitted.leveled(pairs.of.table)
    spread = spread_of(pairs.of.table, pairs.of.fitted, [pairs.cells_of(block, place) for block in blocks])
    if spread is None:
        means = {
            b: float(np.mean([np.mean(list(table[c].values())) for c in pairs.cells_of(b, place)]))
            for b in blocks
        }
        return {block: _Judged(mean) for block, mean in means.items()}
    best = (spread.drawn == spread.drawn.max(1, keepdims=True)).mean(0)
    ends = zip(blocks, spread.means, spread.half_widths, best, strict=True)
    return {
        block: _Judged(float(mean), max(0.0, float(mean - half)), min(1.0, float(mean + half)), float(chance))
        for block, mean, half, chance in ends
    }


def _columns(of: Comparable, here: Sequence[Summary], judged: Mapping[str, _Judged]) -> dict[str, Any]:
    """Accuracies in percent; alone is the interval of one block, as the table of results has it."""
    judgements = [judged.get(s.block, _Judged(_mean(of, s))) for s in here]
    own = [s.accuracies.get(of.column) for s in here]
    together = [
        None if j.low is None or j.high is None else [_percent(j.low), _percent(j.high)] for j in judgements
    ]
    return {
        "mean": [_percent(j.mean) if j.mean >= 0 else None for j in judgements],
        "together": together,
        "alone": [
            [_percent(end) for end in e.interval] if e is not None and e.interval is not None else None
            for e in own
        ],
        "best": [None if j.best is None else round(j.best, 4) for j in judgements],
        "n": alike([0 if e is None else e.n for e in own]),
        "lost": alike([", ".join(f"{count} {status}" for status, count in s.not_ok.items()) for s in here]),
        "tier": alike([tier_words(s) for s in here]),
        "off": alike([_short(s.off_budget) for s in here]),
        "lr": alike([_short(s.lr) for s in here]),
    }


def tier_words(summary: Summary) -> str:
    """Who vouches for a line; empty where all of it was measured here.

    Examples:
        >>> tier_words(Summary((), "B", "mid", {}, {}, of_others={"reported": 2}))
        '2 reported'
    """
    return ", ".join(f"{count} {tier}" for tier, count in summary.of_others.items())


def _rank(pairs: Pairs, block: str, place: str, number: int) -> list[int] | None:
    """Rank by the mean, and the interval; None of what is in no comparison."""
    if block not in pairs.cells.get(place, []):
        return None
    return [number + 1, *pairs.ranks.get((block, place), ())]


def _costs(of: Comparable, here: Sequence[Summary], place: str, is_mean: bool) -> dict[str, Any]:
    """Each cost of the lines, the probability of being on its front, and the band that holds the front."""
    shown = [s for s in here if of.column in s.accuracies]
    spreads = spread_at(of, shown, average=is_mean)
    costs, fronts, bands = {}, {}, {}
    for name, axis in AXES.items():
        if name == TIME or any(axis.instead_of in s.costs for s in here):
            continue
        values = [_short(s.costs.get(name), 6) for s in here]
        if any(value is not None for value in values):
            costs[name] = alike(values)
            fronts[name], bands[name] = _front(panel_of(of, place, name, shown, spreads), here)
    return {"costs": costs, "front": fronts, "band": bands}


def _front(panel: Panel | None, here: Sequence[Summary]) -> tuple[Any, list[list[Any]]]:
    if panel is None:
        return None, []
    chances = {point.block: _short(point.front, 4) for point in panel.points}
    band = [[_short(cost, 6), _percent(low), _percent(high)] for cost, low, high in panel.band]
    return alike([chances.get(s.block) for s in here]), band


def _times(seen: Seen, place: str, is_mean: bool, here: Sequence[Summary]) -> dict[str, Any]:
    """In one way: times of the whole network and of the stage, the front of the first, the band."""
    of, own = seen.of, {s.block: s for s in seen.of_place(place, is_mean=is_mean)}
    timed = [own[s.block] for s in here if s.block in own]
    shown = [s for s in timed if of.column in s.accuracies]
    front, band = _front(panel_of(of, place, TIME, shown, spread_at(of, shown, average=is_mean)), here)
    lines = [own.get(s.block) for s in here]
    return {
        "whole": [_time(s.times.get(TIME) if s else None) for s in lines],
        "stage": [_time(s.times.get(f"stage_{TIME}") if s else None) for s in lines],
        "front": front,
        "band": band,
    }


def _time(time: Time | None) -> list[Any] | None:
    """Milliseconds, the ends of the interval, the doubt."""
    if time is None:
        return None
    low, high = time.interval or (None, None)
    return [
        _short(time.ms),
        _short(low),
        _short(high),
        *([plain(time.doubt, lines=False)] if time.doubt else []),
    ]


def _mean(of: Comparable, summary: Summary) -> float:
    estimate = summary.accuracies.get(of.column)
    return estimate.mean if estimate is not None else -1.0


def _percent(fraction: float) -> float:
    return round(100 * fraction, 3)


def _short(value: float | None, digits: int = 4) -> float | int | None:
    """With so many significant digits; whole numbers stay whole."""
    if value is None:
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short
