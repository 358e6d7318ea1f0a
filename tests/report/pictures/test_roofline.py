"""The roofline picture: what is drawn, where, and what stands beside it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from blockzoo.core.roofline import KINDS, WITH_MACS, Limit, Machine, Timed
from blockzoo.report.pictures.looks import save
from blockzoo.report.pictures.roofline import draw, marks
from tests.report.test_why import DENSE, DEPTHWISE, MACHINE, SLOW, breakdown, timed
from tests.sampled import sampled

EVERY = [
    timed(kind, 10**7 * (n + 1) if kind in WITH_MACS else 0, 10**6 * (n + 2), 0.3 * (1 + n % 4))
    for n, kind in enumerate(KINDS[:-1])
]


def test_marks_are_rates_and_shares() -> None:
    dense, depthwise, norms = marks([breakdown("A", DENSE, DEPTHWISE, SLOW)])
    assert (dense.kind, dense.x, dense.y) == ("dense convolutions", 800.0, pytest.approx(80.0))
    assert (depthwise.x, depthwise.y) == (0.25, pytest.approx(2.0))
    assert (norms.x, norms.y) == (0.0, pytest.approx(0.1))  # GB/s, as it has no FLOPs
    assert [mark.label for mark in (dense, norms)] == ["dense convolutions 33%", "norms 33%"]


def test_what_takes_next_to_no_time_is_left_out() -> None:
    short = timed("copies", 0, 10**6, 0.01)
    assert [mark.kind for mark in marks([breakdown("A", DENSE, short)])] == ["dense convolutions"]


@pytest.mark.parametrize("parts", sampled([[DENSE], [SLOW], [DENSE, DEPTHWISE, SLOW], EVERY], [EVERY]))
@pytest.mark.parametrize("networks", sampled([1, 2], [2]))
def test_each_mark_has_a_label_that_lies_on_no_other(
    parts: list[Timed], networks: int, tmp_path: Path
) -> None:
    figure = draw([breakdown(name, *parts) for name in "AB"[:networks]], MACHINE, "a machine")
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    labels = []
    for axes in figure.axes:
        texts = [text for text in axes.texts if text.get_text().endswith("%")]
        boxes = [text.get_window_extent(renderer) for text in texts]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        labels += texts
    assert len(labels) == networks * len(parts) == sum(len(axes.collections) for axes in figure.axes)
    save(figure, tmp_path / "roofline.png")
    assert (tmp_path / "roofline.png").stat().st_size > 10_000


def test_roofs_are_the_limits_and_meet() -> None:
    copies = (Limit("small", 1e6, (0.02,)), Limit("large", 1e9, (100.0,)))
    figure = draw([breakdown("A", DENSE, DEPTHWISE, SLOW)], Machine(MACHINE.products, copies, MACHINE.calls))
    left, right = figure.axes
    roofs = [line.get_xydata().tolist() for line in right.lines if line.get_gid() == "roof"]
    memory, cache, compute = roofs
    assert memory[1] == pytest.approx([10.0, 100.0]) and cache[1] == pytest.approx([2.0, 100.0])
    assert compute[0] == pytest.approx([2.0, 100.0]) and compute[1][1] == pytest.approx(100.0)
    levels = [line.get_ydata()[0] for line in left.lines if line.get_gid() == "roof"]
    assert levels == pytest.approx([10.0, 50.0])


def test_networks_are_told_apart() -> None:
    figure = draw([breakdown("A", DENSE), breakdown("B", DENSE)], MACHINE, "a machine")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "A, stage, batch 1: 10 ms",
        "B, stage, batch 1: 10 ms",
    ]
    alone = draw([breakdown("A", DENSE)], MACHINE, "a machine")
    assert not alone.legends and alone.get_suptitle() == "A, stage, batch 1: 10 ms, a machine"
