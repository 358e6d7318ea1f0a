"""The four tables of an exported data set: their columns by what a store holds, and their rows, a few at a time."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from blockzoo.core.errors import Damaged
from blockzoo.core.outcomes import LEAST, LEVELS, MOST, Outcomes
from blockzoo.core.record import Record
from blockzoo.core.table import COLUMNS, Row, stored_timing_key, way_of
from blockzoo.publish import fields as f
from blockzoo.publish.fields import Field
from blockzoo.publish.walk import Walk

if TYPE_CHECKING:
    from jaxtyping import Bool, UInt8

log = logging.getLogger(__name__)

TableName = Literal["trials", "timings", "curves", "images"]
SPEC, OTHER, KEY = "spec_json", "other_json", "timing_key"
LOSS = f"{LEAST:g} * {MOST / LEAST:g} ** (code / {LEVELS})"
"""The loss that a code stands for."""
SERIES_OF_TIMES = re.compile(r"(?P<part>\w+?)_batch(?P<batch>\d+)_ms")
OF_TRIALS = (
    Field(KEY, "text", "key of the times of its network: `timing_key` of timings"),
    Field(SPEC, "text", "the request as the store has it: what `blockzoo verify` runs again", "", "spec"),
    Field(OTHER, "text", "values, facts and series whose names cannot be columns, as JSON", "", "values, environment, samples"),
)  # fmt: skip
OF_TIMINGS = (
    Field(KEY, "text", "the network that was timed, at its size of images", "", "fingerprint"),
    Field("subject", "text", "the network by its name"),
    Field("timestamp", "text", "end of the measurement, UTC, ISO 8601"),
    Field("status", "text", "ok; of others there are no samples"),
    Field("timed_on", "text", "how it was timed: hardware, dtype, layout, runtime, threads"),
    Field("series", "text", "the series of samples, as the store names it", "", "samples"),
    Field("part", "text", "network: all of it; stage: the stage under test alone", "", "samples"),
    Field("batch_size_images", "integer", "images in a call", "images", "samples"),
    Field("sample", "integer", "number of the call in its series, from 0", "", "samples"),
    Field("time_ms", "number", "of one call of the deployed network", "ms", "samples"),
    Field("value", "number", "of a series that has another unit; its name says which", "", "samples"),
    Field("reason", "text", "what could not be had of the measurement, and why"),
    Field("values_json", "text", "what else the measurement says, as JSON: doubts, checks", "", "values"),
    Field(SPEC, "text", "the network as the store has it", "", "spec"),
    Field(
        OTHER, "text", "facts of the environment whose names cannot be columns, as JSON", "", "environment"
    ),
)
OF_CURVES = (
    Field("fingerprint", "text", "the trial"),
    Field("epoch", "integer", "from 1", "", "samples"),
)
OF_IMAGES = (
    Field("fingerprint", "text", "the trial"),
    Field("split", "text", "the split: its test images, in their order", "", "split"),
    Field("test_images", "integer", "how many", "images", "outcomes"),
    Field("hits", "flags", "for each test image, whether the first guess is right", "", "outcomes.hits"),
    Field("loss_codes", "codes", f"for each test image, its cross-entropy as a code: {LOSS} nats", "", "outcomes.losses"),
)  # fmt: skip


@dataclass
class Shape:
    """What a store holds, by which the columns of its tables are settled.

    Args:
        seen: kinds of the values of each column of trials, by its source.
        values: further values of trials, in the order in which they were met; facts: of environments; series: of curves.
        facts_of_times: of environments of times.
        kinds_of_times: of those facts.
    """

    seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    values: dict[str, None] = field(default_factory=dict)
    facts: dict[str, None] = field(default_factory=dict)
    series: dict[str, None] = field(default_factory=dict)
    facts_of_times: dict[str, None] = field(default_factory=dict)
    kinds_of_times: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, walk: Walk) -> Shape:
        """By one walk over the store."""
        shape = cls()
        for row, record in walk.each_trial():
            shape._meet(row, record)
        for record in walk.each_timing():
            for name, value in _facts(record, beside=()).items():
                shape._known(shape.facts_of_times, name)
                if value is not None:
                    shape.kinds_of_times[name].add(f.kind_seen(value))
        return shape

    def _meet(self, row: Row, record: Record) -> None:
        for name, value in (*row.items(), *_settings(record).items()):
            if value is not None:
                self.seen[name].add(f.kind_seen(value))
        for names, prefix, values in (
            (self.values, "value ", _values(record)),
            (self.facts, "fact ", _facts(record)),
        ):
            for name, value in values.items():
                self._known(names, name)
                if value is not None:
                    self.seen[prefix + name].add(f.kind_seen(value))
        for name in record.samples:
            self._known(self.series, name)

    @staticmethod
    def _known(known: dict[str, None], name: str) -> None:
        if name not in known and len(known) < f.MOST and f.NAME.fullmatch(name):
            known[name] = None

    def fields(self) -> dict[TableName, list[Field]]:
        """The columns of each table."""
        trials = [
            f.settled(one, self.seen[one.source]) for one in (*f.columns_of_trials(), *f.settings_beside())
        ]
        taken = {one.name for one in (*trials, *OF_TRIALS)}
        for prefix, names, make in (
            ("value ", self.values, f.value_field),
            ("fact ", self.facts, f.fact_field),
        ):
            for name in names:
                one = f.settled(make(name), self.seen[prefix + name])
                if one.name not in taken:
                    trials.append(one)
                    taken.add(one.name)
        curves = [f.series_field(name) for name in self.series]
        own = {one.name for one in OF_CURVES}
        facts = [f.settled(f.fact_field(name), self.kinds_of_times[name]) for name in self.facts_of_times]
        return {
            "trials": [*trials, *OF_TRIALS],
            "timings": [*OF_TIMINGS, *facts],
            "curves": [*OF_CURVES, *{one.name: one for one in curves if one.name not in own}.values()],
            "images": list(OF_IMAGES),
        }  # fmt: skip


@cache
def _beside() -> tuple[str, ...]:
    return tuple(one.source for one in f.settings_beside())


def _settings(record: Record) -> dict[str, Any]:
    """The settings of a trial that are no columns of the results table."""
    network = record.spec.get("network") or {}
    return {name: (record.spec if name in record.spec else network).get(name) for name in _beside()}


def _values(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.values.items() if name not in COLUMNS}


def _facts(record: Record, beside: Container[str] = COLUMNS) -> dict[str, Any]:
    """Of where it ran, but for what columns say already, and what is private."""
    return {
        name: value
        for name, value in record.environment.items()
        if name not in beside and name not in f.PRIVATE
    }


def _numbers(record: Record, series: str, length: int) -> list[float | None]:
    """A series with None where a value is missing; one that is no number is missing too, which is said."""
    values = record.samples.get(series, [])
    if not all(type(value) is float for value in values):
        if wrong := [v for v in values if v is not None and f.kind_seen(v) not in ("number", "integer")]:
            log.warning(
                "%s %s: %r in the series %s is no number and is left out",
                record.kind, record.fingerprint, wrong[0], series,
            )  # fmt: skip
        values = [float(v) if f.kind_seen(v) in ("number", "integer") else None for v in values]  # type: ignore[misc]
    return [*values, *[None] * (length - len(values))]


def trial_cells(fields: Iterable[Field], row: Row, record: Record, series: Container[str]) -> dict[str, Any]:
    """A row of trials.

    Args:
        fields: its columns.
        row: of the results table.
        record: of the training.
        series: those that are columns of curves.
    """
    entries: dict[str, Any] = {
        **{f"fact {name}": value for name, value in _facts(record).items()},
        **{f"value {name}": value for name, value in _values(record).items()},
    }
    left, cells = dict(entries), {}
    settings = _settings(record)
    for one in fields:
        of_environment = one.name == f"env_{one.source}"
        if one.source in row and not of_environment:
            value = row[one.source]
        elif one.source in settings and not of_environment:
            value = settings[one.source]
        else:
            key = f"fact {one.source}" if of_environment else f"value {one.source}"
            value = entries.get(key)
            left.pop(key, None)
        cells[one.name] = f.cell_of(one, value)
    cells[KEY] = stored_timing_key(record) or None
    cells[SPEC] = json.dumps(record.spec, sort_keys=True)
    left |= {f"series {name}": samples for name, samples in record.samples.items() if name not in series}
    cells[OTHER] = _json_or_none(left)
    return cells


def _json_or_none(values: Mapping[str, Any]) -> str | None:
    return json.dumps(values, sort_keys=True) if values else None


def timing_cells(fields: Iterable[Field], record: Record) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of timings that a record gives, one for each sample: how many, and their cells, series by series."""
    facts = _facts(record, beside=())
    shared = {
        one.name: f.cell_of(one, facts.get(one.source)) for one in fields if one.name == f"env_{one.source}"
    }
    shared |= {
        "spec_json": json.dumps(record.spec, sort_keys=True),
        "values_json": _json_or_none(record.values),
        OTHER: _json_or_none({n: v for n, v in facts.items() if f"env_{n}" not in shared}),
        "reason": record.reason,
        KEY: record.fingerprint,
        "subject": record.subject,
        "timestamp": record.timestamp,
        "status": record.status,
        "timed_on": way_of(record),
    }
    for series, samples in record.samples.items():
        match, count = SERIES_OF_TIMES.fullmatch(series), len(samples)
        yield (
            count,
            {
                **shared,
                "series": series,
                "part": match["part"] if match else None,
                "batch_size_images": int(match["batch"]) if match else None,
                "sample": list(range(count)),
                "time_ms" if match else "value": _numbers(record, series, count),
            },
        )


def curve_cells(fields: Iterable[Field], record: Record) -> tuple[int, dict[str, Any]]:
    """The rows of curves that a trial gives, one for each epoch: how many, and their cells."""
    count = max(map(len, record.samples.values()), default=0)
    series = {one.name: _numbers(record, one.source, count) for one in fields if one not in OF_CURVES}
    return count, {"fingerprint": record.fingerprint, "epoch": list(range(1, count + 1)), **series}


def image_cells(row: Row, record: Record) -> tuple[int, dict[str, Any]]:
    """The row of images that a trial gives, and its cells; none where its outcomes are not stored."""
    if not record.outcomes:
        return 0, {}
    try:
        hits, codes = bits_of(record)
    except Damaged as error:
        log.warning("trial %s: %s; they are left out", record.fingerprint, error)
        return 0, {}
    return 1, {
        "fingerprint": record.fingerprint,
        "split": row.get("split"),
        "test_images": len(hits),
        "hits": [hits],
        "loss_codes": [codes],
    }


def bits_of(record: Record) -> tuple[Bool[np.ndarray, " images"], UInt8[np.ndarray, " images"]]:
    """Whether the first guess is right, and the codes of losses, as they are stored.

    Raises:
        Damaged: the outcomes are none.
    """
    hits = Outcomes.of(record.outcomes).hits
    return hits, np.frombuffer(base64.b64decode(record.outcomes["losses"]), np.uint8)
