"""History: what changed from one making of the site to the next, in a file to which lines are only added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.errors import Damaged
from blockzoo.core.text import csv_text
from blockzoo.report.site.build import build_site
from blockzoo.report.site.chronicle import FILE, MOST, Day, body_of, changes, continued, read


def state(**figures: list[Any]) -> dict[str, dict[str, Any]]:
    return {
        "t": {
            "title": "a table",
            "figures": {json.dumps(["mid", block]): of for block, of in figures.items()},
        }
    }


FIRST = state(A=[50.0, 3, 1, "better"], B=[49.0, 3, 2, ""], C=[40.0, 3, 3, "worse"])


def test_changes_are_told_verdicts_before_means() -> None:
    after = state(
        A=[50.0, 3, 1, "better"], B=[39.0, 4, 3, ""], C=[40.5, 3, 2, "unresolved"], D=[30.0, 3, 4, ""]
    )
    ((title, told),) = changes(FIRST, after)
    assert title == "a table"
    assert told == [
        "D at mid: new, 30.00 % of n = 3",
        "C at mid: worse became unresolved",
        "B at mid: rank 2 became 3 (3 to 4 seeds)",
        "C at mid: rank 3 became 2",
    ]
    assert list(changes(FIRST, FIRST)) == []
    assert list(changes({}, FIRST)) == [("a table", ["a new table"])]
    assert list(changes(FIRST, {})) == [("a table", ["the table is gone"])]
    assert list(changes(FIRST, state(A=[50.1, 3, 1, "better"], B=[49.0, 3, 2, ""]))) == [
        ("a table", ["C at mid: gone", "A at mid: 50.00 became 50.10"])
    ]


def test_lines_are_added_and_never_changed(tmp_path: Path) -> None:
    path = tmp_path / FILE
    for number, date in enumerate(("2026-11-01", "2026-11-02", "2026-11-03")):
        entries, line = continued(path, Day(date, "0.1.0", number, state(A=[50.0 + number, 3, 1, ""])))
        before = path.read_text() if path.exists() else ""
        path.write_text(before + line)
        assert [entry.date for entry in entries][-1] == date
    again, line = continued(path, Day("2026-11-04", "0.1.0", 9, state(A=[52.0, 3, 1, ""])))
    assert line == "" and len(again) == 3, "nothing changed: no day"
    page = body_of(again)
    assert page.index("2026-11-03") < page.index("2026-11-02") and "51.00 became 52.00" in page


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("50.0", "59.0"),
        lambda text: text[:-20],
        lambda text: text.partition("\n")[2],
        lambda _: "no",
    ],
)
def test_a_line_that_was_altered_is_refused(spoil: Any, tmp_path: Path) -> None:
    path, before = tmp_path / FILE, ""
    for number in range(2):
        before = Day("2026-11-01", "0.1.0", number, state(A=[50.0 + number, 3, 1, ""])).line(before)
        path.write_text((path.read_text() if path.exists() else "") + before)
    assert len(read(path)[0]) == 2
    path.write_text(spoil(path.read_text()))
    with pytest.raises(Damaged, match=r"history\.jsonl, line \d: .* move it away"):
        read(path)


def test_many_changes_are_counted(tmp_path: Path) -> None:
    many = {f"B{number}": [50.0, 3, number, ""] for number in range(50)}
    after = {name: [51.0, 3, number, ""] for name, (_, _, number, _) in many.items()}
    entries = [Day("2026-11-01", "0", 1, state(**many)), Day("2026-11-02", "0", 2, state(**after))]
    assert f"{50 - MOST} more" in body_of(entries)


def test_a_site_that_is_made_again_keeps_its_history(tmp_path: Path) -> None:
    from tests.report.site.made_up import rows

    table, site = tmp_path / "r.csv", tmp_path / "site"
    made = rows(3)
    table.write_text(csv_text(made))
    build_site(table, site)
    first = (site / FILE).read_text()
    build_site(table, site)
    assert (site / FILE).read_text() == first
    for row in made:
        row["test_acc"] += 0.1 * (row["block"] == "Block0002")
    table.write_text(csv_text(made))
    build_site(table, site)
    assert (site / FILE).read_text().startswith(first) and len(read(site / FILE)[0]) == 2
    assert "Block0002 at mid" in (site / "history.html").read_text()
