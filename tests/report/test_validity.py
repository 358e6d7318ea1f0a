"""Worths alone against worths in company, operations and published networks: in worlds whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from blockzoo.cli import main
from blockzoo.core.contracts import POSITIONS
from blockzoo.core.csv_file import write_csv
from blockzoo.core.errors import UsageError
from blockzoo.report.published import above_the_line
from blockzoo.report.validity import OperationWorths, Validity, validities
from tests.report.test_crossed import BLOCKS, World

SETTINGS: dict[str, Any] = {
    "dataset": "digits",
    "protocol": "p-v1",
    "epochs": 3,
    "num_blocks": 1,
    "base_channels": 8,
}


def alone(
    worth: dict[tuple[str, int], float], *, seeds: int = 3, noise: float = 0.01
) -> list[dict[str, Any]]:
    """Trainings of blocks alone, which are worth there what they are worth in company."""
    draw = np.random.default_rng(1)
    luck = draw.normal(0, 0.02, seeds)
    return [
        SETTINGS | {"block": block, "position": POSITIONS[place], "seed": seed, "status": "ok", "comparable": "alone",
                    "filler": "identity", "test_acc": 0.6 + value + luck[seed] + float(draw.normal(0, noise))}
        for (block, place), value in worth.items() for seed in range(seeds)
    ]  # fmt: skip


def in_company(world: World) -> list[dict[str, Any]]:
    return [SETTINGS | row for row in world.rows()]


def of_kind(made: list[Validity], kind: str) -> list[Validity]:
    return [one for one in made if one.kind == kind]


def test_worths_that_are_the_same_alone_and_in_company_agree() -> None:
    world = World(0)
    made, missing = validities([*alone(world.worth), *in_company(world)])
    for place, one in enumerate(of_kind(made, "worths in company")):
        true = stats.kendalltau(*([world.worth[b, place] for b in BLOCKS] for _ in range(2))).statistic
        assert one.position == POSITIONS[place] and one.agreement.things == len(BLOCKS)
        assert one.agreement.tau > 0.5 and one.agreement.interval is not None and true == 1
        assert one.agreement.interval[0] > 0.3 and one.agreement.interval[1] > 0.95
        assert all(at is not None and 0.5 < at < 1 for at in one.agreement.ceilings)
    (whole,) = of_kind(made, "mixed networks")
    assert whole.agreement.tau > 0.5 and whole.agreement.interval is not None
    assert 0.3 < whole.agreement.interval[0] < whole.agreement.tau < whole.agreement.interval[1]
    assert "45 networks" in whole.other and "worths alone over all positions" in whole.sentence
    assert any("published" in why for why in missing), "none of these made-up blocks has a network"


def test_worths_that_are_others_in_company_do_not_agree() -> None:
    world, other = World(0), World(5)
    made, _ = validities(alone(other.worth), in_company(world))
    assert sum(abs(one.agreement.tau) > 0.5 for one in of_kind(made, "worths in company")) == 0
    (whole,) = of_kind(made, "mixed networks")
    true = [sum(other.worth[b, p] for p, b in enumerate(t)) for t in _networks(world)]
    seen = [sum(world.worth[b, p] for p, b in enumerate(t)) for t in _networks(world)]
    assert whole.agreement.tau == pytest.approx(stats.kendalltau(true, seen).statistic, abs=0.2)
    low, high = whole.agreement.interval or (0, 0)
    assert low < 0 < high and whole.agreement.verdict == "may be unrelated"


def _networks(world: World) -> list[tuple[str, ...]]:
    return sorted({tuple(row["block"].partition(":")[2].split(",")) for row in world.rows()})


def test_mixed_networks_of_other_trainings_are_not_compared() -> None:
    world = World(0)
    mixed = [row | {"epochs": 9} for row in in_company(world)]
    with pytest.raises(UsageError, match="mixed networks: they differ in epochs"):
        validities(alone(world.worth), mixed)
    searched = [row | {"lr": 0.1} for row in in_company(world)]
    made, _ = validities(alone(world.worth), searched)
    assert all(one.note == "they differ in lr too" for one in made)
    with pytest.raises(UsageError, match="no two blocks were trained alone"):
        validities(in_company(world))
    with pytest.raises(UsageError, match="design crossed"):
        validities(alone(world.worth))


def test_one_seed_has_a_tau_and_no_interval() -> None:
    world = World(0)
    made, _ = validities(alone(world.worth, seeds=1), in_company(world))
    one = of_kind(made, "worths in company")[0]
    assert one.agreement.interval is None and "one seed of each block" in one.agreement.sentence


def published_blocks(count: int = 9) -> dict[str, float]:
    """Some blocks with published networks, and how far they lie above the line."""
    line = above_the_line().values
    return {block: line[block] for block in sorted(line)[:: len(line) // count][:count]}


def test_published_networks_in_the_order_of_worths_agree() -> None:
    points = published_blocks()
    worth = {(block, place): value / 100 for block, value in points.items() for place in range(3)}
    made, missing = validities(alone(worth, noise=0.002))
    one = of_kind(made, "published")[-1]
    assert one.position == "mean" and one.agreement.things == 9 and one.agreement.ceilings[1] is None
    assert one.agreement.tau > 0.85 and one.agreement.interval is not None and one.agreement.interval[0] > 0.7
    alike = of_kind(made, "published, alike")
    assert not alike or alike[0].agreement.pairs < one.agreement.pairs == 36
    assert one.note.startswith("blocks of this table differ in cost")
    budget = [row | {"budget": "iso-macs 1", "budget_ratio": 1.0} for row in alone(worth)]
    assert of_kind(validities(budget)[0], "published")[0].note == ""
    assert [why for why in missing if why.startswith("mixed networks: none here")]
    reverse = {cell: -value for cell, value in worth.items()}
    assert (
        of_kind(validities(alone(reverse, noise=0.002))[0], "published")[-1].agreement.verdict
        == "are opposed"
    )


def test_operations_are_compared_within_a_stage() -> None:
    kin = {"A": 0.0, "B": 0.02, "C": 0.04}
    worth = {(block, place): value + 0.3 * place for block, value in kin.items() for place in range(3)}
    effects = OperationWorths(
        "cells",
        {(block, place): 10 * value - number for block, value in kin.items() for number, place in enumerate(POSITIONS)},
        {(block, place): 0.01 for block in kin for place in POSITIONS},
        90, "three operations",
    )  # fmt: skip
    made, _ = validities(alone(worth, noise=0.001), effects=effects)
    (one,) = of_kind(made, "operations")
    assert (one.agreement.things, one.agreement.pairs) == (9, 9)
    assert one.agreement.tau == 1 and one.agreement.interval == (1, 1), (
        "stages themselves are in the other order"
    )
    with pytest.raises(UsageError, match="cells: not all of A, B, C were trained alone here"):
        validities(alone({cell: v for cell, v in worth.items() if cell[0] != "C"}), effects=effects)


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, nas_cache: Path
) -> None:
    monkeypatch.setenv("BLOCKZOO_CACHE", str(nas_cache))
    world = World(0)
    for name, rows in (("alone", alone(world.worth)), ("mixed", in_company(world))):
        write_csv(tmp_path / f"{name}.csv", rows)
    words = ["validity", str(tmp_path / "alone.csv"), "--mixed", str(tmp_path / "mixed.csv")]
    assert main(words) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "Do worths alone hold elsewhere" in printed and "two repetitions of alone would agree at" in printed
    )
    assert "mini: not all of" in printed and "It tells whether" in printed
    assert (
        main([*words, "--benchmark", "none", "--format", "json", "--output", str(tmp_path / "v.json")]) == 0
    )
    rows = json.loads((tmp_path / "v.json").read_text())
    assert [row["kind"] for row in rows] == ["worths in company"] * 3 + ["mixed networks", None]
    assert rows[0]["tau_low"] <= rows[0]["tau_high"] and "published networks" in rows[-1]["why"]
