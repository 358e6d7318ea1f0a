"""Designs that go on by what came out, driven with simulated rows; and one sweep of each that really trains."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from blockzoo.core.settings import Designing
from blockzoo.core.spec import NetworkSpec
from blockzoo.report.comparison import compare, verdicts
from blockzoo.report.crossed import crossed_models
from blockzoo.report.groups import FOLLOW_UP
from blockzoo.report.summaries import summarise, usable
from blockzoo.report.tables import results_table
from blockzoo.sweep import run_sweep
from blockzoo.trials.designs import FRESH, MOST_SEEDS, halving, in_company, isolated
from tests.designing import SMALL, carried_out, networks, row

BLOCKS = [
    "ResNetBasicBlock",
    "GhostBottleneck",
    "InvertedResidual",
    "RepMixer",
    "MobileOneBlock",
    "FasterNetBlock",
]


def test_without_a_precision_there_is_one_round() -> None:
    made, _ = carried_out(isolated(networks(BLOCKS), [0, 1], Designing()), lambda n, s: 0.5)
    assert len(made) == 1 and len(made[0].trainings) == 12 and made[0].trainings[0].seed == 0


def test_seeds_are_added_where_a_verdict_is_open() -> None:
    """One block differs by a tenth, which three seeds show beyond doubt; another hardly, and needs many."""
    draw = np.random.default_rng(0)
    worth = {"InvertedResidual": 0.1}

    def accuracy(network: NetworkSpec, seed: int) -> float:
        return 0.6 + worth.get(network.parsed.label, 0.0) + float(draw.normal(0, 0.01))

    blocks = ["ResNetBasicBlock", "GhostBottleneck", "InvertedResidual"]
    made, rows = carried_out(isolated(networks(blocks), [0, 1, 2], Designing(precision=0.8)), accuracy)
    seeds = Counter(r["block"] for r in rows)
    assert seeds["GhostBottleneck"] == seeds["ResNetBasicBlock"] > 8 and seeds["InvertedResidual"] < 6
    (comparison,) = compare(rows, "GhostBottleneck", "ResNetBasicBlock")
    low, high = comparison.differences[0].interval or (0.0, 1.0)
    assert (high - low) / 2 <= 0.008
    assert all(len(set(t)) == len(t) for t in (one.trainings for one in made)) and "more" in made[1].why
    keys = [(r["block"], r["seed"]) for r in rows]
    assert len(keys) == len(set(keys))


def test_all_pairs_where_the_reference_is_not_there() -> None:
    draw = np.random.default_rng(0)
    made, rows = carried_out(
        isolated(networks(BLOCKS[1:4]), [0, 1, 2], Designing(precision=1.5)),
        lambda n, s: 0.6 + float(draw.normal(0, 0.01)),
    )
    assert len(made) > 1 and min(Counter(r["block"] for r in rows).values()) > 3
    (comparison,) = verdicts(rows)
    assert len(comparison.differences) == 3
    for difference in comparison.differences:
        low, high = difference.interval or (0.0, 1.0)
        assert (high - low) / 2 <= 0.015


def test_no_round_begins_after_the_hours() -> None:
    draw = np.random.default_rng(0)
    made, _ = carried_out(
        isolated(networks(BLOCKS[:2]), [0, 1], Designing(precision=0.01, hours=1e-9)),
        lambda n, s: float(draw.normal(0.6, 0.01)),
    )
    assert len(made) == 1


def test_a_round_that_would_end_after_the_hours_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each training takes 100 s and starting took 50 s: of 1,000 s, two rounds of four and one of two fit, and no other."""
    clock = SimpleNamespace(now=50.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr("blockzoo.trials.designs.time", clock)
    monkeypatch.setattr("blockzoo.measure.deadline.time", clock)
    monkeypatch.setattr("blockzoo.measure.deadline.began", lambda: 0.0)
    draw = np.random.default_rng(0)

    def accuracy(network: NetworkSpec, seed: int) -> float:
        clock.now += 100
        return float(draw.normal(0.6, 0.01))

    made, _ = carried_out(
        isolated(networks(BLOCKS[:2]), [0, 1], Designing(precision=0.01, hours=1000 / 3600)), accuracy
    )
    sizes = [len(one.trainings) for one in made]
    assert clock.now <= 1000 < clock.now + 100 * sizes[-1], sizes
    assert "trainings more would not be done" in caplog.text


@pytest.mark.parametrize("value", [0.1, 1.0])
def test_what_is_the_same_in_each_seed_asks_for_no_more(
    value: float, caplog: pytest.LogCaptureFixture
) -> None:
    """All at chance, or all without a fault: no seed will tell."""
    blocks = [*BLOCKS[:2], "RepMixer"]
    made, rows = carried_out(isolated(networks(blocks), [0, 1], Designing(precision=1.0)), lambda n, s: value)
    assert [len(one.trainings) for one in made] == [6, 3] and len(rows) == 9
    assert (
        "that are the same in each of 3 seeds or more: GhostBottleneck and ResNetBasicBlock at mid"
        in caplog.text
    )


def test_verdicts_that_the_largest_number_of_seeds_leaves_open_are_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    draw = np.random.default_rng(0)
    made, _ = carried_out(
        isolated(networks(BLOCKS[:2]), [0, 1], Designing(precision=0.001)),
        lambda n, s: float(draw.normal(0.6, 0.01)),
    )
    assert len(made) == MOST_SEEDS - 1
    assert f"open after {MOST_SEEDS} seeds: GhostBottleneck and ResNetBasicBlock at mid" in caplog.text


def test_looking_after_each_seed_finds_nothing_where_nothing_is() -> None:
    """Of 100 sweeps of two equal blocks that add seeds until 0.7 points, hardly more than 5 end with a difference."""
    wrong = 0
    for seed in range(100):
        draw = np.random.default_rng(seed)
        _, rows = carried_out(
            isolated(networks(BLOCKS[:2]), [0, 1, 2], Designing(precision=0.7)),
            lambda n, s, draw=draw: float(draw.normal(0.6, 0.01)),  # type: ignore[misc]
        )
        (comparison,) = compare(rows, BLOCKS[1], BLOCKS[0])
        wrong += comparison.differences[0].verdict in ("better", "worse")
    assert wrong <= 11  # 5 wanted; 11 or more have a chance of 1 % at that


def test_halving_keeps_the_better_and_judges_them_by_fresh_seeds() -> None:
    worth = {block: place / 100 for place, block in enumerate(BLOCKS)}
    made, _ = carried_out(
        halving(networks(BLOCKS, "early", "late"), [0, 1, 2], Designing(design="halving", survivors=2)),
        lambda n, s: 0.5 + worth[n.parsed.label],
    )
    assert [len(one.trainings) for one in made] == [12, 6, 2 * 2 * 3]
    assert {t.network.parsed.label for t in made[-1].trainings} == {"MobileOneBlock", "FasterNetBlock"}
    assert {t.seed for t in made[-1].trainings} == {FRESH, FRESH + 1, FRESH + 2}
    assert [one.name for one in made] == ["halving, round 1", "halving, round 2", "halving, final"]


def test_what_halving_says_of_survivors_is_not_better_than_they_are() -> None:
    """Of equal blocks the luckiest survive: their rounds say too much, their fresh seeds do not."""
    chosen, fresh = [], []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        _, rows = carried_out(
            halving(networks(BLOCKS), [0, 1, 2], Designing(design="halving", survivors=1)),
            lambda n, s, draw=draw: float(draw.normal(0.6, 0.01)),  # type: ignore[misc]
        )
        end = [r for r in rows if r["experiment_name"] == "halving, final"]
        fresh.append(np.mean([r["test_acc"] for r in end]))
        own = [r["val_acc"] for r in rows if r["block"] == end[0]["block"] and r["seed"] < FRESH]
        chosen.append(np.mean(own))
    assert np.mean(chosen) > 0.603 and abs(np.mean(fresh) - 0.6) < 0.003


def test_no_table_takes_the_rounds_that_survivors_were_chosen_in() -> None:
    """Of equal blocks the survivors' luck would be in their means; it is in none, and what is left out is said."""
    designing, chances = Designing(design="halving", survivors=2), []
    for seed in range(30):
        draw = np.random.default_rng(seed)
        made, rows = carried_out(
            halving(networks(BLOCKS), [0, 1, 2], designing),
            lambda n, s, draw=draw: float(draw.normal(0.6, 0.01)),  # type: ignore[misc]
        )
        chances += [r["test_acc"] for r in usable(rows)]
    final = {t.network.parsed.label for t in made[-1].trainings}
    assert {r["block"] for r in usable(rows)} == final and len(usable(rows)) == 6 < len(rows)
    assert {s.block for s in summarise(rows)} == final and {
        s.accuracies["test_acc"].n for s in summarise(rows)
    } == {3}
    with pytest.raises(UsageError, match="no group"):
        compare(rows, *[b for b in BLOCKS if b not in final][:2])
    (comparison,) = verdicts(rows)
    assert [len(d.seeds) for d in comparison.differences] == [3]
    (table,) = results_table(rows)
    assert (
        f"{sum(len(one.trainings) for one in made[:-1])} that chose blocks, round by round" in table.caption
    )
    assert abs(np.mean(chances) - 0.6) < 0.002
    named = [r | {"experiment_name": f"mine, {r['experiment_name']}"} for r in rows]
    assert [r["seed"] for r in usable(named)] == [r["seed"] for r in usable(rows)]
    assert not {t.seed for one in made[:-1] for t in one.trainings} & set(range(100)), (
        "those of other designs"
    )


def test_a_block_without_a_result_does_not_survive() -> None:
    rounds = halving(networks(BLOCKS), [0], Designing(design="halving", survivors=2))
    first = next(rounds)
    rows = [row(t.network, t.seed, 0.5, "") for t in first.trainings]
    rows[0] |= {"status": "failed", "val_acc": None}
    second = rounds.send(rows)
    assert BLOCKS[0] not in {t.network.parsed.label for t in second.trainings}


def test_a_crossed_design_follows_its_predictions_up() -> None:
    draw = np.random.default_rng(0)
    worth = {(b, p): draw.normal(0, 0.05) for b in BLOCKS for p in range(3)}

    def accuracy(network: NetworkSpec, seed: int) -> float:
        own = sum(worth[s.label, p] for p, s in enumerate(network.parsed.stages))
        return 0.5 + float(own + draw.normal(0, 0.005))

    designing = Designing(design="crossed", replicates=3, repeats=1, follow=3)
    made, rows = carried_out(in_company(NetworkSpec(), BLOCKS, designing), accuracy)
    assert [len(one.trainings) for one in made] == [24, 6] and made[1].name == FOLLOW_UP
    subjects = [t.network.subject for t in made[1].trainings]
    assert not set(subjects) & {t.network.subject for t in made[0].trainings} and len(set(subjects)) == 6
    (model,) = crossed_models(rows)
    seen = [t.accuracy for t in model.tested]
    assert np.mean(seen[:3]) > np.mean(seen[3:]) + 0.02
    every = sorted(
        sum(worth[b, p] for p, b in enumerate((x, y, z))) for x in BLOCKS for y in BLOCKS for z in BLOCKS
    )
    assert np.mean(seen[:3]) - 0.5 > every[-20]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"design": "crossed", "survivors": 2}, "survivors is of halving: not of --design crossed"),
        ({"replicates": 3}, "replicates is of crossed: not of --design isolated"),
        ({"design": "halving", "precision": 1.0}, "precision is of isolated: not of --design halving"),
        ({"hours": 1.0}, "--precision"),
        ({"precision": 1.0}, "--seeds 2"),
        ({"design": "crossed", "track": "iso-macs"}, "leave out --track"),
        ({"design": "crossed", "filler": "identity"}, "no filler"),
        ({"design": "crossed", "seeds": 3}, "--replicates"),
        ({"design": "crossed", "positions": ["mid"]}, "leave out --positions"),
        ({"design": "crossed", "replicates": 9}, "ask for 5 or fewer"),
        ({"design": "crossed", "replicates": 2}, "--replicates 3 --repeats 1"),
        ({"design": "crossed", "blocks": BLOCKS[:3], "replicates": 1}, "4 or more"),
        ({"design": "crossed", "blocks": ["model:resnet20", *BLOCKS]}, "not of whole networks"),
        ({"design": "latin"}, "isolated"),
    ],
)
def test_what_does_not_go_together(asked: dict[str, Any], said: str, tmp_path: Path) -> None:
    options = {"blocks": BLOCKS, "positions": "all", "output": tmp_path, **SMALL} | asked
    with pytest.raises(UsageError, match=said):
        run_sweep(**options)


@pytest.mark.slow
def test_a_crossed_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run_sweep(BLOCKS[:4], design="crossed", replicates=3, follow=1, output=tmp_path, **SMALL)
    assert len(done.rows) == 18 and {r["status"] for r in done.rows} == {"ok"}
    assert (
        run_sweep(BLOCKS[:4], design="crossed", replicates=3, follow=1, output=tmp_path, **SMALL).rows
        == done.rows
    )
    assert main(["results", str(tmp_path), "--worths"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "Question: how much more accurate are networks with this block" in printed
        and "16 trainings" in printed
    )


@pytest.mark.slow
def test_a_sweep_by_halves(tmp_path: Path) -> None:
    named: dict[str, Any] = {"experiment_name": "mine", **SMALL}
    done = run_sweep(BLOCKS[:4], "mid", 2, design="halving", survivors=2, output=tmp_path, **named)
    names = Counter(r["experiment_name"] for r in done.rows)
    assert names == {"mine, halving, round 1": 4, "mine, halving, final": 4}
