"""What the first sentence says, by what the intervals allow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from blockzoo.card.answer import Evidence, answer, headline
from blockzoo.card.standing import Standing
from blockzoo.core.outputs import each_row
from blockzoo.core.reading import Asked
from blockzoo.report.comparable import comparables
from blockzoo.report.comparison import compare
from blockzoo.report.difference import Difference
from tests.report.site import made_up

KINDS = {
    "better": (0.05, 0.002, 1e-6),
    "worse": (-0.05, 0.002, 1e-6),
    "equal": (0.0, 0.0003, 0.99),
    "unresolved": (0.01, 0.02, 0.6),
}
"""A difference, its standard error and its probability, of each verdict."""


def evidence(kinds: dict[str, str], macs: float = 1.0, time: dict[str, Any] | None = None) -> Evidence:
    """Of a block that is so at these positions."""
    differences = {}
    for place, kind in kinds.items():
        value, error, p = KINDS[kind]
        seeds = (value, value, value)
        differences[place] = Difference("Mine", "Usual", place, (0.9 + value, 0.9), seeds, None, 0, 0, None)
        differences[place] = replace(differences[place].with_error(error, 20, 11), p=p)
        assert differences[place].kind == kind
    standing = SimpleNamespace(differences=differences, lines={"mid": 1}, ranked={}, board=None, of=None)
    costs = {
        f"{name}/{place}": {"stage_macs": 100 * (macs if name == "Mine" else 1), "stage_params_total": 10}
        for name in ("Mine", "Usual")
        for place in ("early", "mid", "late")
    }
    return Evidence(
        "Mine", "Usual", cast(Standing, standing), costs, {} if time is None else {"stage_batch64": time}
    )


@pytest.mark.parametrize(
    ("kinds", "macs", "begins", "has"),
    [
        ({}, 1.0, "Not known", "no training"),
        ({"early": "better", "late": "unresolved"}, 1.5, "Yes, in this test", "at early, for 1.50 times the multiply-adds"),
        ({"early": "worse", "mid": "worse"}, 1.0, "No, not in this test", "at early and mid"),
        ({"early": "worse"}, 0.5, "It is a trade", "0.50 times the multiply-adds"),
        ({"early": "better", "late": "worse"}, 1.0, "It depends", "better than Usual at early and worse at late"),
        ({"early": "equal", "mid": "equal"}, 0.5, "Yes, in this test", "as accurate as Usual within 0.5 points"),
        ({"early": "equal"}, 2.0, "Mine is as accurate", "2.00 times"),
        ({"early": "equal", "mid": "unresolved"}, 0.5, "Not decided", "3 seeds of each cannot tell Mine from Usual"),
    ],
)  # fmt: skip
def test_the_first_sentence(kinds: dict[str, str], macs: float, begins: str, has: str) -> None:
    said = headline(evidence(kinds, macs))
    if not kinds:
        said = headline(Evidence("Mine", "Usual", Standing("Mine", "Usual", None), {}, {}))
    assert said.startswith(begins) and has in said


@pytest.mark.parametrize(
    ("time", "says"),
    [
        (
            {"ratio": 0.7, "interval": (0.69, 0.71), "doubted": False, "batch": 64, "n": 50},
            "0.70 times the time",
        ),
        (
            {"ratio": 1.0, "interval": (0.98, 1.02), "doubted": False, "batch": 64, "n": 50},
            "about the same time",
        ),
        (
            {"ratio": 1.9, "interval": (0.6, 3.1), "doubted": False, "batch": 64, "n": 7},
            "1.90 (0.60 to 3.10) times the time",
        ),
        ({"ratio": 9.0, "interval": (8.0, 10.0), "doubted": True, "batch": 64, "n": 50}, None),
        ({"ratio": 9.0, "interval": None, "doubted": False, "batch": 64, "n": 1}, None),
    ],
)
def test_a_time_that_is_not_sure_is_not_said(time: dict[str, Any], says: str | None) -> None:
    of = evidence({"early": "better"}, 1.0, time)
    assert ("time" in headline(of).replace("multiply", "")) == (says is not None) and (
        says or ""
    ) in headline(of)
    assert says is not None or "9.0" not in " ".join(answer(of))


def test_figures_are_those_of_the_comparison_of_a_results_folder(tmp_path: Path) -> None:
    store = made_up.store(tmp_path)
    rows = list(each_row(store, Asked()))
    of = next(one for one in comparables(rows) if one.table)
    standing = Standing("RepMixer", "ResNetBasicBlock", of)
    by_place = {d.position: d for d in compare(of.rows, "RepMixer", "ResNetBasicBlock")[0].differences}
    for place in ("early", "mid", "late"):
        assert standing.differences[place].value == by_place[place].value
        assert standing.lines[place].block == "RepMixer" and standing.lines[place].n == 3
        figures = standing.figures()["positions"][place]
        assert figures["difference_points"] == pytest.approx(100 * by_place[place].value)
        assert figures["verdict"] == standing.differences[place].verdict
    assert standing.figures()["blocks"] == len(made_up.BLOCKS)
    said = answer(Evidence("RepMixer", "ResNetBasicBlock", standing, {}, {}))
    assert any(sentence.startswith("Test accuracy less that of ResNetBasicBlock") for sentence in said)
