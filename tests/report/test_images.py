"""Two blocks on single test images: against libraries, and on simulated trainings whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from blockzoo.cli import main
from blockzoo.core.outcomes import Outcomes
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.report.images import bca, mcnemar, over_images


def trainings(
    draw: np.random.Generator, *, seeds: int, images: int, better: float = 0.0, of_seeds: float = 0.0
) -> list[dict[object, Outcomes]]:
    """Two blocks: an image has its own chance with each block, a seed moves all of a block's."""
    easy = draw.normal(0.8, 1.2, images)
    made = []
    for block in range(2):
        own = easy + draw.normal(0, 0.8, images) + (better if block == 0 else 0.0)
        of = {}
        for seed in range(seeds):
            chance = 1 / (1 + np.exp(-(own + draw.normal(0, of_seeds))))
            of[seed] = Outcomes(draw.random(images) < chance, -np.log(chance))
        made.append(of)
    return made


def test_counts_and_mcnemar_by_hand() -> None:
    first = Outcomes(np.array([1, 1, 1, 1, 0, 0], bool), np.ones(6))
    second = Outcomes(np.array([1, 0, 0, 0, 1, 0], bool), np.ones(6))
    made = over_images({0: first}, {0: second, 1: second})
    assert made is not None and (made.images, made.seeds) == (6, 1)
    assert (made.only_first, made.only_second, made.agreement) == (3, 1, pytest.approx(2 / 6))
    assert made.mcnemar == (pytest.approx(stats.binomtest(1, 4).pvalue),)
    assert made.chance is None and made.loss == (0.0, (0.0, 0.0))


@pytest.mark.parametrize("counts", [(0, 0), (3, 3), (0, 9), (17, 4), (240, 300)])
def test_mcnemar_is_the_binomial_test(counts: tuple[int, int]) -> None:
    expected = stats.binomtest(counts[0], sum(counts)).pvalue if sum(counts) else 1.0
    assert mcnemar(*counts) == pytest.approx(expected)


def test_the_bootstrap_is_the_one_of_a_library() -> None:
    """Over images alone, of a skewed quantity; scipy draws other resamples."""
    values = np.random.default_rng(0).exponential(1, (1, 400)) ** 2
    low, high = bca(values, of_seeds=False)
    own = stats.bootstrap((values[0],), np.mean, n_resamples=20_000, method="BCa", random_state=1)
    expected = own.confidence_interval
    width = expected.high - expected.low
    assert abs(low - expected.low) < 0.06 * width and abs(high - expected.high) < 0.06 * width


def test_equal_outcomes_have_an_interval_of_nothing() -> None:
    one = trainings(np.random.default_rng(0), seeds=3, images=50)[0]
    same = over_images(one, one)
    assert (
        same is not None and same.accuracy == (0.0, 0.0) and same.agreement == 1 and same.mcnemar == (1, 1, 1)
    )
    assert same.over_both(0.0, 0.0, 2) == (0.0, 0.0)


def test_nothing_in_common() -> None:
    first, second = trainings(np.random.default_rng(0), seeds=2, images=20)
    assert over_images(first, {}) is None and over_images({5: first[0]}, second) is None
    other = trainings(np.random.default_rng(0), seeds=2, images=21)[1]
    assert over_images(first, other) is None


def covered(of_seeds: float, seeds: int, *, tables: int = 100, images: int = 500) -> dict[str, float]:
    """How often the truth, over all images and trainings that could be, is in the intervals."""
    draw, within = np.random.default_rng(seeds), {"images": 0, "both": 0}
    truth = 0.0  # the blocks are alike but for what an image has of its own with each
    for _ in range(tables):
        first, second = trainings(draw, seeds=seeds, images=images, of_seeds=of_seeds)
        made = over_images(first, second)
        assert made is not None
        differences = np.array([first[s].hits.mean() - second[s].hits.mean() for s in first])
        error = float(differences.std(ddof=1) / np.sqrt(seeds))
        low, high = made.over_both(float(differences.mean()), error, seeds - 1)
        within["both"] += low <= truth <= high
        within["images"] += made.accuracy[0] <= truth <= made.accuracy[1]
    return {name: count / tables for name, count in within.items()}


@pytest.mark.slow
def test_intervals_over_images_hold_the_truth_where_seeds_do_not_differ() -> None:
    held = covered(0.0, 3)
    assert 0.9 <= held["images"] <= 0.99 and held["both"] >= 0.88


@pytest.mark.slow
def test_where_trainings_differ_images_alone_are_not_enough() -> None:
    """An interval over images is of these trainings alone: the one over both holds the truth, that one does not."""
    held = covered(0.4, 3)
    assert held["both"] >= 0.88 and held["images"] < 0.75


@pytest.mark.slow
def test_with_six_seeds_the_bootstrap_draws_them_too() -> None:
    assert covered(0.3, 8, tables=100)["images"] >= 0.87


def test_the_spread_of_chance_is_that_of_independent_errors() -> None:
    """Simulated trainings whose errors are independent spread as it says; ones that move together spread more."""
    first, second = trainings(np.random.default_rng(0), seeds=60, images=800)
    made = over_images(first, second)
    seen = np.std([first[s].hits.mean() for s in first], ddof=1)
    assert made is not None and made.chance == pytest.approx(seen, rel=0.25)
    together, other = trainings(np.random.default_rng(0), seeds=60, images=800, of_seeds=0.5)
    moved = over_images(together, other)
    assert moved is not None and moved.chance is not None
    assert np.std([together[s].hits.mean() for s in together]) > 3 * moved.chance


def stored(folder: Path, *, images: bool) -> Path:
    """A store with two blocks of three seeds."""
    store = Store(folder / "results.sqlite")
    of = trainings(np.random.default_rng(3), seeds=3, images=200, better=0.8)
    for block, by_seed in zip(("GhostBottleneck", "RepMixer"), of, strict=True):
        for seed, outcomes in by_seed.items():
            spec = TrialSpec(NetworkSpec(f"{block}/mid"), seed=int(str(seed)))
            record = Record("trial", spec.fingerprint(), f"{block}/mid", spec.to_json())
            record.values = {"test_acc": float(outcomes.hits.mean()), "val_acc": 0.5}
            record.outcomes = outcomes.to_texts() if images else {}
            store.add(record)
    return folder


def test_compare_prints_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["GhostBottleneck", "RepMixer"]
    assert main(["compare", *names, "--results", str(stored(tmp_path, images=True))]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "image by image: GhostBottleneck against RepMixer, 200 test images" in printed
    assert main(["compare", *names, "--results", str(tmp_path), "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (
        row["images"] == 200
        and row["both_low"] <= row["images_low"] + 0.02 < row["difference"] < row["both_high"]
    )
    assert row["mcnemar_p"] and all(0 < p <= 1 for p in row["mcnemar_p"])
    assert row["only_block"] - row["only_other"] == pytest.approx(200 * row["difference"], abs=1e-6)


def test_without_outcomes_there_is_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[Any] = [
        "compare",
        "GhostBottleneck",
        "RepMixer",
        "--results",
        str(stored(tmp_path, images=False)),
    ]
    assert main(asked) == 0
    assert "image by image" not in capsys.readouterr().out
