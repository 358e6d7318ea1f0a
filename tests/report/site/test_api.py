"""The JSON files of a site say what its pages say, and who vouches for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blockzoo.cli import main
from blockzoo.core.store import Store
from blockzoo.core.table import COLUMNS
from blockzoo.publish.submission import marked
from blockzoo.report.site.build import build_site
from blockzoo.report.summaries import summarise
from blockzoo.report.tables import markdown_table
from tests.report.site import made_up


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    records = list(made_up.trials(made_up.BLOCKS[:3], budgets=(None,)))
    theirs = [
        marked(record, "A. <b>Person</b>", "abc") for record in records if record.subject.startswith("Ghost")
    ]
    half = [
        marked(r, "B", "abc") if r.spec["seed"] == 0 else r
        for r in records
        if r.subject.startswith("Inverted")
    ]
    for record in half:
        if record.values.get("tier"):
            record.values["tier"] = "reproduced"
    own = [record for record in records if record.subject.startswith("ResNet")]
    Store(folder / "results.sqlite").add(*own, *theirs, *half)
    build_site(folder, folder / "site")
    return folder


def read(site: Path, name: str) -> Any:
    return json.loads((site / "site" / "api" / "v1" / name).read_text())


def test_the_index_names_every_file(site: Path) -> None:
    index = read(site, "index.json")
    assert index["api_version"] == 1
    files = {path.name for path in (site / "site" / "api" / "v1").iterdir()}
    assert files == {"index.json", *index["files"]}
    assert all((site / "site" / address).is_file() for address in index["files"].values())
    assert {f"table-{table['key']}.json" for table in index["tables"]} <= files


def test_the_leaderboard_has_the_figures_of_the_page(site: Path) -> None:
    lines = read(site, "leaderboard.json")
    store = Store(site / "results.sqlite", create=False)
    means = {(s.block, s.position): s.accuracies for s in summarise(list(store.rows()))}
    for line in lines:
        if line["position"] != "mean":
            own = means[line["block"], line["position"]]
            accuracy = own.get("test_acc") or own["val_acc"]
            assert line["accuracy_percent"] == pytest.approx(100 * accuracy.mean, abs=1e-3)
            assert line["n"] == accuracy.n
    told = {column["name"] for column in read(site, "columns.json") if column["file"] == "leaderboard.json"}
    assert set(lines[0]) - told == {"position", "block"}


def test_trainings_are_as_they_were_stored(site: Path) -> None:
    store = Store(site / "results.sqlite", create=False)
    rows = {row["fingerprint"]: row for row in store.rows()}
    ((key),) = [table["key"] for table in read(site, "index.json")["tables"]]
    trainings = read(site, f"table-{key}.json")["trainings"]
    assert len(trainings) == len(rows) == 27
    for one in trainings:
        assert one == {name: rows[one["fingerprint"]][name] for name in one}
    meanings = {column["name"]: column["meaning"] for column in read(site, "columns.json")}
    assert meanings["test_acc"] == COLUMNS["test_acc"]


def test_who_vouches_for_a_row_is_shown(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiers = {
        line["block"]: line["tier"] for line in read(site, "leaderboard.json") if line["position"] == "mid"
    }
    assert tiers == {
        "ResNetBasicBlock": "own", "GhostBottleneck": "3 reported", "InvertedResidual": "1 reproduced",
    }  # fmt: skip
    pages = {path.stem: path.read_text() for path in (site / "site" / "blocks").glob("*.html")}
    assert "reported, by A. &lt;b&gt;Person&lt;/b&gt;" in pages["GhostBottleneck"]
    assert "reproduced, by B" in pages["InvertedResidual"] and "reported" not in pages["ResNetBasicBlock"]
    store = Store(site / "results.sqlite", create=False)
    table = markdown_table(store.rows())
    assert "3 (3 reported)" in table and "3 (1 reproduced)" in table
    assert "reported: handed in by others, and not rerun here" in table
    capsys.readouterr()
    assert main(["results", str(site), "--where", "tier=reported", "--format", "json"]) == 0
    assert {row["block"] for row in json.loads(capsys.readouterr().out)} == {"GhostBottleneck"}
