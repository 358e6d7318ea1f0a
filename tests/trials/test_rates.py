"""The learning rate of each block: searched once, by validation images, recorded, and no reason to compare less."""

from __future__ import annotations

import csv
import functools
from typing import Any

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Designing
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.report.comparison import compare
from blockzoo.report.groups import LR_SEARCH, LR_SEARCH_SEED, describe_group, group_of, rates_at_ends
from blockzoo.report.summaries import summarise
from blockzoo.report.tables import tables
from blockzoo.trials.designs import halving, isolated
from blockzoo.trials.rates import with_learning_rates
from blockzoo.trials.sweep import run_sweep
from tests.designing import SMALL, carried_out, networks
from tests.sampled import sampled

BLOCKS = ["ResNetBasicBlock", "GhostBottleneck", "RepMixer", "FasterNetBlock"]
RATES = (0.05, 0.2, 0.8)
BEST = dict(zip(BLOCKS, (0.2, 0.8, 0.05, 0.2), strict=True))
PLACE = {rate: place for place, rate in enumerate((0.003125, 0.0125, *RATES, 3.2, 12.8))}
"""Of a rate among all that a search can come to."""


def accuracy(network: NetworkSpec, seed: int, lr: float | None) -> float:
    return 0.5 - abs(PLACE[lr or 0.2] - PLACE[BEST[network.parsed.label]]) / 100 + seed / 1e5


def test_each_block_has_its_best_rate_at_all_positions(caplog: pytest.LogCaptureFixture) -> None:
    given = networks(BLOCKS, "early", "mid", "late")
    design = functools.partial(isolated, given, [0, 1], Designing())
    made, rows = carried_out(with_learning_rates(given, RATES, design), accuracy)
    assert "theirs may lie further" not in caplog.text
    assert [len(one.trainings) for one in made] == [4, 4, 4, 2, 24]
    assert [one.name for one in made] == [LR_SEARCH] * 4 + [""]
    assert {(t.network.parsed.label, t.lr) for t in made[3].trainings} == {
        ("GhostBottleneck", 3.2),
        ("RepMixer", 0.0125),
    }
    assert {t.network.parsed.position for one in made[:4] for t in one.trainings} == {"mid"}
    assert {t.seed for one in made[:4] for t in one.trainings} == {LR_SEARCH_SEED}
    assert all(
        t.lr == BEST[t.network.parsed.label] and t.lr_among == "0.05 0.2 0.8" for t in made[-1].trainings
    )
    assert len(rows) == 38
    assert ["not counted yet, up to 2 more" in one.why for one in made] == [False, False, True, False, False]


@pytest.mark.parametrize(
    "best, tried, is_last",
    [(3.2, (3.2, 12.8), False), (12.8, (3.2, 12.8), True), (0.0125, (0.0125, 0.003125), False)],
)
def test_a_search_goes_on_beyond_its_end(
    best: float, tried: tuple[float, ...], is_last: bool, caplog
) -> None:
    given = networks(["RepMixer"], "mid")

    def there(network: NetworkSpec, seed: int, lr: float | None) -> float:
        return 0.5 - abs(PLACE[lr or 0.2] - PLACE[best]) / 100

    made, _ = carried_out(
        with_learning_rates(given, RATES, functools.partial(isolated, given, [0], Designing())), there
    )
    assert [t.lr for one in made for t in one.trainings] == [*RATES, *tried, best]
    assert ("the last searched for 1 of 1 blocks (12.8)" in caplog.text) == is_last


def test_rates_of_many_digits_are_recorded_as_they_were_given(caplog: pytest.LogCaptureFixture) -> None:
    rates, given = (0.12345678, 0.98765432), networks(BLOCKS[:1], "mid")
    design = functools.partial(isolated, given, [0], Designing())
    made, _ = carried_out(with_learning_rates(given, rates, design), lambda n, s, lr: (lr or 0.2) / 100)
    (training,) = made[-1].trainings
    among = [float(rate) for rate in (training.lr_among or "").split()]
    assert tuple(among) == rates and training.lr is not None
    assert rates_at_ends([training.lr], among) in caplog.text and "is the last searched" in caplog.text


def test_without_mid_the_first_position_is_searched_and_budgets_apart() -> None:
    given = networks(BLOCKS, "late", "early")
    budgets = [
        NetworkSpec(n.subject, budget=f"iso-macs {b}", budget_ratio=1.0) for b in (1, 2) for n in given
    ]
    made, _ = carried_out(
        with_learning_rates(budgets, RATES, functools.partial(isolated, budgets, [0], Designing())), accuracy
    )
    assert len(made[0].trainings) == 8 and {t.network.parsed.position for t in made[0].trainings} == {"early"}
    assert {t.network.budget for t in made[0].trainings} == {"iso-macs 1", "iso-macs 2"}


def test_the_rounds_of_a_design_see_none_of_the_search() -> None:
    given = networks(BLOCKS, "mid")
    design = functools.partial(halving, given, [0], Designing(design="halving", survivors=2))
    made, _ = carried_out(with_learning_rates(given, RATES, design), accuracy)
    assert [len(one.trainings) for one in made] == [4, 4, 4, 2, 4, 2]
    assert all(t.lr_among for one in made[4:] for t in one.trainings)


def test_a_block_of_which_nothing_came_to_a_result_is_trained_all_the_same() -> None:
    given = networks(BLOCKS, "mid")

    def failing(network: NetworkSpec, seed: int, lr: float | None) -> float:
        return float("nan") if network.parsed.label == "RepMixer" else accuracy(network, seed, lr)

    made, _ = carried_out(
        with_learning_rates(given, RATES, functools.partial(isolated, given, [0], Designing())), failing
    )
    assert {t.network.parsed.label: t.lr for t in made[-1].trainings}["RepMixer"] == RATES[0]


def test_trials_with_chosen_rates_are_comparable_and_others_are_not() -> None:
    network = NetworkSpec("RepMixer/mid")
    chosen = [TrialSpec(network, lr=lr, lr_among="0.05 0.2 0.8") for lr in RATES]
    assert (
        len({spec.comparable() for spec in chosen}) == 1 and len({spec.fingerprint() for spec in chosen}) == 3
    )
    given = [TrialSpec(network, lr=lr) for lr in RATES]
    assert len({spec.comparable() for spec in (*given, chosen[0])}) == 4


def of_table() -> list[dict[str, Any]]:
    made = []
    for block in BLOCKS:
        for seed in (0, 1, 2, LR_SEARCH_SEED):
            searched = seed == LR_SEARCH_SEED
            made.append({
                "block": block, "position": "mid", "seed": seed, "status": "ok", "comparable": "x" if not searched else "y",
                "lr": BEST[block], "lr_among": None if searched else "0.05 0.2 0.8", "test_acc": 0.5 + seed / 1000,
                "val_acc": 0.5, "experiment_name": f"mine, {LR_SEARCH}" if searched else "mine", "num_blocks": 3,
            })  # fmt: skip
    return made


def test_tables_and_verdicts_leave_the_search_out_and_say_the_rates() -> None:
    rows = of_table()
    assert {s.accuracies["test_acc"].n for s in summarise(rows)} == {3}
    (made,) = tables(rows)
    title, told = made.title, made.caption
    assert "each block's best lr, from 0.05 0.2 0.8" in title and "lr 0.05: RepMixer" in told
    assert (
        "lr 0.2: FasterNetBlock, ResNetBasicBlock" in told
        and "4 that chose learning rates" in told
        and "lie further" not in told
    )
    (last,) = tables([row | {"lr": 12.8} if row["block"] == "RepMixer" else row for row in rows])
    assert "the last searched for 1 of 4 blocks (12.8): theirs may lie further" in last.caption
    given = [row | {"lr_among": None, "lr": 12.8} for row in rows]
    assert not any("lie further" in one.caption for one in tables(given))
    (comparison,) = compare(rows, "RepMixer", "FasterNetBlock")
    assert all(len(difference.seeds) == 3 for difference in comparison.differences)
    assert "lr 0.2" not in describe_group(group_of(rows[0]))
    named_so = [row | {"seed": 3, "experiment_name": LR_SEARCH} for row in rows[:1]]  # a user's own name
    assert len(summarise(named_so)) == 1


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"learning_rates": (0.2,)}, "two or more"),
        ({"learning_rates": (0.2, 0.2)}, "two or more"),
        ({"learning_rates": (0.1, 0.2), "lr": 0.4}, "give one of them"),
        ({"learning_rates": (0.1, 0.2), "design": "crossed"}, "crossed"),
        ({"learning_rates": (-0.1, 0.2)}, "learning_rates"),
    ],
)
def test_what_is_no_search_is_refused(tmp_path, settings, word) -> None:
    with pytest.raises(UsageError, match=word):
        run_sweep(BLOCKS, output=tmp_path, **SMALL | settings)


def test_a_seed_that_the_search_has_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match=str(LR_SEARCH_SEED)):
        run_sweep(BLOCKS, "mid", [LR_SEARCH_SEED], output=tmp_path, learning_rates=(0.1, 0.2), **SMALL)


@pytest.mark.slow
def test_a_sweep_searches_records_and_goes_on(tmp_path) -> None:
    def swept() -> Any:
        return run_sweep(
            ["RepMixer", "FasterNetBlock"], "mid", 1, output=tmp_path, learning_rates=(0.05, 0.4), **SMALL
        )

    done = swept()
    of_the_search = [r["lr"] for r in done.rows if r["seed"] == LR_SEARCH_SEED]
    assert len(of_the_search) in (6, 7, 8)  # of two rates the best is at an end
    assert len(done.rows) == len(of_the_search) + 2
    assert all(r["status"] == "ok" for r in done.rows)
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    of_search = {(r["block"], r["lr"]): r for r in rows if r["seed"] == str(LR_SEARCH_SEED)}
    for r in rows:
        if r["lr_among"]:
            of_block = {
                lr: float(o["val_acc"]) for (block, lr), o in of_search.items() if block == r["block"]
            }
            assert len(of_block) in (3, 4) and of_block[r["lr"]] == max(of_block.values())
    again = swept()
    assert [r["fingerprint"] for r in again.rows] == [r["fingerprint"] for r in done.rows]
    assert [r["timestamp"] for r in again.rows] == [r["timestamp"] for r in done.rows]


@pytest.mark.parametrize(
    ("settings", "trainings"),
    sampled(
        [
            ({"learning_rates": (0.05, 0.2, 0.8)}, 3 * 4 + 4 * 3 * 2),
            ({"design": "halving", "survivors": 1}, 4 * 3 + 2 * 3 + 1 * 3 * 2),
            ({"design": "isolated", "precision": 1.0}, 4 * 3 * 2),
        ],
        1,
        unpacked=True,
    ),
)
def test_a_dry_run_knows_the_trainings_of_all_rounds(tmp_path, settings, trainings) -> None:
    plan = run_sweep(BLOCKS, "all", 2, dry_run=True, output=tmp_path / "results", **SMALL, **settings).plan
    assert len(plan.trials) == trainings


@pytest.mark.slow
def test_a_dry_run_of_a_crossed_design_knows_what_comes_before_its_model(tmp_path) -> None:
    given = {"design": "crossed", "replicates": 3, "repeats": 1, "follow": 3}
    plan = run_sweep([*BLOCKS, "RepVGGBlock"], "all", 1, dry_run=True, output=tmp_path, **SMALL, **given).plan
    assert len(plan.trials) == 5 * 3 + 5
