"""Specialisation: by hand, where there is none, where it is planted, and where nothing can be said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blockzoo.cli import main
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.core.text import csv_text
from blockzoo.report.specialisation import specialisation_rows, specialisations

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
    for cell in one.cells:
        of_block = np.mean([means[cell.block, p] for p in POSITIONS])
        of_position = np.mean([means[b, cell.position] for b in BLOCKS])
        by_hand = means[cell.block, cell.position] - of_block - of_position + np.mean(list(means.values()))
        assert cell.value == pytest.approx(by_hand, abs=1e-12)
    assert sum(cell.value for cell in one.cells) == pytest.approx(0, abs=1e-12)
    assert one.p < 1e-6 and 0.05 < one.share < 1
    verdicts = {(cell.block, cell.position): cell.verdict for cell in one.cells}
    assert verdicts["A", "early"].startswith("better") and verdicts["B", "late"].startswith("worse")


def test_where_there_is_none_it_is_seen_in_one_table_of_twenty() -> None:
    """200 tables: 10 expected; more than 18 would have a probability of 0.6 %."""
    made = [specialisations(table({}, 0.01, draw=draw))[0] for draw in range(200)]
    assert sum(any(abs(cell.value) > cell.half for cell in one.cells) for one in made) <= 18
    assert sum(one.p < 0.05 for one in made) <= 18
    assert np.median([one.share for one in made]) < 0.05


def test_a_network_that_is_the_filler_at_every_position_counts_once() -> None:
    rows = [row for row in table({}, 0.01) if row["block"] != "A"]
    same = [row | {"block": "A"} for row in table({}, 0.01, blocks=["A"]) if row["position"] == "early"]
    rows += [row | {"position": position} for row in same for position in POSITIONS]
    (one,) = specialisations(rows)
    half = {(cell.block, cell.position): cell.half for cell in one.cells}
    assert half["A", "mid"] < half["B", "mid"]  # its own luck is the same everywhere, and cancels


def test_blocks_that_are_not_everywhere_are_named_and_too_few_refused() -> None:
    rows = table({}, 0.01)
    (one,) = specialisations([row for row in rows if (row["block"], row["position"]) != ("D", "mid")])
    assert one.left_out == ["D"] and {cell.block for cell in one.cells} == {"A", "B", "C"}
    for too_few in (
        [row for row in rows if row["block"] in "AB"],
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
    assert "*" in said and "--transition shared" in " ".join(said.split())
    assert main(["results", str(tmp_path / "t.csv"), "--specialisation", "--format", "json"]) == 0
    assert '"better here than elsewhere"' in capsys.readouterr().out
    assert len(specialisation_rows(specialisations(rows))) == 12
