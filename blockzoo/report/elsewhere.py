"""Whether blocks keep their order elsewhere: at another position, budget, number of epochs, dataset, protocol or filler.

Compared are the worths of blocks (mean accuracies, the luck of seeds taken off) in two experiments that differ in one setting
alone, at the positions that both have, and those of two positions of one experiment.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from blockzoo.core.errors import UsageError
from blockzoo.core.record import Record
from blockzoo.core.spec import TrialSpec
from blockzoo.core.subject import as_stored
from blockzoo.report.agreement import Agreement
from blockzoo.report.block_orders import between
from blockzoo.report.comparable import Comparable, comparables
from blockzoo.report.groups import SHARED, Row, describe_group, is_number

Settings = Mapping[str, Any]
Details = Callable[[Row], "Settings | None"]
"""What a row says of all settings of its training; None where no more is known than its columns say."""
SETTINGS = (
    "dataset", "split", "image_size", "out_dim", "images", "protocol", "epochs", "batch_size", "lr", "lr_among", "dtype",
    "limit_train", "num_blocks", "base_channels", "filler", "transition", "budget", "devices", "threads",
)  # fmt: skip
"""Columns of a table that are settings."""
NEEDED = (*SETTINGS, "device", "fingerprint")
"""Columns that are read beside those of any summary."""
OF_THE_BLOCK = ("seed", "subject", "source", "active_blocks", "active_width")
"""Fields of a request in which the rows of one table differ."""
TOGETHER: dict[str, frozenset[str]] = {
    "dataset": frozenset("split image_size out_dim in_channels data_digest images".split()),
    "protocol": frozenset(
        "epochs batch_size lr lr_among dtype train_dtype momentum weight_decay milestones code_digest".split()
    ),
    "filler": frozenset({"code_digest"}),
    "limit_train": frozenset({"subset"}),
    "lr_among": frozenset({"lr"}),
    "dtype": frozenset({"train_dtype"}),
}
"""Settings that bring others with them: a dataset its images' size, a protocol its epochs."""
WORDS = {
    "limit_train": "training images", "lr": "learning rate", "lr_among": "learning rates", "num_blocks": "blocks a stage",
    "base_channels": "width", "batch_size": "batch size", "image_size": "image size", "dtype": "dtype of training",
}  # fmt: skip


@dataclass(frozen=True)
class Elsewhere:
    """The orders of blocks in two experiments that differ in one setting.

    Args:
        setting: in which they differ.
        values: its two, in words.
        also: other settings that differ with it.
        position: of both; empty where it is what differs.
        group: what is equal, in words.
        column: the accuracy.
        agreement: of the two orders.
        ends: the two experiments, as a map of all orders names them.
    """

    setting: str
    values: tuple[str, str]
    also: tuple[str, ...]
    position: str
    group: str
    column: str
    agreement: Agreement
    ends: tuple[str, str]

    @property
    def sentence(self) -> str:
        """What it means."""
        return (f"at {self.position}: " if self.position else "") + self.agreement.sentence


def details_of(record: Record) -> Settings:
    """All settings of a stored trial but for what is its block's own; those at a default that came later are left out."""
    with as_stored():
        trial = TrialSpec.from_json(record.spec)
        own = trial.identity()
    own |= own.pop("network")
    chosen = {"lr"} if trial.lr_among is not None else set()
    return {name: value for name, value in own.items() if name not in {*OF_THE_BLOCK, *chosen}}


def of_columns(row: Row) -> Settings:
    """The settings that a row shows, in a table without specs."""
    chosen = {"lr"} if row.get("lr_among") else set()
    return {name: row[name] for name in SETTINGS if row.get(name) is not None and name not in chosen}


def elsewheres(rows: Iterable[Row], details: Details = lambda row: None) -> list[Elsewhere]:
    """All comparisons that a table allows: of positions, of devices, then of groups that differ in one setting.

    Args:
        rows: of a table of results.
        details: all settings of a row's training, where a store has them.

    Raises:
        UsageError: no two orders of four blocks or more can be compared.
    """
    groups = comparables(rows)
    settings = [_settings(of, details) for of in groups]
    experiments = [
        _Experiment(of, own, name)
        for of, own, name in zip(groups, settings, _names(groups, settings), strict=True)
    ]
    compared = [one for experiment in experiments for one in (*_positions(experiment), *_devices(experiment))]
    for first, second in itertools.combinations(experiments, 2):
        compared += _across(first, second)
    if not compared:
        raise UsageError(_nothing(groups))
    return compared


@dataclass(frozen=True)
class _Experiment:
    """One comparable group.

    Args:
        of: its rows.
        settings: that they have in common.
        name: that tells it from the others.
    """

    of: Comparable
    settings: Settings
    name: str

    def end(self, *more: str) -> str:
        """A part of it, as a map of all orders names it."""
        return ", ".join(part for part in (self.name, *more) if part)


def _names(groups: list[Comparable], settings: list[Settings]) -> list[str]:
    """What each has in common, and the settings that differ among them and are not in its description."""
    names = dict.fromkeys(name for own in settings for name in own)
    varied = [name for name in names if len({repr(own.get(name)) for own in settings}) > 1]
    shown = {*SHARED, *(name for rest in TOGETHER.values() for name in rest), "subset"}
    return [
        ", ".join(
            filter(None, (describe_group(of.group), *(_named(name, own.get(name)) for name in varied if name not in shown)))
        )
        for of, own in zip(groups, settings, strict=True)
    ]  # fmt: skip


def _positions(experiment: _Experiment) -> Iterator[Elsewhere]:
    of = experiment.of
    for pair in itertools.combinations(of.positions, 2):
        agreement = between((of.table, pair[0]), (of.table, pair[1]), pair)
        if agreement is not None:
            ends = experiment.end(pair[0]), experiment.end(pair[1])
            yield Elsewhere("position", pair, (), "", experiment.name, of.column, agreement, ends)


def _devices(experiment: _Experiment) -> Iterator[Elsewhere]:
    """Parts of a group that were trained on different kinds of devices."""
    of = experiment.of
    kinds = sorted({str(row["device"]) for row in of.rows if row.get("device")})
    parts = {
        kind: Comparable(of.group, [row for row in of.rows if row.get("device") == kind]) for kind in kinds
    }
    for pair in itertools.combinations(kinds if len(kinds) > 1 else (), 2):
        first, second = parts[pair[0]], parts[pair[1]]
        for place in first.positions:
            agreement = between((first.table, place), (second.table, place), pair)
            if agreement is not None:
                ends = experiment.end(pair[0], place), experiment.end(pair[1], place)
                yield Elsewhere("device", pair, (), place, experiment.name, of.column, agreement, ends)


def _across(one: _Experiment, another: _Experiment) -> Iterator[Elsewhere]:
    """At each position of two groups that differ in one setting."""
    first, second, own, other = one.of, another.of, one.settings, another.settings
    different = _difference(own, other)
    if not different or first.column != second.column:
        return
    setting, *also = different
    values = _named(setting, own.get(setting)), _named(setting, other.get(setting))
    facts = [fact for fact in first.group if fact in second.group and fact[0] not in different]
    words = describe_group(tuple(facts))
    for place in first.positions:
        agreement = between((first.table, place), (second.table, place), values)
        if agreement is not None:
            ends = one.end(place), another.end(place)
            name = WORDS.get(setting, setting)
            yield Elsewhere(name, values, tuple(also), place, words, first.column, agreement, ends)


def _settings(of: Comparable, details: Details) -> Settings:
    """Of one of its rows, which have them in common."""
    stored = details(of.rows[0])
    dtype = {"dtype": of.rows[0].get("dtype")}
    return of_columns(of.rows[0]) if stored is None else {**stored, **dtype}


def _difference(own: Settings, other: Settings) -> tuple[str, ...]:
    """The one setting in which two experiments differ, and those that came with it; empty where there are several, or none."""
    names = [name for name in dict.fromkeys((*own, *other)) if own.get(name) != other.get(name)]
    if len(names) == 1:
        return (names[0],)
    for main, rest in TOGETHER.items():
        if main in names and set(names) - {main} <= rest:
            return (main, *(name for name in names if name != main))
    return ()


def _named(setting: str, value: Any) -> str:
    """A value of a setting, in words."""
    if value is None:
        return {
            "limit_train": "all training images",
            "budget": "no budget",
            "lr_among": "one learning rate",
        }.get(setting, f"the usual {WORDS.get(setting, setting)}")
    if setting == "epochs":
        return f"{value} epoch{'' if value == 1 else 's'}"
    if setting in ("budget", "dataset", "protocol", "dtype"):
        return str(value)
    shown = f"{value:,g}" if is_number(value) else str(value)
    return f"{WORDS.get(setting, setting)} {shown}"


def _nothing(groups: list[Comparable]) -> str:
    """Why nothing can be compared, and what to do."""
    most = max((sum(at == p for _, at in of.table) for of in groups for p in of.positions), default=0)
    if most < 4:
        return (
            f"an order of fewer than 4 blocks says nothing, and no position here has more than {most}: train more blocks at two "
            "positions, or with two values of one setting"
        )
    return (
        "no two orders here have 4 blocks in common and differ in one setting alone: train the same blocks at a second "
        "position, or with another value of one setting (--budgets 0.5 1, --epochs, --dataset, --filler), into the same --output"
    )


def stored_details(records: Callable[[str], list[Record]]) -> Details:
    """Details by the fingerprint of a row.

    Args:
        records: the trials of a fingerprint.
    """

    @cache
    def known(fingerprint: str) -> Settings | None:
        trials = records(fingerprint)
        return details_of(trials[-1]) if trials else None

    return lambda row: known(str(row["fingerprint"])) if row.get("fingerprint") else None
