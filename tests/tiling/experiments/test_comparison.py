"""The three kinds of table, from lines as a study gives them."""

from __future__ import annotations

import math

import pytest

from blockzoo.tiling.experiments.comparison import comparisons


def line(
    way: str, blocking: str, padding: str, seed: int, accuracy: float | None, status: str = "ok"
) -> dict:
    return {"arch": "resnet18", "way": way, "blocking": blocking, "padding": padding, "seed": seed,
            "status": status, "test_acc": accuracy}  # fmt: skip


LINES = [
    *[line("baseline", "whole", "", s, 0.70 + s / 100) for s in range(3)],
    *[line("baseline, more epochs", "whole", "", s, 0.72 + s / 100) for s in range(3)],
    *[line("scratch", "F8", "zeros", s, 0.69 + s / 100) for s in range(3)],
    *[line("fine-tuned", "F8", "zeros", s, 0.71 + s / 100 + 0.001 * (s - 1)) for s in range(3)],
    *[line("fine-tuned", "H2x2", "zeros", s, 0.70) for s in range(3)],
    *[line("fine-tuned", "F8", "reflect", s, 0.69 + s / 100) for s in range(2)],
    line("fine-tuned", "F8", "reflect", 2, None, "diverged"),
]


def test_differences_are_paired_over_seeds() -> None:
    ways, blockings, paddings = comparisons(LINES, "F8")
    own = dict(ways.rows)["resnet18"]
    assert [cell.accuracy.mean for cell in own] == pytest.approx([71, 73, 70, 72])  # type: ignore[union-attr]
    assert own[0].difference is None and own[2].difference is not None
    assert own[2].difference.mean == pytest.approx(-3) and own[2].difference.half_width == pytest.approx(
        0, abs=1e-9
    )
    tuned = own[3].difference
    assert tuned is not None and tuned.mean == pytest.approx(-1)
    assert tuned.half_width == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5), (
        "of differences, not of two means"
    )
    assert tuned.half_width < own[3].accuracy.half_width  # type: ignore[union-attr, operator]
    cells = dict(zip(blockings.columns, dict(blockings.rows)["resnet18"], strict=True))
    assert blockings.columns == ("H2x2", "H4x4", "H8x8", "H16x16", "F112", "F56", "F28", "F14", "F8")
    assert str(cells["H2x2"]) == "70.00 ± 0.00 (-3.00 ± 2.48)" and str(cells["F28"]) == "-"
    assert paddings.columns == ("zeros", "reflect")
    reflect = dict(paddings.rows)["resnet18"][1]
    assert reflect.accuracy.n == 2 and reflect.difference.n == 2, "a run that diverged is no figure"  # type: ignore[union-attr]


def test_published_figures_are_marked() -> None:
    for table in comparisons(LINES, "F8"):
        assert [name for name, _ in table.rows] == ["resnet18", "resnet18 (reported)"]
        assert "10.1109/TCAD.2021.3082868" in table.caption and "ImageNet" in table.markdown()
    assert "| resnet18 (reported) | 70.60 | - | 69.94 | 71.21 |" in comparisons(LINES, "F8")[0].markdown()
    others = comparisons([{**own, "arch": "resnet8_half"} for own in LINES], "F8")[2]
    assert len(others.rows) == 5, "all published networks where ours is none of them"


def test_nothing_done_yet() -> None:
    tables = comparisons([line("fine-tuned", "F8", "zeros", 0, None, "not run")], "F8")
    assert str(dict(tables[0].rows)["resnet18"][3]) == "-"
