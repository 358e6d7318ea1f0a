"""Every picture of every kind of table: intervals inside the axes, words whole and on no other, or a sentence why not."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blockzoo.core.errors import UsageError
from blockzoo.report.comparable import Comparable, comparables
from blockzoo.report.pictures.drawn import pictures
from blockzoo.report.pictures.frame import settled
from blockzoo.report.pictures.looks import look
from blockzoo.visualize import plot_results
from tests.report.test_crossed import World
from tests.report.test_effects import published
from tests.sampled import sampled

PLACES = ("early", "mid", "late")
HOSTILE = ("$\\frac{x}{0}$", "_hidden", "a\nb\x1b[31m", "", "L" * 200, "L" * 199 + "M", "<script>", "日本語")
Rows = list[dict[str, Any]]


def table(
    names: tuple[str, ...], seeds: int = 3, places: tuple[str, ...] = PLACES, noise: float = 0.01
) -> Rows:
    draw = np.random.default_rng(1)
    of_seeds = draw.normal(0, 0.02, seeds)
    return [
        {
            "block": name, "position": place, "seed": seed, "dataset": "digits", "protocol": "fast-v1", "comparable": "x",
            "status": "ok", "test_acc": float(np.clip(0.6 + worth + of_seeds[seed] + draw.normal(0, noise), 0, 1)),
            "flops": cost,
        }
        for name in names for place in places
        for worth, cost in [(draw.normal(0, 0.03), 1e7 * float(np.exp(draw.normal(0, 0.4))))]
        for seed in range(seeds)
    ]  # fmt: skip


def letters(count: int) -> tuple[str, ...]:
    return tuple(f"Block{number:02}" for number in range(count))


def wild() -> Rows:
    """Two blocks of nine vary as no other does."""
    made, draw = table(letters(9), 8, ("mid",)), np.random.default_rng(2)
    for row in made:
        if row["block"] in ("Block01", "Block02"):
            row["test_acc"] = float(np.clip(row["test_acc"] + draw.normal(0, 0.12), 0, 1))
    return made


def with_holes() -> Rows:
    made = table(letters(5))
    made[0]["test_acc"], made[5]["flops"] = float("nan"), float("nan")
    made[9] |= {"status": "failed", "test_acc": None}
    return [row for row in made if (row["block"], row["position"]) != ("Block03", "late")]


def crossed() -> Rows:
    made = World(1).rows(4)
    return [{**row, "flops": 1e7 * (1 + number % 7)} for number, row in enumerate(made)]


TABLES: dict[str, Rows] = {
    "sixty": table(letters(60), places=("mid",)),
    "hostile": table(HOSTILE),
    "two seeds": table(letters(4), 2),
    "one seed": table(letters(4), 1),
    "one block": table(letters(1)),
    "no position": table(letters(3), places=("",)),
    "wild": wild(),
    "holes": with_holes(),
    "crossed": crossed(),
    "at the top": [{**row, "test_acc": min(1.0, row["test_acc"] + 0.4)} for row in table(letters(3))],
}
WITHOUT = {
    "one seed": {"verdicts"},
    "one block": {"forest"},
    "sixty": {"profiles"},
    "no position": {"profiles"},
    "wild": {"profiles"},
}
"""Pictures that cannot be drawn of a table."""


def group(rows: Rows) -> Comparable:
    (of,) = comparables(rows)
    return of


def of_table(of: Comparable) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures and sentences, by the names of the pictures."""
    looks = look(row["block"] for row in of.rows)
    made = dict(pictures(of, looks))
    sentences = {name: why for name, why in made.items() if isinstance(why, str)}
    return {name: settled(how()) for name, how in made.items() if not isinstance(how, str)}, sentences


@pytest.fixture(
    scope="module", params=sampled([*TABLES, "published"], ["hostile", "holes", "one seed", "no position"])
)
def drawn(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any], dict[str, str]]:
    of = published() if request.param == "published" else group(TABLES[request.param])
    return (request.param, *of_table(of))


Drawn = tuple[str, dict[str, Any], dict[str, str]]


def test_what_cannot_be_drawn_is_said(drawn: Drawn) -> None:
    name, figures, sentences = drawn
    assert set(sentences) == WITHOUT.get(name, set()) and figures
    assert all(why.startswith("no ") and ":" in why for why in sentences.values())


def test_all_data_lie_inside_the_axes(drawn: Drawn) -> None:
    _, figures, _ = drawn
    for name, figure in figures.items():
        for axes in figure.axes:
            left, right = sorted(axes.get_xlim())
            low, high = sorted(axes.get_ylim())
            lines = [c for c in axes.collections if c.get_gid() == "interval"]
            bars = [s for c in lines for s in c.get_segments()]
            values = [line.get_xydata() for line in axes.lines if str(line.get_gid()).startswith("value")]
            for points in bars + values:
                assert np.isfinite(points).all(), name
                assert left < points[:, 0].min() and points[:, 0].max() < right, name
                assert low < points[:, 1].min() and points[:, 1].max() < high, name
            if name in ("forest", "profiles", "worths") and drawn[0] != "one seed":
                assert bars and values


def test_words_are_whole_and_on_no_other(drawn: Drawn) -> None:
    _, figures, _ = drawn
    for name, figure in figures.items():
        whole = figure.bbox.padded(1)
        boxes = {text.get_gid(): text.get_window_extent() for text in figure.texts if text.get_text()}
        boxes |= {f"legend {i}": legend.get_window_extent() for i, legend in enumerate(figure.legends)}
        boxes |= {f"axes {i}": axes.get_tightbbox() for i, axes in enumerate(figure.axes)}
        for what, box in boxes.items():
            assert whole.containsx(box.x0) and whole.containsx(box.x1), (name, what)
            assert whole.containsy(box.y0) and whole.containsy(box.y1), (name, what)
        for (a, first), (b, second) in itertools.combinations(boxes.items(), 2):
            apart = min(first.x1, second.x1) - max(first.x0, second.x0)
            above = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert apart < 2 or above < 2, (name, a, b)


def test_labels_of_one_axis_are_apart(drawn: Drawn) -> None:
    _, figures, _ = drawn
    for name, figure in figures.items():
        for axes in figure.axes:
            for axis, side in ((axes.xaxis, 0), (axes.yaxis, 1)):
                limits = sorted(axis.get_view_interval())
                ticks = [t for t in axis.get_major_ticks() if limits[0] <= t.get_loc() <= limits[1]]
                shown = [t.label1 if t.label1.get_visible() else t.label2 for t in ticks]
                boxes = [s.get_window_extent() for s in shown if s.get_visible() and s.get_text()]
                edges = sorted((box.intervalx if side == 0 else box.intervaly).tolist() for box in boxes)
                assert all(b[0] > a[1] - 1 for a, b in itertools.pairwise(edges)), (name, side)


@pytest.mark.slow
def test_a_block_looks_alike_in_every_picture() -> None:
    figures, _ = of_table(published())
    of_pictures = [
        {h.get_label(): (h.get_color(), h.get_marker()) for h in figure.legends[0].legend_handles if hasattr(h, "get_marker")}
        for name, figure in figures.items()
        if name.startswith("accuracy")
    ]  # fmt: skip
    blocks = {row["block"] for row in published().rows}
    assert len(of_pictures) == 4 and all(blocks <= set(of) for of in of_pictures)
    assert all(len({of[block] for of in of_pictures}) == 1 for block in blocks)
    assert len({of_pictures[0][block] for block in blocks}) == len(blocks)


def test_reasons_are_said_once_and_the_reference_is_checked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = table(letters(1), 1, ("mid",))
    with caplog.at_level(logging.WARNING):
        plot_results([*one, *({**row, "comparable": "y"} for row in one)], tmp_path)
    assert caplog.text.count("no two blocks stand at one position (2 of 2 groups)") == 1
    with pytest.raises(UsageError, match="--against B: the table has Block00"):
        plot_results(one, tmp_path, against="B")
