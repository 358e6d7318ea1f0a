"""Pages of other questions: worths in company are those of the command, runs are those of the store."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from blockzoo.card.block import measured
from blockzoo.cli import main
from blockzoo.core.store import Store
from blockzoo.core.text import csv_text
from blockzoo.report.comparable import comparables
from blockzoo.report.crossed import crossed_models
from blockzoo.report.effects import in_company
from blockzoo.report.runs import RunLines
from blockzoo.report.site.build import Site
from blockzoo.report.site.gathered import Gathered
from blockzoo.report.site.lenses import company_body, runs_body
from tests.report.site import made_up
from tests.report.test_crossed import World


def test_worths_in_company_are_those_of_the_command() -> None:
    rows = World(0).rows()
    (model,) = crossed_models(rows)
    (of,) = comparables(rows)
    page = company_body([of])
    effects = in_company(model)
    for difference in effects.differences:
        low, high = effects.together(difference) or (0.0, 0.0)
        told = f"{100 * difference.value:+.2f} \u00b1 {50 * (high - low):.2f}".replace("-", "\u2212")
        assert told in page
    site = Site(Gathered("crossed", [row | {"fingerprint": ""} for row in rows]))
    pages = dict(site.pages([]))
    assert "Worth in company" in pages["company.html"] and 'href="company.html"' in pages["index.html"]
    assert site.boards == [], "networks of several blocks stand on no leaderboard"
    assert company_body([]) == ""


def test_runs_stand_in_a_page_of_their_own(tmp_path: Path) -> None:
    made_up.store(tmp_path / "results")
    assert (
        main(["report", str(tmp_path / "results"), "--output", str(tmp_path / "site"), "--title", "T"]) == 0
    )
    page = (tmp_path / "site" / "runs.html").read_text()
    records = Store(tmp_path / "results" / "results.sqlite", create=False).records("blockwise")
    lines = RunLines.of(records)
    assert [line[lines.settings.index("training mode")] for line in lines.lines] == ["entire", "jacobi"]
    assert page.index("entire") < page.index("jacobi") and "0.3100" in page
    assert runs_body([]) == ""


def test_results_without_a_table_make_a_site_that_says_so(tmp_path: Path) -> None:
    rows = [row | {"seed": 999, "experiment_name": "learning rates"} for row in made_up.rows(2)]
    (tmp_path / "r.csv").write_text(csv_text(rows))
    assert main(["report", str(tmp_path / "r.csv"), "-o", str(tmp_path / "site")]) == 0
    assert "No training stands in a table yet" in (tmp_path / "site" / "index.html").read_text()


def test_what_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none"), "-o", str(tmp_path / "site")]) == 1
    assert "no results store" in capsys.readouterr().err and not (tmp_path / "site").exists()
    (tmp_path / "site").mkdir()
    assert main(["serve", str(tmp_path / "site")]) == 1


@pytest.mark.slow
def test_a_card_is_measured_as_its_trainings_were(caplog: pytest.LogCaptureFixture) -> None:
    row = {"position": "late", "num_blocks": 1, "base_channels": 8, "filler": "identity", "image_size": 8}
    page = measured("RepMixer", row)
    assert "data:image/svg+xml;base64," in page and "RepMixer/late: by operation" in page
    with caplog.at_level(logging.WARNING):
        refused = measured("RepMixer", row | {"position": "nowhere"})
    assert "Not measured: " in refused and "data:image/svg+xml" in refused
