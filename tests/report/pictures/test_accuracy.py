from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from blockzoo.core.errors import UsageError
from blockzoo.core.text import csv_text
from blockzoo.report.charts import AXES, Chart, charts
from blockzoo.report.comparable import Comparable, comparables
from blockzoo.report.pictures.accuracy import draw, named, size_of
from blockzoo.report.pictures.frame import settled
from blockzoo.report.pictures.looks import look
from blockzoo.report.tables import markdown_table
from blockzoo.visualize import plot_results


def rows(blocks: int = 3, seeds: int = 3) -> list[dict]:
    draw = np.random.default_rng(0)
    return [
        {
            "block": f"Block{b:02}", "position": position, "seed": seed, "dataset": "digits", "protocol": "fast-v1",
            "epochs": 3, "comparable": "x", "status": "ok",
            "test_acc": 0.5 + 0.01 * b + 0.02 * p + 0.003 * seed + float(draw.normal(0, 0.004)),
            "flops": 1e7 * (1 + b + p), "latency_ms": 0.5 + 0.1 * b, "peak_activation_bytes": 1e5 * (1 + b * p),
        }
        for b in range(blocks) for p, position in enumerate(("early", "mid", "late")) for seed in range(seeds)
    ]  # fmt: skip


def of_one(table: list[dict]) -> Comparable:
    (of,) = comparables(table)
    return of


def drawn(chart: Chart) -> Any:
    return settled(draw(chart, look(p.block for panel in chart.panels for p in panel.points)))


def segments(axes: Any) -> list[np.ndarray]:
    return [s for c in axes.collections if c.get_gid() == "interval" for s in c.get_segments()]


def marks(axes: Any) -> list[Any]:
    return [c for c in axes.collections if str(c.get_gid()).startswith("points ")]


@pytest.mark.parametrize("blocks", [1, 12, 40])
def test_every_point_is_drawn_once(blocks: int) -> None:
    made = charts(of_one(rows(blocks)))
    assert [chart.name for chart in made] == ["flops", "latency", "memory"]
    figure = drawn(made[0])
    for axes, panel in zip(figure.axes, made[0].panels, strict=True):
        assert len(panel.points) == blocks and axes.get_title() == panel.title
        places = sorted(tuple(at) for c in marks(axes) for at in c.get_offsets().tolist())
        assert places == sorted((p.cost, 100 * p.accuracy) for p in panel.points)
    looks = look(f"Block{b:02}" for b in range(blocks))
    assert len(set(looks.values())) == blocks, "every block looks different"
    legend = figure.legends[0].get_window_extent()
    assert all(not legend.overlaps(axes.get_tightbbox()) for axes in figure.axes)
    assert legend.y0 >= 0 and legend.x1 <= figure.bbox.x1


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_pictures_show_the_whole_of_every_interval_and_band(seeds: int) -> None:
    table = [{**row, "test_acc": min(1.0, row["test_acc"] + 0.44)} for row in rows(3, seeds)]
    for chart in charts(of_one(table)) + charts(of_one(table), average=True):
        for axes, panel in zip(drawn(chart).axes, chart.panels, strict=True):
            (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
            bars = segments(axes)
            assert len(bars) == (len(panel.points) if seeds > 1 else 0)
            for (x, bottom), (_, top) in bars:
                assert left < x < right and low < bottom < top < high and bottom >= 0 and top <= 100 + 1e-9
            assert all(left < p.cost < right and low < 100 * p.accuracy < high for p in panel.points)
            fronts = [c for c in axes.collections if c.get_gid() == "front"]
            assert len(fronts) == (seeds > 1)
            for path in (path for front in fronts for path in front.get_paths()):
                assert low < path.vertices[:, 1].min() and path.vertices[:, 1].max() < high


def test_no_line_joins_points() -> None:
    for chart in charts(of_one(rows(6))):
        assert not any(axes.lines for axes in drawn(chart).axes)


def test_the_band_is_drawn_where_the_front_may_be() -> None:
    """At the cost of each point the band is as wide as the front's intervals; the marks are as large as they are probable."""
    chart = charts(of_one(rows(4)))[0]
    for axes, panel in zip(drawn(chart).axes, chart.panels, strict=True):
        ordered = sorted(panel.points, key=lambda p: p.cost)
        ends = [p.interval or (0.0, 0.0) for p in ordered]
        for place, (cost, low, high) in enumerate(panel.band):
            assert cost == ordered[place].cost
            assert low == pytest.approx(max(end for end, _ in ends[: place + 1]))
            assert high == pytest.approx(max(end for _, end in ends[: place + 1]))
        (front,) = [c for c in axes.collections if c.get_gid() == "front"]
        heights = {round(y, 6) for path in front.get_paths() for y in path.vertices[:, 1].tolist()}
        assert {round(100 * end, 6) for _, *both in panel.band for end in both} <= heights
        sizes = {
            tuple(at): s
            for c in marks(axes)
            for at, s in zip(c.get_offsets().tolist(), c.get_sizes(), strict=True)
        }
        for p in panel.points:
            assert p.front is not None and sizes[p.cost, 100 * p.accuracy] == pytest.approx(size_of(p))
        assert max(p.front or 0 for p in panel.points) > 0.9


def test_files_and_what_they_are_made_from(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(csv_text(rows(2)))
    written = plot_results(tmp_path / "results.csv")
    places = [f"verdicts_{place}" for place in ("early", "mid", "late")]
    names = ["forest", *places, "profiles", *(f"accuracy_{cost}" for cost in ("flops", "latency", "memory"))]
    assert [p.name for p in written] == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
    assert {p.parent for p in written} == {tmp_path / "figures"}
    averaged = plot_results(tmp_path / "results.csv", tmp_path / "mean", average_positions=True)
    assert [path.name for path in averaged] == ["accuracy_averaged.png", "accuracy_averaged.svg"]
    again = plot_results(pd.DataFrame(rows(2)), tmp_path / "again", average_positions=True)
    assert averaged[1].read_bytes() == again[1].read_bytes(), "from a file and from a DataFrame alike"


def test_of_means_over_positions_each_cost_has_a_panel() -> None:
    (chart,) = charts(of_one(rows()), average=True)
    assert [panel.cost for panel in chart.panels] == ["flops", "latency_ms", "peak_activation_bytes"]
    assert all(len(panel.points) == 3 for panel in chart.panels)


@pytest.mark.slow
def test_groups_get_pictures_of_their_own(tmp_path: Path) -> None:
    one = [row for row in rows(2, 1) if row["position"] == "mid"]
    mixed = one + [{**row, "comparable": "y", "epochs": 9} for row in one]
    names = {p.name for p in plot_results(mixed, tmp_path)}
    assert {"accuracy_flops_1.png", "accuracy_flops_2.png"} <= names and "accuracy_flops.png" not in names


def test_holes_are_left_out_and_nothing_is_an_error(tmp_path: Path) -> None:
    some = [row for row in rows(2, 1) if row["position"] != "late"]
    some[0]["test_acc"], some[1]["latency_ms"] = None, float("nan")
    assert plot_results(some, tmp_path)
    with pytest.raises(UsageError, match="'failed': 6"):
        plot_results([{**row, "status": "failed", "test_acc": None} for row in rows(2, 1)], tmp_path)


def test_times_taken_in_two_ways_share_no_picture_no_front_and_no_table() -> None:
    table = [{**row, "latency_device": "cpu, 1 threads"} for row in rows(3)]
    table += [
        {**row, "block": "Fast", "latency_ms": 0.001, "latency_device": "cpu, 8 threads"} for row in rows(1)
    ]
    for row in table[-3:]:
        row["test_acc"] = 0.01  # in one panel alone, far from all others
    made = charts(of_one(table))
    assert drawn(made[0]).axes[2].get_ylim()[0] < 20
    points = {chart.name: {p.block for panel in chart.panels for p in panel.points} for chart in made}
    assert points["latency"] == {"Block00", "Block01", "Block02"} and "Fast" in points["flops"]
    assert "1 threads" in made[1].note and "8 threads" not in made[1].note
    text = markdown_table(table)
    assert "~0.5 |" in text and "0.001" not in text and "on cpu, 1 threads" in text


def test_where_a_cost_is_missing_there_is_no_front() -> None:
    """A cheaper block may be the one whose cost is not known."""
    table = [
        {**row, "latency_ms": None if row["block"] == "Block01" else row["latency_ms"]} for row in rows(3)
    ]
    flops, latency, _ = charts(of_one(table))
    assert all(panel.band for panel in flops.panels) and not any(panel.band for panel in latency.panels)
    assert all(p.front is None and p.interval for panel in latency.panels for p in panel.points)


def test_times_are_drawn_with_their_whole_intervals_and_doubtful_ones_hollow() -> None:
    table = [
        {**row, "latency_low_ms": 0.9 * row["latency_ms"], "latency_high_ms": 3 * row["latency_ms"],
         "latency_doubt": "A/A 1.30" if row["block"] == "Block01" else None, "latency_device": "cpu"}
        for row in rows(2)
    ]  # fmt: skip
    chart = charts(of_one(table))[1]
    for axes, panel in zip(drawn(chart).axes, chart.panels, strict=True):
        low, high = axes.get_xlim()
        flat = sorted(s.tolist() for s in segments(axes) if s[0, 1] == s[1, 1])
        assert flat == sorted(
            [[0.9 * p.cost, 100 * p.accuracy], [3 * p.cost, 100 * p.accuracy]] for p in panel.points
        )
        assert all(low < a < b < high for (a, _), (b, _) in flat)
        faces = {
            tuple(at): face
            for c in marks(axes)
            for at, face in zip(c.get_offsets().tolist(), c.get_facecolors().tolist(), strict=True)
        }
        for p in panel.points:
            assert (faces[p.cost, 100 * p.accuracy] == [1, 1, 1, 1]) == (p.block == "Block01")
    assert "hollow: 3 doubtful times" in chart.note
    text = markdown_table(table)
    assert "0.5 ± 1" in text and "0.6 ± 1.2 ?" in text and "Block01/mid: A/A 1.30" in text


def test_the_front_goes_where_better_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The costlier a block, the more accurate; where more is better, the costliest is the front."""
    table = [row for row in rows(3) if row["position"] == "early"]
    for better, probable in (("lower", [1, 1, 1]), ("higher", [0, 0, 1])):
        monkeypatch.setattr(type(AXES["flops"]), "better", better)
        chart = charts(of_one(table))[0]
        (panel,), (axes,) = chart.panels, drawn(chart).axes
        assert [round(p.front or 0) for p in panel.points] == probable
        (front,) = [c for c in axes.collections if c.get_gid() == "front"]
        xs = front.get_paths()[0].vertices[:, 0]
        costs = [p.cost for p in panel.points]
        assert (xs.min() < min(costs)) == (better == "higher") and (xs.max() > max(costs)) == (
            better == "lower"
        )


def test_what_misses_its_budget_is_a_cross_and_no_rival() -> None:
    table = [
        {**row, "budget": "iso-macs 1 of ResNetBasicBlock", "budget_ratio": 2.0 if row["block"] == "Block02" else 1.0}
        for row in rows(3)
    ]  # fmt: skip
    chart = charts(of_one(table))[0]
    for panel in chart.panels:
        assert {p.block for p in panel.points if p.off_budget} == {"Block02"}
        assert {p.block for p in panel.points if p.front is None} == {"Block02"}
        assert len(panel.band) == 2
    assert "crosses: 3 that miss their budget" in chart.note
    assert any(c.get_gid() == "points x" for axes in drawn(chart).axes for c in axes.collections)


def test_beyond_the_colours_those_are_named_that_may_be_on_the_front() -> None:
    table = [
        {**row, "latency_ms": 10 - row["latency_ms"]} for row in rows(40)
    ]  # the most accurate ones are the cheapest
    chart = charts(of_one(table))[1]
    probable = {p.block for panel in chart.panels for p in panel.points if (p.front or 0) >= 0.05}
    assert named(chart) == probable and 0 < len(probable) < 10
    note = drawn(chart).texts[2].get_text().replace("\n", " ")
    assert f"grey: {40 - len(probable)} others, less probably than 5 % on the front" in note
    one = [row for row in table if row["position"] == "mid" and row["seed"] == 0]
    alone = charts(of_one(one))[1]
    front = max(alone.panels[0].points, key=lambda p: (p.accuracy, -p.cost)).block
    assert front in named(alone) and len(named(alone)) < 10
    assert "grey:" in drawn(alone).texts[2].get_text() and "uncertainty is not known" in alone.note
    assert named(charts(of_one(rows(15)))[1]) == {f"Block{b:02}" for b in range(15)}
