"""Pages of other lenses: coupling maps, plans, trainings on tiles, networks of a space, as a store has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from blockzoo.card.further import further_of
from blockzoo.cli import main
from blockzoo.core.record import Record
from blockzoo.core.store import Store
from blockzoo.report.comparable import comparables
from blockzoo.report.comparison import compare
from blockzoo.report.site.further import Further, coupling_body, tiles_body, times_as_long
from blockzoo.report.site.sketches import bars, cloud, heat
from tests.report.site import made_up

NASTY = "<b>\u202e&\"'"


def coupling_record(**more: Any) -> Record:
    spec = {
        "labels": ["stem", NASTY],
        "weights": "as drawn",
        "dataset": "digits",
        "examples": 64,
        "tol": 0.05,
    }
    values = {"converged": 1, "products": 9, **more}
    return Record(
        "coupling", "c" * 16, "RepMixer/mid", spec, values=values, samples={"sigma": [4.0, 3.0, 3.0, 1.0]}
    )


def plan_record() -> Record:
    values = {
        "peak_bytes": 1024, "layer_by_layer_peak_bytes": 4096, "macs": 120, "layer_by_layer_macs": 100, "tiles": 4,
        "traffic_bytes": 2048, "layer_by_layer_traffic_bytes": 8192,
        "time_ratio": 1.5, "time_ratio_low": 1.4, "time_ratio_high": 1.6,
    }  # fmt: skip
    return Record("tiles", "d" * 16, NASTY, {"mode": "exact", "image_size": 64}, values=dict(values))


def renamed(
    rows: list[dict[str, Any]], name: str, at: str | None = None, less: float = 0.0
) -> list[dict[str, Any]]:
    """The trainings of one block under another name, so much less accurate."""
    own = [row for row in rows if row["block"] == "Block0000" and (at is None or row["position"] == at)]
    return [
        row | {"block": name, "test_acc": row["test_acc"] - less, "fingerprint": f"{name}{i}"}
        for i, row in enumerate(own)
    ]


def test_a_map_is_drawn_with_all_its_numbers() -> None:
    page = coupling_body([coupling_record()])
    assert page.count("<rect") == 0 and page.count('class="part"') == 4
    assert "RepMixer/mid" in page and ">4</td>" in page and "not converged" not in page
    assert "<b>" not in page and "\u202e" not in page
    assert "not converged" in coupling_body([coupling_record(converged=0)])
    assert coupling_body([]) == "" and coupling_body([Record("coupling", "e" * 16, "x", {})]) == ""


def test_a_number_that_is_missing_is_a_dash() -> None:
    record = coupling_record()
    record.samples["sigma"] = [4.0, None, None, 1.0]  # type: ignore[list-item]  # as a store has what is not finite
    page = coupling_body([record])
    assert page.count('class="part"') == 2 and page.count(">\u2013</td>") == 2 and ">4</td>" in page
    plan = plan_record()
    plan.values |= {"layer_by_layer_peak_bytes": None, "macs": None, "traffic_bytes": None}  # type: ignore[dict-item]
    page = tiles_body([plan], [], "")
    assert page.count(">\u2013</td>") == 3 and ">0 B<" not in page and "1 KiB" in page


def test_plans_and_trainings_on_tiles() -> None:
    rows = [row for row in made_up.rows(6) if row["position"] == "early"]
    rows += renamed(rows, "tiled:H2x2:Block0000", less=0.1)
    groups = comparables(rows)
    page = tiles_body([plan_record()], groups, "tiled")
    assert (
        "1.50 (1.40 to 1.60)" in page
        and "1 KiB" in page
        and "4 KiB" in page
        and "1.20" in page
        and "64 x 64" in page
        and "<b>" not in page
    )
    (difference,) = compare(groups[0].rows, "tiled:H2x2:Block0000", "Block0000")[0].differences
    assert difference.value == pytest.approx(-0.1)
    assert "\u221210.00" in page and difference.verdict in page
    assert tiles_body([], groups, "") == "" and "Plans" not in tiles_body([], groups, "tiled")


def test_how_many_times_as_long() -> None:
    assert times_as_long({}) == "\u2013" and times_as_long({"time_ratio": None}) == "\u2013"
    assert times_as_long({"time_ratio": 1.234, "time_ratio_low": None}) == "1.23"


def test_a_store_that_has_them_has_their_pages(tmp_path: Path) -> None:
    made_up.store(tmp_path / "results")
    store = Store(tmp_path / "results" / "results.sqlite")
    store.add(coupling_record(), plan_record())
    further = further_of(tmp_path / "results")
    assert (len(further.maps), len(further.plans), further.searches) == (1, 1, []) and further.runs
    assert main(["report", str(tmp_path / "results"), "-o", str(tmp_path / "site")]) == 0
    index = (tmp_path / "site" / "index.html").read_text()
    for address in ("coupling.html", "tiles.html"):
        assert f'href="{address}"' in index and (tmp_path / "site" / address).is_file()
    assert not (tmp_path / "site" / "space.html").exists()
    assert [page[2] for page in Further().pages([])] == [""] * 4


def test_bars_hold_every_value() -> None:
    values = [1.0, 1.0, 2.0, 9.0, 10.0]
    counts = [int(n) for n in re.findall(r"<title>(\d+) from", bars("t", values, ""))]
    assert sum(counts) == 5 and (counts[0], counts[-1]) == (2, 1)
    assert bars("t", [], "") == "" and "<title>3 from" in bars("t", [1.0] * 3, "")


def test_pictures_escape_names_and_keep_within_their_edges() -> None:
    points = [(NASTY, 10.0, 90.0, (89.0, 91.0)), ("other", 20.0, 95.0, None)]
    pictures = (
        cloud(NASTY, points, NASTY, NASTY),
        heat(NASTY, [NASTY, "b"], [[1.0, 0.0], [0.0, 2.0]]),
        bars(NASTY, [1.0], NASTY),
    )
    for picture in pictures:
        assert "<b>" not in picture and "\u202e" not in picture
    where = [float(x) for x in re.findall(r'c[xy]="([\d.]+)"', cloud("t", points, "MACs", "other"))]
    assert len(where) == 4 and all(0 < x < 340 for x in where)
    assert cloud("t", [], "", "") == "" and heat("t", [], []) == ""
