"""Which trainings count: after divergence, failures, and a second search that chose another network."""

from __future__ import annotations

from typing import Any

import pytest

from blockzoo.cli import main
from blockzoo.core.text import csv_text
from blockzoo.publish.cells import cells_of
from blockzoo.report.additive import tables_of
from blockzoo.report.charts import charts
from blockzoo.report.comparable import comparables
from blockzoo.report.comparison import compare
from blockzoo.report.ranks import rankings
from blockzoo.report.summaries import average_positions, summarise
from blockzoo.report.tables import markdown_table
from blockzoo.report.trainings import trainings_of

Row = dict[str, Any]
GAIN = {"A": 0.1, "B": 0.0, "C": -0.1, "D": -0.2}


def row(block: str, seed: int, **more: Any) -> Row:
    noise = 0.001 * ((seed * 7 + ord(block)) % 5)
    return {
        "block": block, "position": "mid", "seed": seed, "status": "ok", "comparable": "x", "num_blocks": 1, "stage_macs": 100,
        "macs": 100,
        "active_width": 1.0, "test_acc": 0.6 + GAIN[block] + 0.01 * seed + noise,
    } | more  # fmt: skip


def table() -> list[Row]:
    return [row(block, seed) for block in GAIN for seed in range(3)]


def ended(status: str, *seeds: int) -> list[Row]:
    """The table with trainings of A that ended so."""
    gone = {"status": status, "test_acc": None}
    return [one | gone if one["block"] == "A" and one["seed"] in seeds else one for one in table()]


def test_a_block_that_diverged_is_not_better() -> None:
    (made,) = compare(ended("diverged", 1, 2), "A", "B")
    assert made.differences[0].verdict == "unresolved: 2 of 3 trainings diverged"
    assert made.remarks == "left out: A/mid: 2 of 3 trainings diverged"
    (other,) = compare(ended("diverged", 1, 2), "C", "A")
    assert other.differences[0].kind == "unresolved"
    (untouched,) = compare(ended("diverged", 1, 2), "B", "C")
    assert untouched.differences[0].kind == "better" and not untouched.remarks


@pytest.mark.parametrize("status", ["killed", "out of memory", "timed out", "failed"])
def test_reasons_outside_are_said_and_change_no_verdict(status: str) -> None:
    (made,) = compare(ended(status, 2), "A", "B")
    assert made.differences[0].kind == "better"
    assert made.remarks == f"left out: A/mid: 1 of 3 trainings {status}"


def test_what_others_handed_in_is_said() -> None:
    rows = [one | {"tier": "reported"} if one["block"] == "A" and one["seed"] else one for one in table()]
    assert compare(rows, "A", "B")[0].remarks == "handed in by others: A/mid: 2 reported of 3"
    assert not compare(rows, "B", "C")[0].remarks


def test_ranks_mark_it_and_give_it_no_probability() -> None:
    (made,) = rankings(ended("diverged", 1, 2))
    first = made.ranked[0]
    assert first.block == "A" and first.diverged and first.best is None is first.front
    assert first.interval == (1, 4) and made.ranked[1].best is not None


def test_every_table_and_picture_says_it(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "t.csv"
    source.write_text(csv_text(ended("diverged", 1, 2)))
    for words in (["compare", "A", "B", "--results"], ["results", "--verdicts"], ["results", "--ranks"]):
        assert main([*words, str(source)]) == 0
        assert "left out: A/mid: 2 of 3 trainings diverged" in " ".join(capsys.readouterr().out.split())
    (of,) = comparables(ended("diverged", 1, 2))
    assert all("A/mid: 2 of 3 trainings diverged" in chart.note for chart in charts(of))


def test_a_training_that_went_well_after_all_is_not_lost() -> None:
    again = [*ended("killed", 1), row("A", 1)]
    assert not compare(again, "A", "B")[0].remarks
    assert not compare([row("A", 1, status="killed"), *table()], "A", "B")[0].remarks


@pytest.mark.parametrize(
    ("shared", "own", "apart"),
    [
        ({"lr_among": "0.2 0.8", "lr": 0.2}, {"lr": 0.8}, "lr 0.2"),
        ({"budget": "iso-latency 1"}, {"active_width": 3.0, "macs": 900}, "width x1"),
        ({"budget": "iso-latency 1", "active_blocks": 1}, {"active_blocks": 2}, "1 blocks a stage"),
    ],
)
def test_a_cell_is_of_its_newest_network_alone(shared: Row, own: Row, apart: str) -> None:
    rows = [one | shared for one in table()]
    rows += [row("A", seed) | shared | own | {"test_acc": 0.3 + 0.01 * seed} for seed in (0, 1)]
    (of,) = tables_of(rows, "test_acc").values()
    assert of["A", "mid"] == {0: 0.3, 1: 0.31} and len(of["B", "mid"]) == 3
    (made,) = compare(rows, "A", "B")
    assert made.remarks == f"left out: A/mid: 3 older trainings with {apart}"
    for summary in (next(s for s in make(rows) if s.block == "A") for make in (summarise, average_positions)):
        assert summary.accuracies["test_acc"].mean == pytest.approx(0.305)
        assert summary.costs["macs"] == own.get("macs", 100)
        assert summary.lr == ({**shared, **own}.get("lr"))
    assert f"left out: A/mid: 3 older trainings with {apart}" in markdown_table(rows)


def test_a_newer_network_without_an_outcome_replaces_none() -> None:
    shared = {"lr_among": "0.2 0.8", "lr": 0.2}
    rows = [one | shared for one in table()] + [row("A", 0) | shared | {"lr": 0.8, "status": "killed"}]
    ((_, cells),) = trainings_of(rows).items()
    assert len(cells["A", "mid"].rows) == 3 and not cells["A", "mid"].left_out


def test_what_is_published_is_of_the_same_trainings() -> None:
    shared = {"lr_among": "0.2 0.8", "lr": 0.2}
    rows = [one | shared for one in ended("diverged", 2)] + [row("B", 0) | shared | {"lr": 0.8}]
    published = {cell.block: [one["seed"] for one in cell.rows] for cell in cells_of(rows)}
    assert published == {"A": [0, 1], "B": [0], "C": [0, 1, 2], "D": [0, 1, 2]}
