"""The page of a search space: its networks, searches that a folder holds, times as sums of parts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from blockzoo.card.further import further_of
from blockzoo.cli import main
from blockzoo.core.errors import DataError
from blockzoo.nas.ranking.latency_agreement import LatencyAgreement
from blockzoo.report.comparable import comparables
from blockzoo.report.site.space import AddedUp, Searches, space_body
from tests.report.site import made_up
from tests.report.site.test_further import NASTY, renamed


def test_networks_of_a_space() -> None:
    rows = made_up.rows(6)
    networks = [row for n in range(30) for row in renamed(rows, f"macro:{n}", "mid", less=n / 1000)]
    page = space_body(comparables(networks), "macro")
    assert (
        "30 networks" in page and page.index("macro:0<") < page.index("macro:1<") and "macro:25" not in page
    )
    assert space_body(comparables(rows), "macro") == "" and space_body(comparables(networks), "") == ""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder in which a comparison of searches and an agreement of times lie."""
    folder = tmp_path_factory.mktemp("results")
    made_up.store(folder)
    words = f"nas search --benchmark mini --algorithm random evolution --seeds 3 --budget 30 -o {folder / 'nas-search'}"
    assert main(words.split()) == 0
    agreement = LatencyAgreement(np.array([1.0, 2.0, 4.0]), np.array([1.1, 1.9, 4.0]), np.arange(3), "a CPU")
    (folder / "nas-latency").mkdir()
    agreement.save(folder / "nas-latency" / "latency-here.json")
    return folder


def test_searches_and_times_of_a_folder_are_on_the_page(results: Path, tmp_path: Path) -> None:
    assert main(["report", str(results), "-o", str(tmp_path / "site")]) == 0
    page = (tmp_path / "site" / "space.html").read_text()
    (searches,) = further_of(results).searches
    assert page.count("<figure>") == len(searches.lines) + 1 == 3
    for name, (means, low, high) in searches.lines.items():
        assert low is not None and high is not None
        line = f'{name}</th><td class="number">{means[-1]:.2f}</td><td class="number">{low[-1]:.2f} to {high[-1]:.2f}</td>'
        assert line in page
    assert page.count("measured 1 ms, predicted 1.1 ms") == 1 and "n = 3 whole networks" in page
    index = (tmp_path / "site" / "index.html").read_text()
    assert 'href="space.html"' in index


def test_a_regret_holds_until_it_falls() -> None:
    """The line of a picture, read back from its corners."""
    searches = Searches("h", [1, 2, 3, 4], "trainings", {"a": ([4.0, 4.0, 1.0, 1.0], None, None)}, {"a": 2})
    page = space_body([], "", [searches])
    (drawn,) = re.findall(r'class="line" d="M([^"]+)"', page)
    corners = [tuple(map(float, corner.split())) for corner in drawn.split("L")]
    xs, ys = zip(*corners, strict=True)
    assert len(corners) == 4 and xs[1] == xs[2] and ys[0] == ys[1] and ys[2] == ys[3] and ys[2] > ys[0]
    assert (108 - ys[2]) / (108 - ys[0]) == pytest.approx(1 / 4, abs=0.01)
    assert 'class="band"' not in page and "\u2013" in page  # two seeds have no interval


def test_a_comparison_that_was_changed_is_refused(
    results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import shutil

    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    kept = copy / "nas-search" / "comparison.json"
    saved = json.loads(kept.read_text())
    name = next(iter(saved["values"]["curves"]))
    kept.write_text(kept.read_text().replace(name, "better"))
    with pytest.raises(DataError, match=re.escape(str(kept))):
        further_of(copy)
    kept.unlink()
    with pytest.raises(DataError, match=re.escape(str(kept))):
        further_of(copy)
    manifest = copy / "nas-search" / "manifest.json"
    said = json.loads(manifest.read_text())
    del said["files"]["comparison.json"]
    manifest.write_text(json.dumps(said))
    assert further_of(copy).searches == [] and "earlier version" in caplog.text
    manifest.write_text("{}")  # of something else
    assert further_of(copy).searches == []


def test_names_do_no_harm() -> None:
    searches = Searches(NASTY, [1], NASTY, {NASTY: ([1.0], [0.5], [1.5])}, {NASTY: 3})
    page = space_body([], "", [searches], [AddedUp(NASTY, NASTY, [(1.0, 1.0)])])
    assert "<b>" not in page and "\u202e" not in page
    assert space_body([], "", [], [AddedUp("", "", [])]) == ""
