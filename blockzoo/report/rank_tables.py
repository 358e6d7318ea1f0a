"""Ranks as tables: for the terminal, and as rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from blockzoo.core.typeset import HIGH, KEY, TextTable, name, number
from blockzoo.report.groups import describe_group
from blockzoo.report.ranks import Ranked, Ranking
from blockzoo.report.trainings import remarks

COLUMNS = (
    name("position"),
    number("rank"),
    name("block"),
    number("accuracy", "%", HIGH),
    number("ranks", importance=KEY),
    number("best"),
    number("on the front"),
)


def rank_rows(rankings: Iterable[Ranking]) -> list[dict[str, Any]]:
    """One row for each block and position."""
    return [
        {
            "group": describe_group(ranking.group),
            "column": ranking.column,
            "position": one.position,
            "block": one.block,
            "mean": one.mean,
            "rank": one.rank,
            "rank_low": one.interval[0],
            "rank_high": one.interval[1],
            "p_best": one.best,
            "front_of": ranking.cost,
            "p_front": one.front,
            "diverged": one.diverged or None,
        }
        for ranking in rankings
        for one in ranking.ranked
    ]


def rank_tables(rankings: Iterable[Ranking]) -> list[TextTable]:
    """One table for each comparable group."""
    return [
        TextTable(
            f"ranks: {describe_group(ranking.group)}",
            COLUMNS,
            [_line(one) for one in ranking.ranked],
            _told(ranking),
            parted_by=0,
        )
        for ranking in rankings
    ]


def _line(one: Ranked) -> tuple[str, ...]:
    low, high = one.interval
    return (
        one.position or "-",
        str(one.rank),
        one.block + " !" * bool(one.diverged),
        f"{100 * one.mean:.2f}",
        str(low) if low == high else f"{low} to {high}",
        _share(one.best),
        _share(one.front),
    )


def _share(probability: float | None) -> str:
    if probability is None:
        return "-"
    return (
        "<1 %"
        if 0 < probability < 0.01
        else ">99 %"
        if 0.99 < probability < 1
        else f"{100 * probability:.0f} %"
    )


def _told(ranking: Ranking) -> str:
    """How the columns came about, and how far the orders at the positions agree."""
    text = (
        "ranks: those that a block can have, by all pairs after Holm's correction, all of them right together in 95 % of "
        f"tables; best, on the front: probability that no other (that costs no more {ranking.cost}) is more accurate, with the "
        "spread between trainings of the whole table"
    )
    if any(one.diverged for one in ranking.ranked):
        text += "\n! trainings of it diverged: its accuracy is that of the others, so it is shown to be better than none"
    text += "".join(f"\n{remark}" for remark in [remarks(ranking.table.trainings)] if remark)
    for one in ranking.agreements:
        text += f"\n{one.sentence}"
    return text
