"""Ranks, probabilities and agreement: by hand, and on simulated tables whose truth is known."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from blockzoo.report.additive import fitted_to, tables_of
from blockzoo.report.pairs import kendall_taus
from blockzoo.report.ranks import Ranked, on_front, rankings

TRUE = [0.60, 0.60, 0.62, 0.64, 0.64, 0.66]


def table(
    draw: np.random.Generator, true: list[float], *, seeds: int = 3, noise: float = 0.01
) -> list[dict[str, Any]]:
    of_seeds = draw.normal(0, 0.02, seeds)
    return [
        {
            "block": f"B{b}", "position": position, "seed": seed, "status": "ok", "comparable": "x", "stage_macs": 100 + b,
            "test_acc": mean + of_seeds[seed] + float(draw.normal(0, noise)),
        }
        for position in ("early", "late") for b, mean in enumerate(true) for seed in range(seeds)
    ]  # fmt: skip


def of(rows: list[dict[str, Any]], position: str = "early", **options: Any) -> dict[str, Ranked]:
    (ranking,) = rankings(rows, **options)
    return {one.block: one for one in ranking.ranked if one.position == position}


def test_clear_differences_have_one_rank_each() -> None:
    rows = table(np.random.default_rng(0), [0.5, 0.6, 0.7, 0.8], noise=0.001)
    ranked = of(rows)
    assert [ranked[f"B{b}"].interval for b in range(4)] == [(4, 4), (3, 3), (2, 2), (1, 1)]
    assert ranked["B3"].best == 1 and ranked["B0"].best == 0
    assert all(one.front == 1 for one in ranked.values())  # each dearer one is better


def test_equal_blocks_can_have_any_rank() -> None:
    ranked = of(table(np.random.default_rng(1), [0.6] * 5))
    assert {one.interval for one in ranked.values()} == {(1, 5)}
    assert sum(one.best or 0 for one in ranked.values()) == pytest.approx(1, abs=1e-9)


def test_a_block_that_lacks_a_lucky_seed_is_not_ranked_by_that() -> None:
    """The better block has the unlucky seeds alone; raw means would put it last."""
    rows = table(np.random.default_rng(3), [0.60, 0.61, 0.62, 0.63], seeds=4, noise=0.0005)
    luck = {0: 0.0, 1: 0.0, 2: 0.2, 3: 0.2}
    rows = [row | {"test_acc": row["test_acc"] + luck[row["seed"]]} for row in rows]
    rows = [row for row in rows if row["block"] != "B3" or row["seed"] < 2]
    ranked = of(rows)
    assert min(ranked.values(), key=lambda one: one.rank).block == "B3"
    assert ranked["B3"].interval == (1, 1) and (ranked["B3"].best or 0) > 0.99


def test_cells_that_share_no_seed_keep_their_means() -> None:
    """Nothing tells the luck of their seeds from the blocks."""
    rows = [row for row in table(np.random.default_rng(4), [0.6, 0.7, 0.8], seeds=6)
            if (row["seed"] < 3) == (row["block"] != "B2")]  # fmt: skip
    ((_, tabled),) = tables_of(rows, "test_acc").items()
    fitted = fitted_to(tabled)
    assert not fitted.luck and fitted.leveled(tabled) == tabled
    whole = table(np.random.default_rng(4), [0.6, 0.7, 0.8])
    ((_, tabled),) = tables_of(whole, "test_acc").items()
    assert fitted_to(tabled).leveled(tabled) is tabled


def test_rank_intervals_hold_the_true_ranks_together() -> None:
    """Of 200 tables, in at least 95 % every block's true ranks (those that ties allow) are within its interval."""
    truth = [(1 + sum(t > own for t in TRUE), sum(t >= own for t in TRUE)) for own in TRUE]
    held = 0
    for seed in range(200):
        (ranking,) = rankings(table(np.random.default_rng(seed), TRUE, noise=0.006))
        held += all(
            one.interval[0] <= truth[int(one.block[1])][0] and truth[int(one.block[1])][1] <= one.interval[1]
            for one in ranking.ranked
        )
    assert held >= 184  # 190 wanted; fewer than 184 have a chance of 1 % at that


def test_a_probability_of_being_best_is_one() -> None:
    """Over many tables, blocks that are said to be best with p are best in about p of them."""
    said, right = [], []
    for seed in range(150):
        draw = np.random.default_rng(seed)
        true = list(draw.normal(0.6, 0.01, 4))
        for one in of(table(draw, true, noise=0.01)).values():
            said.append(one.best or 0.0)
            right.append(true[int(one.block[1])] == max(true))
    said_, right_ = np.array(said), np.array(right)
    for low, high in ((0.02, 0.2), (0.2, 0.5), (0.5, 0.9)):
        there = (said_ >= low) & (said_ < high)
        assert there.sum() > 30 and abs(right_[there].mean() - said_[there].mean()) < 0.14


def test_the_front_by_hand() -> None:
    accuracies = np.array([[0.5, 0.6, 0.55, 0.6], [0.5, 0.5, 0.5, 0.4]])
    costs = np.array([1.0, 2.0, 3.0, 2.0])
    assert on_front(accuracies, costs).tolist() == [[True, True, False, True], [True, False, False, False]]


def test_kendalls_tau_is_the_one_of_a_library() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(2, 20, 7))
    expected = [stats.kendalltau(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert kendall_taus(first, second) == pytest.approx(expected)
    (ranking,) = rankings(table(draw, TRUE, noise=0.001))
    (agreement,) = ranking.agreements
    assert agreement.orders == ("early", "late") and agreement.tau > 0.7 and agreement.interval is not None
    assert agreement.interval[0] <= agreement.tau <= agreement.interval[1] and agreement.things == 6


def test_without_a_cost_or_a_spread_nothing_is_said() -> None:
    rows = table(np.random.default_rng(0), TRUE)
    for row in rows:
        row["stage_macs"] = None
    assert all(one.front is None and one.best is not None for one in of(rows).values())
    single = [row for row in table(np.random.default_rng(0), TRUE) if row["seed"] == 0]
    alone = of([row for row in single if row["position"] == "early"])
    assert all(one.best is None and one.interval == (1, 6) for one in alone.values())
    with pytest.raises(UsageError, match="no two blocks"):
        rankings([row for row in single if row["block"] == "B0"])


def test_a_table_of_ours_on_screen(capsys: pytest.CaptureFixture[str]) -> None:
    source = str(Path(__file__).parents[2] / "docs" / "results" / "cifar10.csv")
    assert main(["results", source, "--ranks"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "early and mid over 10 blocks: tau" in printed and "1 to " in printed
    assert main(["results", source, "--ranks", "--front", "latency_ms", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["front_of"] for row in rows} == {"latency_ms"}
    for _, of_one in itertools.groupby(rows, key=lambda row: row["position"]):
        assert sum(row["p_best"] for row in of_one) == pytest.approx(1, abs=1e-6)
    assert main(["results", source, "--ranks", "--verdicts"]) == 2


def test_any_cost_can_be_set_against_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    source = str(Path(__file__).parents[2] / "docs" / "results" / "cifar10.csv")
    for cost in ("stage_model_bytes", "peak_activation_bytes"):
        assert main(["results", source, "--ranks", "--front", cost, "--format", "json"]) == 0
        assert {row["front_of"] for row in json.loads(capsys.readouterr().out)} == {cost}
    assert main(["results", source, "--ranks", "--front", "throughput"]) == 2
    assert "choose stage_params_total, " in capsys.readouterr().err
