from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from blockzoo.report.charts import AXES, charts, draw, look

from blockzoo.core.errors import UsageError
from blockzoo.core.text import csv_text
from blockzoo.report.tables import markdown_table
from blockzoo.visualize import plot_results


def rows(blocks: int = 3, seeds: int = 3) -> list[dict]:
    return [
        {
            "block": f"Block{b:02}", "position": position, "seed": seed, "dataset": "digits", "protocol": "fast-v1",
            "epochs": 3, "comparable": "x", "status": "ok", "test_acc": 0.5 + 0.01 * b + 0.02 * p + 0.003 * seed,
            "flops": 1e7 * (1 + b + p), "latency_ms": 0.5 + 0.1 * b, "peak_activation_bytes": 1e5 * (1 + b * p),
        }
        for b in range(blocks) for p, position in enumerate(("early", "mid", "late")) for seed in range(seeds)
    ]  # fmt: skip


@pytest.mark.parametrize("blocks", [1, 12, 50])
def test_every_point_is_drawn_once(blocks: int) -> None:
    (made,) = charts(rows(blocks))
    assert [chart.cost for chart in made] == ["flops", "latency_ms", "peak_activation_bytes"]
    figure = draw(made)
    for axes, chart in zip(figure.axes, made, strict=True):
        drawn = [len(c.get_offsets()) for c in axes.collections if c.get_label().startswith("Block")]
        assert sum(drawn) == len(chart.points) == 3 * blocks
    assert len(set(look([p.block for p in made[0].points]).values())) == blocks, "every block looks different"
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert all(not legend.overlaps(axes.get_tightbbox()) for axes in figure.axes)
    assert legend.y0 >= 0 and legend.x1 <= figure.bbox.x1


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_pictures_show_the_whole_of_every_interval(seeds: int) -> None:
    table = [
        {**row, "test_acc": min(1.0, 0.6 + 0.2 * row["seed"] + 0.01 * i)}
        for i, row in enumerate(rows(2, seeds))
    ]
    (made,) = charts(table)
    figure = draw(made)
    for axes, chart in zip(figure.axes, made, strict=True):
        low, high = axes.get_ylim()
        bars = [segment for c in axes.containers for lines in c.lines[2] for segment in lines.get_segments()]
        assert len(bars) == (len(chart.points) if seeds >= 3 else 0)
        for point in chart.points:
            ends = point.accuracy.interval or (point.accuracy.mean,)
            assert all(low < 100 * end < high and 0 <= end <= 1 for end in ends)
        for (_, bottom), (_, top) in bars:
            assert low < bottom < top < high and bottom >= 0 and top <= 100 + 1e-9


def test_files_and_what_they_are_made_from(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(csv_text(rows()))
    written = plot_results(tmp_path / "results.csv")
    assert {p.name for p in written} == {
        f"accuracy{cost}.{kind}" for cost in ("", "_flops", "_latency", "_memory") for kind in ("png", "svg")
    }
    assert {p.parent for p in written} == {tmp_path / "figures"}
    again = plot_results(pd.DataFrame(rows()), tmp_path / "again")
    for first, second in zip(written, again, strict=True):
        if first.suffix == ".svg":
            assert first.read_bytes() == second.read_bytes()
    averaged = plot_results(rows(), tmp_path / "mean", average_positions=True)
    assert averaged[0].name == "accuracy_averaged.png"
    assert len(charts(rows(), average=True)[0][0].points) == 3


def test_groups_get_pictures_of_their_own(tmp_path: Path) -> None:
    mixed = rows(2) + [{**row, "comparable": "y", "epochs": 9} for row in rows(2)]
    names = {p.name for p in plot_results(mixed, tmp_path)}
    assert {"accuracy_1.png", "accuracy_2.png"} <= names and "accuracy.png" not in names


def test_holes_are_left_out_and_nothing_is_an_error(tmp_path: Path) -> None:
    some = rows(2, 1)
    some[0]["test_acc"], some[1]["latency_ms"] = None, float("nan")
    assert plot_results(some, tmp_path)
    with pytest.raises(UsageError, match="'failed': 6"):
        plot_results([{**row, "status": "failed", "test_acc": None} for row in rows(2, 1)], tmp_path)


def test_times_taken_in_two_ways_share_no_picture_no_front_and_no_table() -> None:
    table = [{**row, "latency_device": "cpu, 1 threads"} for row in rows(3)]
    table += [
        {**row, "block": "Fast", "latency_ms": 0.001, "latency_device": "cpu, 8 threads"} for row in rows(1)
    ]
    table[-1]["test_acc"] = table[-2]["test_acc"] = table[-3]["test_acc"] = (
        0.01  # in one panel alone, far from all others
    )
    (made,) = charts(table)
    assert draw(made).axes[0].get_ylim()[0] < 1
    points = {chart.cost: {p.block for p in chart.points} for chart in made}
    assert points["latency_ms"] == {"Block00", "Block01", "Block02"} and "Fast" in points["flops"]
    assert "1 threads" in made[1].note and "8 threads" not in made[1].note
    text = markdown_table(table)
    assert "~0.5 |" in text and "0.001" not in text and "on cpu, 1 threads" in text
    averaged = charts(table, average=True)[0][1]
    assert {p.block for p in averaged.points} == {"Block00", "Block01", "Block02"}


def test_times_are_drawn_with_their_whole_intervals_and_doubtful_ones_hollow() -> None:
    table = [
        {**row, "latency_low_ms": 0.9 * row["latency_ms"], "latency_high_ms": 3 * row["latency_ms"],
         "latency_doubt": "A/A 1.30" if row["block"] == "Block01" else None, "latency_device": "cpu"}
        for row in rows(2)
    ]  # fmt: skip
    (made,) = charts(table)
    chart, axes = made[1], draw(made).axes[1]
    low, high = axes.get_xlim()
    assert all(p.time is not None and p.time.interval == (0.9 * p.cost, 3 * p.cost) for p in chart.points)
    assert all(low < 0.9 * p.cost and 3 * p.cost < high for p in chart.points)
    bars = [s for c in axes.containers if c.has_xerr for lines in c.lines[2] for s in lines.get_segments()]
    assert len(bars) == len(chart.points) and all(low < a < b < high for (a, _), (b, _) in bars)
    faces = {
        c.get_label(): c.get_facecolor()[0].tolist() for c in axes.collections if c.get_label()[:5] == "Block"
    }
    assert faces["Block01"] == [1, 1, 1, 1] and faces["Block00"] != [1, 1, 1, 1]
    assert "hollow: 3 doubtful times" in chart.note
    text = markdown_table(table)
    assert "0.5 ± 1" in text and "0.6 ± 1.2 ?" in text and "Block01/mid: A/A 1.30" in text


def test_the_front_goes_where_better_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """One seed, one position: the costlier a block, the more accurate; where more is better, one point is the front."""
    table = [row for row in rows(3, 1) if row["position"] == "early"]
    for better, points in (("lower", 3), ("higher", 1)):
        monkeypatch.setattr(type(AXES["flops"]), "better", better)
        axes = draw(charts(table)[0]).axes[0]
        (front,) = [line for line in axes.lines if line.get_gid() == "front"]
        assert len(front.get_xdata()) == points
