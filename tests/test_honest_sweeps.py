"""Real trainings in which nothing differs, and in which something was broken on purpose: what the verdicts make of them.

Blocks of one kind under several names start from other weights, so that their trainings differ by luck alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, nct, t

from blockzoo.report.additive import fitted_to, tables_of
from blockzoo.report.comparison import compare, verdicts
from blockzoo.report.groups import Row
from blockzoo.trials.sweep import run_sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
ALIKE = ("OneKind", "SameKind", "AlsoKind", "LikeKind")
BROKEN = {"TenthSilent": 0.1, "HalfSilent": 0.5}
PLUGIN = """
import torch
from blockzoo.blocks.residual import ResNetBasicBlock
from blockzoo.core.contracts import BLOCKS

def kind(name, draws, silent):
    class Kind(ResNetBasicBlock):
        def __init__(self, *args, **kwargs):
            torch.rand(draws)
            super().__init__(*args, **kwargs)
        def forward(self, x):
            y = super().forward(x)
            heard = torch.ones(y.shape[1], device=y.device)
            heard[: round(silent * y.shape[1])] = 0
            return y * heard[:, None, None]
    Kind.__name__ = Kind.__qualname__ = name
    return Kind

"""
SEEDS = 18
EACH = 3
"""Seeds of a table as people make them: the trainings are cut into so many tables."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Of all blocks and seeds, trained in ten minutes of two cores."""
    folder: Path = tmp_path_factory.mktemp("honest")
    kinds = [(name, 1 + 7 * i, 0.0) for i, name in enumerate(ALIKE)]
    kinds += [(name, 101 + i, share) for i, (name, share) in enumerate(BROKEN.items())]
    lines = [f'{n} = kind("{n}", {d}, {s})\nBLOCKS.register("{n}")({n})\n' for n, d, s in kinds]
    (folder / "kinds.py").write_text(PLUGIN + "".join(lines))
    done = run_sweep(
        [name for name, _, _ in kinds], "late", SEEDS, dataset="digits", filler="identity", epochs=4, batch_size=32, lr=0.2,
        base_channels=8, num_blocks=1, latency=False, plugins=(str(folder / "kinds.py"),), output=folder / "results",
    )  # fmt: skip
    assert all(row["status"] == "ok" for row in done.rows)
    return done.rows


def cut(rows: list[Row], *blocks: str) -> list[list[Row]]:
    """Tables of three seeds each, of these blocks."""
    parts = [range(first, first + EACH) for first in range(0, SEEDS, EACH)]
    return [[row for row in rows if row["seed"] in part and row["block"] in blocks] for part in parts]


def test_where_nothing_differs_nothing_is_said_to(rows: list[Row]) -> None:
    """Six tables of six pairs, each table false at 5 %: two false ones have a probability of 3 %."""
    made = [verdicts(table) for table in cut(rows, *ALIKE)]
    false = [any(d.verdict in ("better", "worse") for c in table for d in c.differences) for table in made]
    assert len(made) == 6 and sum(false) <= 1
    (whole,) = verdicts([row for row in rows if row["block"] in ALIKE])
    assert not [d for d in whole.differences if d.verdict in ("better", "worse")]
    assert len({row["test_acc"] for row in rows}) > SEEDS  # they did differ by luck


@pytest.mark.parametrize("block", BROKEN)
def test_what_was_broken_is_found_as_often_as_is_stated(rows: list[Row], block: str) -> None:
    """The power that the spread and the effect of all seeds imply, against how many tables of three seeds find it."""
    ((_, table),) = tables_of([row for row in rows if row["block"] in (*ALIKE, block)], "test_acc").items()
    fitted = fitted_to(table)
    assert fitted.deviation is not None
    means = {name: float(np.mean(list(of.values()))) for (name, _), of in table.items()}
    effect = means[block] - float(np.mean([means[name] for name in ALIKE]))
    degrees = (EACH - 1) * len(ALIKE)
    error, limit = fitted.deviation * np.sqrt(2 / EACH), t.ppf(0.975, degrees)
    power = float(nct.sf(limit, degrees, abs(effect) / error) + nct.cdf(-limit, degrees, abs(effect) / error))
    judged: list[Any] = []
    for part in cut(rows, *ALIKE, block):
        for other in ALIKE:
            (comparison,) = compare(part, block, other)
            judged += [d for d in comparison.differences if d.position == "late"]
    told = sum(d.verdict == ("better" if effect > 0 else "worse") for d in judged)
    tables = len(judged) // len(ALIKE)
    low, high = binom.interval(
        0.999, tables, power
    )  # comparisons of one table hang together: counted as tables
    assert low - 1 <= told / len(ALIKE) <= high + 1
    if BROKEN[block] == 0.5:
        assert effect < 0 and told >= len(judged) // 2
