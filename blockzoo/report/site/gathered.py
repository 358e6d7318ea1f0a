"""What a site is made of: the rows of a results folder by comparable group, and the times taken in every way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from blockzoo.core.outcomes import Outcomes
from blockzoo.core.outputs import each_row, is_table, open_store
from blockzoo.core.reading import Asked
from blockzoo.core.record import Record
from blockzoo.core.store import Store
from blockzoo.core.table import Row, stored_timing_key, way_of
from blockzoo.report.comparable import Comparable, comparables
from blockzoo.report.groups import is_number
from blockzoo.report.summaries import LOOKED_AT, TIMED

TOLD = (
    "timestamp",
    "device",
    "gpu",
    "cpu",
    "threads",
    "torch",
    "blockzoo",
    "split",
    "filler",
    "transition",
    "images",
    "devices",
    "image_size",
    "reason",
    "notes",
    "fingerprint",
    "training_time",
    "submitted_by",
)
"""Columns that pages show beside those that summaries are made of."""


CURVES = ("val_acc", "train_loss")
"""Series of a training that pages draw."""


@dataclass(frozen=True)
class Told:
    """What the record of a training has beside its row.

    Args:
        spec: what was run.
        curves: a value of each epoch.
        environment: where and by what it was run.
        timing_key: of the times of its network; empty where it has none.
        outcomes: of single test images; None where they are not stored.
    """

    spec: dict[str, Any]
    curves: dict[str, list[float]]
    environment: dict[str, Any]
    timing_key: str
    outcomes: Outcomes | None

    @classmethod
    def of(cls, record: Record) -> Told:
        """Of a record."""
        series = {name: [v for v in record.samples.get(name, []) if is_number(v)] for name in CURVES}
        outcomes = Outcomes.of(record.outcomes) if record.outcomes else None
        return cls(record.spec, series, record.environment, stored_timing_key(record), outcomes)


@dataclass(frozen=True)
class Gathered:
    """The rows of a place.

    Args:
        name: of the place, as pages call it.
        rows: of its table, oldest first, with the times of the way that most of them have.
        store: where it is one.
        timed: the rows with the times of each further way, by its words.
    """

    name: str
    rows: list[Row]
    store: Store | None = None
    timed: dict[str, list[Row]] = field(default_factory=dict)

    @cached_property
    def groups(self) -> list[Comparable]:
        """The comparable groups, those of most rows first."""
        return sorted(comparables(self.rows), key=lambda of: -len(of.rows))

    @cached_property
    def timed_groups(self) -> dict[str, dict[tuple[tuple[str, Any], ...], Comparable]]:
        """The same with the times of each further way."""
        return {way: {of.group: of for of in comparables(rows)} for way, rows in self.timed.items()}

    @cached_property
    def told(self) -> dict[str, Told]:
        """What the records of the trainings that are shown have beside their rows, by fingerprint."""
        return self._told_and_latencies[0]

    @cached_property
    def latencies(self) -> dict[str, list[Record]]:
        """The newest record of times in each way, by timing key; failed ones left out."""
        return self._told_and_latencies[1]

    @cached_property
    def _told_and_latencies(self) -> tuple[dict[str, Told], dict[str, list[Record]]]:
        """By one walk over the store."""
        shown = {row["fingerprint"] for row in self.rows}
        trainings: dict[str, Told] = {}
        newest: dict[tuple[str, str], Record] = {}
        for record in self.store.each_record() if self.store is not None else ():
            if record.kind == "trial" and record.fingerprint in shown:
                trainings[record.fingerprint] = Told.of(record)
            elif record.kind == "latency" and record.status == "ok":
                newest[record.fingerprint, way_of(record)] = record
        by_key: dict[str, list[Record]] = defaultdict(list)
        for record in newest.values():
            by_key[record.fingerprint].append(record)
        return trainings, dict(by_key)


def gather(source: str | Path) -> Gathered:
    """Read a results folder, a store or a table.

    Raises:
        UsageError, StoreError: there is none.
    """
    columns = tuple(dict.fromkeys((*LOOKED_AT, *TOLD)))
    rows = list(each_row(source, Asked(columns=columns)))
    path = Path(source)
    name = path.name or path.resolve().name
    if is_table(source):
        return Gathered(name, rows)
    store = open_store(source)
    ways = dict.fromkeys(
        way_of(record) for record in store.records("latency", history=True) if record.status == "ok"
    )
    shown = {str(row["latency_device"]) for row in rows if row.get("latency_device")}
    return Gathered(name, rows, store, dict(_in_other_ways(rows, store, [w for w in ways if w not in shown])))


def _in_other_ways(rows: list[Row], store: Store, ways: list[str]) -> Iterator[tuple[str, list[Row]]]:
    for way in ways:
        query = Asked(columns=(*sorted(TIMED), "fingerprint"), way=way)
        times = {row.pop("fingerprint"): row for row in store.rows(query)}
        yield way, [row | times.get(row["fingerprint"], dict.fromkeys(TIMED)) for row in rows]
