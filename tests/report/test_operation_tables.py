"""Tables and rows of costs by operation."""

from __future__ import annotations

from blockzoo.core.breakdown import Breakdown
from blockzoo.core.roofline import Operation, Timed
from blockzoo.report.operation_tables import (
    compared,
    limit_lines,
    operation_rows,
    paper_tables,
    timed_rows,
    timed_tables,
)
from tests.report.test_why import DENSE, DEPTHWISE, MACHINE, SLOW, breakdown


def test_shares_are_of_all() -> None:
    operations = [one.operation for one in (DENSE, DEPTHWISE, SLOW)]
    kinds, layers = paper_tables("B", operations, ["as said"])
    assert [line[0] for line in kinds.lines] == [
        "dense convolutions",
        "depthwise convolutions",
        "norms",
        "all",
    ]
    assert [line[1] for line in kinds.lines] == ["1", "1", "1", "3"]
    assert kinds.lines[-1][2:4] == ("410 M", "100%")
    assert layers.lines[0][:2] == ("layer: x", "depthwise convolutions")
    assert layers.caption == "as said"


def test_what_nobody_can_count_is_named() -> None:
    odd = Operation("", "aten.linalg_eig", "other operations", 0, 4, 4, ("MACs",))
    assert paper_tables("B", [odd])[1].caption == "The MACs lack those of aten.linalg_eig."
    timed = breakdown("B", Timed(odd, (1.0,)))
    assert "The MACs lack those of aten.linalg_eig." in timed_tables(timed, MACHINE)[0].caption


def test_times_stand_with_their_limits() -> None:
    kinds, layers = timed_tables(breakdown("B", DENSE, DEPTHWISE, SLOW), MACHINE)
    limits = {line[0]: line[-1] for line in kinds.lines}
    assert limits == {
        "dense convolutions": "compute, 80%",
        "depthwise convolutions": "memory, 80%",
        "norms": "none (1% of memory)",
        "all": "",
    }
    assert [line[1] for line in layers.lines] == ["10", "10", "10"]
    assert all(len(line) == len(table.columns) for table in (kinds, layers) for line in table.lines)


def test_limits_say_how_they_were_measured() -> None:
    lines = {line[0]: line[1:] for line in limit_lines(MACHINE).lines}
    assert lines["compute"] == ("100 GFLOP/s", "product", "10", "1")
    assert lines["memory"] == ("10 GB/s", "copy", "100", "1")
    assert lines["a call"] == ("10 us", "sum", "0.01", "1")


def test_two_beside_each_other() -> None:
    lines = {
        line[0]: line[1:4] for line in compared(breakdown("A", DENSE), breakdown("B", DENSE, SLOW)).lines
    }
    assert lines["norms"] == ("0", "10", "+10") and lines["all"] == ("10", "20", "+10")


def test_rows_are_flat_and_add_up() -> None:
    made: Breakdown = breakdown("B", DENSE, DEPTHWISE)
    rows = timed_rows(made, MACHINE)
    assert sum(row["ms"] for row in rows) == made.parts
    assert sum(row["macs"] for row in rows) == made.all.macs
    assert rows[1]["limited_by"] == "memory" and rows[1]["machine_bytes_per_s"] == 1e10
    on_paper = operation_rows("B", "stage", made.all.operations)
    assert all(
        row[name] == value for row, short in zip(rows, on_paper, strict=True) for name, value in short.items()
    )
