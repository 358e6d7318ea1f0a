"""What a block came to at a position: its trainings over seeds in one comparable group. Others' formats have a line for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from blockzoo.core.table import OWN, REPORTED_BY, Row
from blockzoo.core.text import plain
from blockzoo.report.groups import describe_group, is_number, short_name
from blockzoo.report.trainings import trainings_of


@dataclass(frozen=True)
class Cell:
    """The trainings of a block at a position.

    Args:
        group: a short name of the comparable group.
        shared: what the group has in common, in words.
        block: with its width and depth where they are its own.
        position: empty for a whole network.
        rows: of its trainings that ended, one for each seed.
    """

    group: str
    shared: str
    block: str
    position: str
    rows: Sequence[Row]

    @property
    def model(self) -> str:
        """Its name."""
        return f"{self.block}/{self.position}" if self.position else self.block

    @property
    def accuracies(self) -> list[float]:
        """On the test split, fractions, one for each seed."""
        return self.of("test_acc")

    def of(self, name: str) -> list[float]:
        """The numbers of a column."""
        return [row[name] for row in self.rows if is_number(row.get(name))]

    def _first(self, name: str) -> Any:
        return next((row[name] for row in self.rows if row.get(name) is not None), None)

    @property
    def fingerprints(self) -> list[str]:
        """Of its trainings."""
        return [str(row["fingerprint"]) for row in self.rows if row.get("fingerprint")]

    @property
    def dataset(self) -> str:
        """The images; empty: not known."""
        return str(self._first("dataset") or "")

    @property
    def protocol(self) -> str:
        """The recipe of training."""
        return str(self._first("protocol") or "")

    @property
    def image_size(self) -> int | None:
        """Side length in pixels."""
        return self._first("image_size")  # type: ignore[no-any-return]

    @property
    def params(self) -> float | None:
        """Parameters of the deployed network."""
        return self._first("params_total")  # type: ignore[no-any-return]

    @property
    def macs(self) -> float | None:
        """Multiply-adds of one image."""
        return self._first("macs")  # type: ignore[no-any-return]

    @property
    def latency_ms(self) -> float | None:
        """Median of one image; that of the newest training that has one."""
        return self._timed.get("latency_ms")

    @property
    def timed_on(self) -> str:
        """How it was timed."""
        return str(self._timed.get("latency_device") or "")

    @property
    def _timed(self) -> Row:
        return next((row for row in reversed(self.rows) if is_number(row.get("latency_ms"))), {})

    @property
    def time_doubt(self) -> str:
        """Why the latency should not be taken as sure; empty where it can."""
        return str(self._timed.get("latency_doubt") or "")

    @property
    def is_time_reported(self) -> bool:
        """Whether others took it."""
        return REPORTED_BY in self.timed_on

    @property
    def time_interval(self) -> tuple[float, float] | None:
        """Of the latency, in ms."""
        ends = self._timed.get("latency_low_ms"), self._timed.get("latency_high_ms")
        return None if None in ends else ends  # type: ignore[return-value]

    @property
    def time_samples(self) -> int | None:
        """Behind the latency."""
        return self._timed.get("latency_n")

    @property
    def tiers(self) -> list[str]:
        """Of its trainings, each once."""
        return list(dict.fromkeys(tier_of(row) for row in self.rows))

    @property
    def submitters(self) -> list[str]:
        """Who handed trainings in, each once."""
        return list(dict.fromkeys(str(row["submitted_by"]) for row in self.rows if row.get("submitted_by")))


def tier_of(row: Row) -> str:
    """Who vouches for it."""
    return str(row.get("tier") or OWN)


def cells_of(rows: Iterable[Row]) -> list[Cell]:
    """The cells of a table: trainings that went well, as the table counts them."""
    return [
        Cell(
            short_name(group),
            plain(describe_group(group), lines=False),
            plain(block, lines=False),
            plain(position, lines=False),
            list(of.rows.values()),
        )
        for group, cells in trainings_of(rows).items()
        for (block, position), of in cells.items()
        if of.rows
    ]
