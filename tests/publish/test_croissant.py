"""References between tables: of whatever a store holds, each leads to a column that is there, and its values are found in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from blockzoo.core.record import Record
from blockzoo.publish.folder import export_results
from tests.publish.made_up import stored, timing, usual


def older(record: Record) -> Record:
    """As an earlier version wrote it, which did not say which times belong to a training."""
    values = {name: value for name, value in record.values.items() if name != "timing_key"}
    return replace(record, values=values)


def references(folder: Path) -> Iterator[tuple[str, str]]:
    """All of both files, as table/column, with what they refer to."""
    for records in json.loads((folder / "croissant.json").read_text())["recordSet"]:
        for field in records["field"]:
            if "references" in field:
                yield field["@id"], field["references"]["field"]["@id"]
    for table in json.loads((folder / "results-schema.json").read_text())["tables"]:
        if told := table["references"]:
            yield f"{table['name']}/{told['column']}", f"{told['table']}/{told['to']}"


@pytest.mark.parametrize("which", ["usual", "older", "times alone"])
def test_all_references_lead_to_columns_that_join(tmp_path: Path, which: str) -> None:
    records = {"usual": usual(), "older": list(map(older, usual())), "times alone": [timing()]}[which]
    stored(tmp_path / "results", *records)
    export_results(tmp_path / "results", tmp_path / "dataset")
    walked = list(references(tmp_path / "dataset"))
    assert len(walked) == 6
    for pair in walked:
        values = []
        for table, _, column in (one.partition("/") for one in pair):
            file = tmp_path / "dataset" / f"{table}.parquet"
            assert column in pq.ParquetFile(file).schema_arrow.names
            values.append(set(pq.read_table(file, columns=[column])[column].to_pylist()))
        assert which == "times alone" or (values[0] and values[0] <= values[1])


def test_the_key_of_an_older_training_is_the_one_it_would_say(tmp_path: Path) -> None:
    (first, *_) = usual()
    stored(tmp_path / "results", older(first))
    export_results(tmp_path / "results", tmp_path / "dataset")
    (row,) = pq.read_table(tmp_path / "dataset" / "trials.parquet").to_pylist()
    assert row["timing_key"] == first.values["timing_key"] and row["other_json"] is None
