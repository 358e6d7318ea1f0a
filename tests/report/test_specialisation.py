"""Specialisation: by hand, where there is none, where it is planted, and where nothing can be said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import f

from blockzoo.cli import main
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.core.text import csv_text
from blockzoo.report.specialisation import specialisation_rows, specialisations, verdict

BLOCKS = ["A", "B", "C", "D"]


def table(
    effect: dict[tuple[str, str], float],
    noise: float,
    seeds: int = 3,
    draw: int = 0,
    blocks: list[str] = BLOCKS,
) -> list[dict[str, Any]]:
    chance = np.random.default_rng(draw)
    luck = chance.normal(0, noise, seeds)
    return [
        {"block": block, "position": position, "seed": seed, "status": "ok", "comparable": "x", "num_blocks": 3,
         "test_acc": 0.5 + i / 50 + p / 30 + effect.get((block, position), 0.0) + luck[seed] + chance.normal(0, noise)}
        for i, block in enumerate(blocks) for p, position in enumerate(POSITIONS) for seed in range(seeds)
    ]  # fmt: skip


def test_values_are_those_counted_by_hand() -> None:
    rows = table({("A", "early"): 0.06, ("B", "late"): -0.03}, 0.001)
    (one,) = specialisations(rows)
    means = {(b, p): np.mean([r["test_acc"] for r in rows if (r["block"], r["position"]) == (b, p)])
             for b in BLOCKS for p in POSITIONS}  # fmt: skip
    gain = {(b, p): means[b, p] - np.mean([means[other, p] for other in BLOCKS]) for b, p in means}
    for d in one.effects.differences:
        elsewhere = np.mean([gain[d.block, p] for p in POSITIONS if p != d.position])
        assert d.value == pytest.approx(gain[d.block, d.position] - elsewhere, abs=1e-12)
    assert one.p is not None and one.p < 1e-6
    said = {(d.block, d.position): verdict(d) for d in one.effects.differences}
    assert said["A", "early"].startswith("better") and said["B", "late"].startswith("worse")


def test_the_probability_is_that_of_a_two_way_analysis_of_variance() -> None:
    """Of a table without effects of seeds it is that of the residuals within cells, but for the seeds that are fitted too."""
    rows = table({("A", "early"): 0.01}, 0.01, seeds=40)
    (one,) = specialisations(rows)
    cells = np.array(
        [
            [[r["test_acc"] for r in rows if (r["block"], r["position"]) == (b, p)] for p in POSITIONS]
            for b in BLOCKS
        ]
    )
    cells = cells - cells.mean((0, 1), keepdims=True)
    means = cells.mean(2)
    inner = means - means.mean(0) - means.mean(1, keepdims=True) + means.mean()
    left = cells - means[:, :, None]
    degrees = 6, 11 * 39
    ratio = 40 * (inner**2).sum() / degrees[0] / ((left**2).sum() / degrees[1])
    assert one.p == pytest.approx(float(f.sf(ratio, *degrees)), rel=1e-9)


def lost(rows: list[dict[str, Any]], missing: set[tuple[str, str, int]]) -> list[dict[str, Any]]:
    return [row for row in rows if (row["block"], row["position"], row["seed"]) not in missing]


@pytest.mark.parametrize("seeds, missing", [
    (3, set()),
    (3, {("A", "mid", 1), ("B", "late", 2)}),
    (5, {("A", "mid", 1), ("B", "late", 2), ("C", "mid", 3), ("D", "late", 3)}),
])  # fmt: skip
def test_interaction_where_there_is_none_whichever_seeds_are_missing(
    seeds: int, missing: set[tuple[str, str, int]]
) -> None:
    """80 tables: 4 expected below 5 %; none, or more than 9, have a probability of 2 %."""
    below = 0
    for draw in range(80):
        (one,) = specialisations(lost(table({}, 0.01, seeds, draw), missing))
        below += one.p is not None and one.p < 0.05
    assert 1 <= below <= 9


def test_interaction_that_is_planted_shows_though_seeds_are_missing() -> None:
    rows = table({("A", "early"): 0.04}, 0.01, seeds=5)
    (one,) = specialisations(
        lost(rows, {("A", "mid", 1), ("B", "late", 2), ("C", "mid", 3), ("D", "late", 4)})
    )
    assert one.p is not None and one.p < 0.001 and "B" not in one.left_out


@pytest.mark.slow
def test_where_there_is_none_it_is_seen_in_one_table_of_twenty() -> None:
    """200 tables: 10 expected; more than 18 would have a probability of 0.6 %."""
    made = [specialisations(table({}, 0.01, draw=draw))[0] for draw in range(200)]
    assert sum(any("here than" in verdict(d) for d in one.effects.differences) for one in made) <= 18
    assert sum(one.p is not None and one.p < 0.05 for one in made) <= 18


def test_the_filler_and_blocks_that_are_not_everywhere_are_named() -> None:
    rows = table({}, 0.01)
    (one,) = specialisations([row for row in rows if (row["block"], row["position"]) != ("D", "mid")])
    assert one.left_out == ["D"] and {d.block for d in one.effects.differences} == {"A", "B", "C"}
    early = [row for row in rows if (row["block"], row["position"]) == ("A", "early")]
    rows = [row for row in rows if row["block"] != "A"] + [
        row | {"position": p} for row in early for p in POSITIONS
    ]
    (one,) = specialisations([row | {"filler": "A"} for row in rows])
    assert one.left_out == ["A"]


def test_too_few_are_refused() -> None:
    rows = table({}, 0.01)
    for too_few in (
        [row for row in rows if row["block"] == "A"],
        [row for row in rows if row["position"] == "mid"],
        [row for row in rows if row["seed"] == 0],
        [],
    ):
        with pytest.raises(UsageError, match="specialisation needs"):
            specialisations(too_few)


def test_the_command(tmp_path, capsys) -> None:
    rows = table({("A", "early"): 0.1}, 0.003)
    (tmp_path / "t.csv").write_text(csv_text(rows))
    assert main(["results", str(tmp_path / "t.csv"), "--specialisation"]) == 0
    said = capsys.readouterr().out
    (line,) = [line.split() for line in said.splitlines() if line.strip().startswith("A ")]
    assert float(line[1]) > 5 and float(line[4].rstrip("*")) < -3 and float(line[-3]) < -3  # early, mid, late
    assert "*" in said and "--transition shared" in " ".join(said.split())
    assert main(["results", str(tmp_path / "t.csv"), "--specialisation", "--format", "json"]) == 0
    assert '"better here than elsewhere"' in capsys.readouterr().out
    assert len(specialisation_rows(specialisations(rows))) == 12
