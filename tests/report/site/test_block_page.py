"""The page of a block in several tables: each figure says of which table and which accuracy it is, and leads to its page."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from blockzoo.report.site.build import Site
from blockzoo.report.site.gathered import Gathered
from blockzoo.report.site.standing import told_apart
from tests.report.site import made_up

OTHER = {"dataset": "digits", "comparable": "zzz"}


def pages_of(rows: list[dict[str, Any]]) -> dict[str, str]:
    return dict(Site(Gathered("made", rows)).pages([]))


def board(key: str, title: str, **facets: str) -> dict[str, Any]:
    usual = {"dataset": "cifar10", "protocol": "fast-v1", "track": "native", "budget": "none"}
    return {"key": key, "title": title, "facets": usual | facets}


def test_a_block_in_several_tables_says_which_figure_is_of_which() -> None:
    rows = made_up.rows(2)
    pages = pages_of(rows + [row | OTHER | {"test_acc": row["test_acc"] + 0.3} for row in rows])
    page = pages["blocks/Block0000.html"]
    named = re.findall(r"<a [^>]*position=\w+\"[^>]*>([^<]+)</a>", page)
    assert len(named) == len(set(named)) == 8 and {"mid, cifar10", "mean of positions, digits"} <= set(named)
    titles = {board["title"] for board in json.loads(pages["api/v1/index.json"])["tables"]}
    assert len(titles) == 2 and all(f"<dd>{title}</dd>" in page for title in titles)
    for place in ("early", "mid", "late"):
        assert f"<summary>{place}, digits</summary>" in page
    labels = [text for name, text in pages.items() if name.startswith("badges/Block0000-mid")]
    assert sorted("(digits)" in text for text in labels) == [False, True]
    assert "<summary>mid</summary>" in pages_of(rows)["blocks/Block0000.html"]


@pytest.mark.parametrize(
    ("boards", "told"),
    [
        ([board("a", "x")], [""]),
        ([board("a", "x"), board("b", "y", dataset="digits", protocol="p")], ["cifar10", "digits"]),
        (
            [
                board("a", "x"),
                board("b", "y", track="iso-macs", budget="0.5"),
                board("c", "z", dataset="digits"),
            ],
            ["cifar10, no budget", "cifar10, iso-macs 0.5", "digits, no budget"],
        ),
        ([board("a", "x, 3 epochs"), board("b", "x, 8 epochs")], ["3 epochs", "8 epochs"]),
        ([board("a", "x"), board("b", "x, 500 images")], ["table a", "500 images"]),
    ],
)
def test_tables_are_told_apart_by_as_little_as_does(boards: list[dict[str, Any]], told: list[str]) -> None:
    assert list(told_apart(boards).values()) == told


def test_one_missing_test_accuracy_makes_no_table_of_validation() -> None:
    rows, whole = made_up.rows(3), made_up.rows(3)
    rows[0]["test_acc"] = None
    pages, expected = pages_of(rows), pages_of(whole)
    lines, before = ([*csv.DictReader(io.StringIO(made["leaderboard.csv"]))] for made in (pages, expected))
    assert {line["accuracy_of"] for line in lines} == {"test"}
    others = [line["accuracy_percent"] for line in before if line["position"] == "mid"]
    assert [line["accuracy_percent"] for line in lines if line["position"] == "mid"] == others
    for name in ("index.html", "blocks/Block0000.html"):
        assert "1 training without a test accuracy is left out" in pages[name]
        assert "left out" not in expected[name].partition('id="data"')[0]


def test_an_accuracy_of_the_validation_split_says_so_wherever_it_is_shown() -> None:
    pages = pages_of([row | {"test_acc": None} for row in made_up.rows(2)])
    assert all(line["accuracy_of"] == "validation" for line in json.loads(pages["api/v1/leaderboard.json"]))
    (table,) = json.loads(pages["api/v1/index.json"])["tables"]
    assert table["accuracy_of"] == "validation" and "validation" in pages["leaderboard.csv"]
    page, (badge,) = (
        pages["blocks/Block0000.html"],
        [t for n, t in pages.items() if n.startswith("badges/Block0000-mid")],
    )
    assert "(validation accuracy)" in badge and "(validation accuracy), n = 3" in page
    worth = page.partition('id="worth"')[2].partition("</section>")[0]
    assert worth.count(", validation accuracy</td>") == 4


def test_a_link_leads_to_the_page_that_has_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blockzoo.report.site.build.MOST_BYTES", 1)
    rows = made_up.rows(2)
    pages = pages_of(rows + [row | OTHER for row in rows])
    links = re.findall(r'href="../(index[^"#]*)#table=(\w+)', pages["blocks/Block0000.html"])
    assert len(set(links)) == 2
    for address, key in set(links):
        data = json.loads(pages[address].partition('id="data">')[2].partition("</script>")[0])
        assert [board["key"] for board in data["boards"]] == [key]
        strayed = pages[address].partition('id="strayed"')[2].partition("</p>")[0]
        assert 'href="index.html"' in strayed and 'href="index-2.html"' in strayed


def test_what_others_handed_in_is_said_where_it_is_cited() -> None:
    rows = made_up.rows(2)
    first = [row for row in rows if row["block"] == "Block0000" and row["position"] == "mid"]
    for row in first[:2]:
        row |= {"tier": "reported", "submitted_by": "A. Person"}
    pages = pages_of(rows)
    told = "handed in by others: 2 reported"
    page = pages["blocks/Block0000.html"]
    assert f">{len(first)}; {told}</td>" in page and f"({told})" in page[page.index("Cite a row") :]
    (badge,) = (text for name, text in pages.items() if name.startswith("badges/Block0000-mid"))
    (other,) = (text for name, text in pages.items() if name.startswith("badges/Block0000-late"))
    assert told in badge and "reported" not in other and "reported" not in pages["blocks/Block0001.html"]
