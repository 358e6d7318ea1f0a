"""Rows as they are read from a store's columns."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blockzoo.core.errors import Damaged
from blockzoo.core.reading import Asked, _decoder
from blockzoo.core.record import plain
from blockzoo.core.store import Store
from blockzoo.report.summaries import LOOKED_AT, SUMMARISED
from tests.core.test_store import record

CELL = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.lists(CELL | st.just("half of a pair \ud83d"), max_size=8), st.booleans())
def test_cells_are_decoded_as_python_does(cells: list[Any], ascii_only: bool) -> None:
    text = json.dumps(cells, ensure_ascii=ascii_only)
    assert _decoder()(text) == plain(text) == cells


@given(st.sampled_from(["[NaN]", "[Infinity]", "[-Infinity]", "[1, 2", "[1]]", "", "[1e400]", "['a']"]))
def test_what_is_no_json_is_no_cell(text: str) -> None:
    for decode in (_decoder(), plain):
        try:
            got = decode(text)
        except Damaged:
            continue
        assert text == "[1e400]" and got == [math.inf], "a number that is too large, to both"


def test_equal_texts_of_rows_are_one_object(tmp_path: Path) -> None:
    """A hundred thousand rows with their own copies of the same words take a third more memory."""
    store = Store(tmp_path / "results.sqlite")
    store.add(*(record(f"{seed}", seed=seed) for seed in range(3)))
    one, *others = store.rows(Asked(columns=LOOKED_AT))
    for row in others:
        assert all(row[key] is one[key] for key in ("block", "protocol", "status", "comparable"))


def test_a_row_of_a_summary_fits_the_smaller_table_of_a_dictionary() -> None:
    """More than 42 columns, and the memory of a table of results doubles: give those that few need to `LOOKED_AT` alone."""
    assert len(SUMMARISED) <= 42 < len(LOOKED_AT)
