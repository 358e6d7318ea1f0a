"""The benchmarks of recipes: their intervals hold what they say, a stacked training is the single ones, their small forms run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import protocols, seeds
from blockzoo.report.additive import Table, fitted_to

BLOCKS, SEEDS = 6, 10


def table(chance: np.random.Generator, worths: np.ndarray, deviation: float) -> np.ndarray:
    """Worth of the block, luck of the seed, and noise."""
    luck = chance.normal(0, 0.01, (1, SEEDS))
    return 0.5 + worths[:, None] + luck + chance.normal(0, deviation, (len(worths), SEEDS))


def test_a_spread_is_that_of_the_additive_model() -> None:
    values = table(np.random.default_rng(0), np.linspace(0, 0.05, BLOCKS), 0.01)
    spread = protocols.spread_of(values)
    fitted = fitted_to(
        Table({(str(b), "mid"): dict(enumerate(row)) for b, row in enumerate(values.tolist())})
    )
    assert spread.variance == pytest.approx((fitted.deviation or 0) ** 2) and spread.degrees == fitted.degrees
    assert spread.worths == pytest.approx(np.var(values.mean(1), ddof=1) - spread.variance / SEEDS)
    flat = protocols.spread_of(table(np.random.default_rng(1), np.zeros(BLOCKS), 0.01))
    assert flat.worths < 1e-5
    low, high = protocols.cost_ratio(flat, flat, 1.0)[1]
    assert (low, high) == (0.0, np.inf), "where no block is worth more than another, nothing is known"


def test_intervals_hold_the_truth_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """400 simulated pairs of tables with known variances and worths; 95 % are 380, and 6 of 10,000 such counts are below 363."""
    monkeypatch.setattr(protocols, "DRAWS", 500)
    worths, chance = np.linspace(-1, 1, BLOCKS), np.random.default_rng(2)
    worths *= 0.02 / np.std(worths, ddof=1)
    held = {protocols.variance_ratio: 0, protocols.cost_ratio: 0}
    for _ in range(400):
        of, base = (protocols.spread_of(table(chance, worths * w, s)) for w, s in ((0.8, 0.007), (1.0, 0.01)))
        for ratio, truth in (
            (protocols.variance_ratio, 1.5 * 0.49),
            (protocols.cost_ratio, 1.5 * 0.49 / 0.64),
        ):
            low, high = ratio(of, base, 1.5)[1]
            held[ratio] += low <= truth <= high
    assert all(count >= 363 for count in held.values()), held
    assert held[protocols.variance_ratio] < 400


def test_candidates_are_known_settings_and_go_together() -> None:
    from blockzoo.core.checked import settings_of
    from blockzoo.core.settings import Recipe

    together = protocols.settings_of("+".join(protocols.CANDIDATES))
    assert set(together) <= set(settings_of(Recipe)) and len(together) == len(protocols.CANDIDATES)
    assert protocols.settings_of("fast-v1") == {}
    with pytest.raises(SystemExit, match="no candidate 'emma'"):
        protocols.settings_of("flip+emma")


@pytest.mark.parametrize("block", ["ResNetBasicBlock", "InvertedResidual"])
def test_a_stacked_training_is_the_single_ones(block: str) -> None:
    assert seeds.difference(block, 4, 2, side=8) < seeds.ALLOWED


def test_the_comparison_sees_a_wrong_statistic(monkeypatch: pytest.MonkeyPatch) -> None:
    real = seeds.Stacked.step

    def step(self: seeds.Stacked, *batch: object) -> object:
        losses = real(self, *batch)  # type: ignore[arg-type]
        next(value for name, value in self.buffers.items() if "running_var" in name)[1] *= 1.001
        return losses

    monkeypatch.setattr(seeds.Stacked, "step", step)
    assert seeds.difference("ResNetBasicBlock", 4, 2, side=8) > 1e-4


@pytest.mark.slow
def test_one_training_serves_the_candidates_that_change_only_the_test(tmp_path: Path) -> None:
    """To the last bit what sweeps of `fast-v1` and of averaged weights come to, which train anew."""
    options = argparse.Namespace(
        blocks=["ResNetBasicBlock", "MobileOneBlock"], position="late", seeds=2, first_seed=3, dataset="digits",
        limit_train=128, limit_val=64, limit_test=100, base_channels=4, workers=1, output=tmp_path,
    )  # fmt: skip
    base = {"epochs": 2, "batch_size": 32, "lr": 0.1}
    together = protocols.tables_together(options, ["fast-v1", "ema"], base)
    for name, recipe in (("fast-v1", {}), ("ema", protocols.CANDIDATES["ema"])):
        np.testing.assert_array_equal(together[name], protocols.table_of(options, name, 2, **base, **recipe))
    assert not np.array_equal(together["fast-v1"], together["ema"])
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "together").iterdir()}
    again = protocols.tables_together(options, ["ema"], base)
    np.testing.assert_array_equal(again["ema"], together["ema"])
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / "together").iterdir()}


@pytest.mark.slow
def test_their_small_forms_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = "--blocks ResNetBasicBlock RepVGGBlock --base-channels 4"
    small = "--dataset digits --seeds 2 --epochs 1 --limit-train 128 --limit-val 64 --limit-test 64 --rounds 1 --timed-blocks 1"
    words = (
        f"protocols.py {few} {small} --candidates ema+progressive --published-seeds 1 --published-epochs 1"
    )
    monkeypatch.setattr(sys, "argv", [*words.split(), "--output", str(tmp_path)])
    for _ in range(2):  # the second time nothing is trained
        protocols.main()
        said = capsys.readouterr().out
        assert "ema+progressive" in said and "A/A" in said and "tau: with published-v1, 1 epochs" in said
    monkeypatch.setattr(
        sys,
        "argv",
        "seeds.py --blocks RepVGGBlock --base-channels 4 --batch-size 8 --steps 1 --rounds 1".split(),
    )
    seeds.main()
    said = capsys.readouterr().out
    assert all(way in said for way in ("stacked", "two processes", "A/A"))
