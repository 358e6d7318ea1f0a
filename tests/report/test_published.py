"""Published accuracies: facts that can be, each with a source, and what makes networks of other costs comparable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import DataError
from blockzoo.report.published import FACTS, Published, above_the_line, cost_alike, parsed, published

TEXT = FACTS.read_text()


def test_each_fact_is_of_a_block_and_can_be() -> None:
    rows = published()
    assert len(rows) > 70 and {row.block for row in rows} <= set(BLOCKS)
    assert all(40 < row.top1_percent < 90 and 0.003 < row.gmacs < 20 for row in rows)
    assert all(row.gmacs > 1e-4 * row.params_millions for row in rows), "each weight is used at least once"
    assert {row.resolution for row in rows} <= {224, 256, 299}


KNOWN = {
    "resnet50.a1_in1k": (25.6, 4.1),
    "mobilenetv2_100.ra_in1k": (3.5, 0.3),
    "convnext_tiny.fb_in1k": (28.6, 4.5),
}


@pytest.mark.parametrize("name", KNOWN)
def test_facts_that_many_know(name: str) -> None:
    """Millions of parameters and thousands of millions of multiply-adds, from the papers."""
    (row,) = (row for row in published() if row.network == name)
    params, gmacs = KNOWN[name]
    assert row.params_millions == pytest.approx(params, rel=0.01)
    assert row.gmacs == pytest.approx(gmacs, rel=0.05)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("71.488", "171.488", "resnet18.a1_in1k: an impossible value"),
        ("1.82, 224, timm]", "-1.82, 224, timm]", "resnet18.a1_in1k: an impossible value"),
        ("3.67, 224, timm]", "3.67, 224, hearsay]", "resnet34.a1_in1k: .*a source that is not named"),
        ("71.488", "much", "not 'much'"),
        ("resnet34.a1_in1k", "resnet18.a1_in1k", "is listed twice"),
        ("columns: [block,", "columns: [blocks,", "columns are block, network"),
    ],
)
def test_what_cannot_be_is_refused(before: str, after: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parsed(TEXT.replace(before, after, 1))


def test_the_line_is_that_of_a_library() -> None:
    rows = published()
    x, y = np.log([row.gmacs for row in rows]), np.array([row.top1_percent for row in rows])
    slope = stats.theilslopes(y, x).slope
    left = y - slope * x
    line = above_the_line()
    for block in ("ResNetBasicBlock", "MambaOutBlock", "FireModule"):
        own = [value for value, row in zip(left, rows, strict=True) if row.block == block]
        assert line.values[block] == pytest.approx(np.mean(own) - np.median(left))
    assert line.is_exact


def test_networks_on_one_line_differ_in_nothing() -> None:
    rows = tuple(Published(f"B{i}", f"n{i}", 60 + 5 * i, 1, float(2**i), 224, "timm") for i in range(4))
    assert list(above_the_line(rows).values.values()) == pytest.approx([0] * 4)


def test_costs_alike_are_within_half_of_each_other() -> None:
    assert cost_alike("ResNetBottleneck", "ResNeXtBottleneck")  # 4.11 and 4.26
    assert cost_alike("ResNetBasicBlock", "SelectiveKernelBasicBlock")
    assert not cost_alike("ResNetBottleneck", "InvertedResidual")
    assert not cost_alike("ResNetBottleneck", "MBConvLNBlock"), "nothing was published"
