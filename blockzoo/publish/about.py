"""What a data set of results says of itself: its card, its schema and its metadata each write it in their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from blockzoo import __version__
from blockzoo.core.errors import UsageError
from blockzoo.core.record import now
from blockzoo.publish.parquet import Written

LICENCES = {
    "cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "cc-by-sa-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "mit": "https://opensource.org/license/mit",
}
"""By the names that the Hugging Face Hub has for them: those that a data set can be published under."""
TABLES = {
    "trials": "one row for each training: what was asked for, what came out, where it ran",
    "timings": "one row for each raw sample of a latency",
    "curves": "one row for each epoch of a training",
    "images": "one row for each training: for every test image whether it is classified rightly, and its loss",
}
"""The tables, each in a sentence."""
KEYS = {"trials": ("fingerprint",), "curves": ("fingerprint", "epoch"), "images": ("fingerprint",)}
"""What tells the rows of a table apart; a network can be timed again, so its timings have no such key."""
REFERENCES = {
    "timings": ("timing_key", "trials", "timing_key"),
    "curves": ("fingerprint", "trials", "fingerprint"),
    "images": ("fingerprint", "trials", "fingerprint"),
}
"""Column, table and column that its values are found in."""


@dataclass(frozen=True)
class Wishes:
    """What is said of a data set by who publishes it.

    Args:
        title: of it.
        licence: one of `LICENCES`.
        author: who publishes it; empty: not said.
        url: where it will lie; empty: not said.
    """

    title: str = "blockzoo results"
    licence: str = "cc-by-4.0"
    author: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if self.licence not in LICENCES:
            raise UsageError(f"licence {self.licence!r}: choose one of {', '.join(LICENCES)}")


USUAL = Wishes()


@dataclass(frozen=True, kw_only=True)
class About(Wishes):
    """A data set.

    Args:
        tables: that were written.
        others: records of the store that it leaves out, by kind.
        made: when, UTC, ISO 8601.
        version: of blockzoo.
    """

    tables: Sequence[Written]
    others: Mapping[str, int] = field(default_factory=dict)
    made: str = field(default_factory=now)
    version: str = __version__

    @property
    def date(self) -> str:
        """The day."""
        return self.made[:10]

    @property
    def sentence(self) -> str:
        """What it is."""
        count = next(table.rows for table in self.tables if table.name == "trials")
        return (
            f"Measurements of convolutional blocks: {count:,} trainings with their curves, their raw latency samples, what every "
            f"test image came to, and the environment of each, made by blockzoo {self.version}."
        )
