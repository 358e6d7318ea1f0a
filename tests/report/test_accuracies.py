"""One missing test accuracy leaves out one training, and everything that shows the table says so."""

from __future__ import annotations

from typing import Any

import pytest

from blockzoo.report.accuracies import column_of, left_out, left_out_words
from blockzoo.report.comparable import comparables
from blockzoo.report.comparison import compare, verdicts
from blockzoo.report.tables import tables
from blockzoo.report.verdicts import comparison_tables
from tests.report.site import made_up

WORDS = "1 training without a test accuracy is left out"


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    made = made_up.rows(3)
    made[0]["test_acc"] = None
    return made


def test_a_table_is_of_the_test_accuracy_where_most_trainings_have_one(rows: list[dict[str, Any]]) -> None:
    assert column_of(rows) == "test_acc"
    assert column_of([row | {"test_acc": None} for row in rows[:-1]] + rows[-1:]) == "val_acc"
    assert column_of([row | {"status": "failed"} for row in rows]) == "val_acc"
    chosen_by = {"seed": 999, "experiment_name": "x, learning rates", "test_acc": None}
    assert column_of(rows + 9 * [rows[1] | chosen_by]) == "test_acc"


def test_tables_comparisons_and_pages_say_what_is_left_out(rows: list[dict[str, Any]]) -> None:
    (of,) = comparables(rows)
    assert of.left_out == WORDS and of.words.endswith(WORDS)
    (table,) = tables(rows)
    both = [*compare(rows, "Block0000", "Block0001"), *verdicts(rows)]
    assert [made.left_out for made in both] == [1, 1]
    assert all(WORDS in (made.caption or "") for made in [table, *comparison_tables(both)])
    (whole,) = comparables(made_up.rows(3))
    assert whole.left_out == "" and "left out" not in whole.words


def test_they_are_counted_by_group(rows: list[dict[str, Any]]) -> None:
    others = [row | {"comparable": "other", "test_acc": None} for row in rows[:2]]
    assert sorted(left_out(rows + others, "test_acc").values()) == [1, 2]
    assert left_out_words(2, "val_acc") == "2 trainings without a validation accuracy are left out"
    only_validation = [row | {"test_acc": None} for row in rows]
    (table,) = tables(only_validation)
    assert "left out" not in (table.caption or "")
