"""Which accuracy a table is of, and how many of its trainings have none of it: the same for tables, comparisons and pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from blockzoo.report.groups import Row, group_of, is_number
from blockzoo.report.summaries import usable

WORDS = {"test_acc": "test accuracy", "val_acc": "validation accuracy"}
"""Of the columns."""


def column_of(rows: Iterable[Row]) -> str:
    """The test accuracy where most trainings that have an accuracy have one, else the validation accuracy.

    Examples:
        >>> column_of([{"test_acc": 0.5}, {"test_acc": 0.6}, {"val_acc": 0.7}])
        'test_acc'
    """
    valid = [row for row in usable(rows) if any(is_number(row.get(name)) for name in WORDS)]
    return "test_acc" if 2 * sum(is_number(row.get("test_acc")) for row in valid) > len(valid) else "val_acc"


def left_out(rows: Iterable[Row], column: str) -> Counter[tuple[tuple[str, Any], ...]]:
    """How many trainings that ended have no such accuracy and so are in no mean and no comparison, by comparable group."""
    return Counter(map(group_of, usable(row for row in rows if not is_number(row.get(column)))))


def left_out_words(count: int, column: str) -> str:
    """So many trainings as a clause; "" for none.

    Examples:
        >>> left_out_words(1, "test_acc")
        '1 training without a test accuracy is left out'
    """
    many, are = ("", "is") if count == 1 else ("s", "are")
    return f"{count} training{many} without a {WORDS[column]} {are} left out" if count else ""
