"""Worths in company: against a library's regression, and on simulated designs whose truth is known."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from blockzoo.core.errors import UsageError
from blockzoo.report.crossed import ENOUGH, Crossed, crossed_models
from blockzoo.report.effects_fit import Design
from blockzoo.report.worths import worth_rows, worth_tables
from blockzoo.trials.designs import crossed
from tests.documented import ROOT

BLOCKS = [f"B{i:02d}" for i in range(9)]


class World:
    """A block has its worth at each position; two neighbours may do something of their own together."""

    def __init__(self, seed: int, *, together: float = 0.0, noise: float = 0.01) -> None:
        draw = np.random.default_rng(seed)
        self.draw, self.noise = draw, noise
        self.worth = {(b, p): draw.normal(0, 0.03) for b in BLOCKS for p in range(3)}
        self.pairs = {(p, a, b): draw.normal(0, together) for p in range(2) for a in BLOCKS for b in BLOCKS}
        self.of_seeds = draw.normal(0, 0.02, 99)

    def accuracy(self, subject: str, seed: int) -> float:
        network = subject.partition(":")[2].split(",")
        own = sum(self.worth[b, p] for p, b in enumerate(network))
        pairs = sum(self.pairs[p, network[p], network[p + 1]] for p in range(2))
        return float(0.6 + own + pairs + self.of_seeds[seed] + self.draw.normal(0, self.noise))

    def rows(self, replicates: int = 5, repeats: int = 1) -> list[dict[str, Any]]:
        return [row(s, seed, self.accuracy(s, seed)) for s, seed in crossed(BLOCKS, replicates, repeats)]

    def true(self, block: str, place: int) -> float:
        return float(self.worth[block, place] - np.mean([self.worth[b, place] for b in BLOCKS]))


def row(subject: str, seed: int, accuracy: float, name: str = "") -> dict[str, Any]:
    return {
        "block": subject, "position": None, "seed": seed, "test_acc": accuracy, "status": "ok",
        "comparable": "x", "experiment_name": name,
    }  # fmt: skip


def fitted(rows: list[dict[str, Any]]) -> Crossed:
    (model,) = crossed_models(rows)
    return model


def test_trainings_that_came_to_nothing_are_said() -> None:
    rows = World(3).rows()
    for one in rows[:2]:
        one |= {"status": "diverged", "test_acc": None}
    rows[2] |= {"status": "killed", "test_acc": None}
    model = fitted(rows)
    assert len(model.trainings) == len(rows) - 3
    said = f"left out of {len(rows)} trainings: 2 diverged, 1 killed; blocks that made them diverge seem better than they are"
    assert said in worth_tables([model])[0].caption and not fitted(World(3).rows()).left_out


def test_a_design_is_balanced_and_its_company_varies() -> None:
    networks = [s.partition(":")[2].split(",") for s, _ in crossed(BLOCKS, 5)]
    assert all(set(Counter(n[p] for n in networks).values()) == {5} for p in range(3))
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert max(Counter((n[a], n[b]) for n in networks).values()) == 1
    assert crossed(BLOCKS, 5) == crossed(BLOCKS, 5) != crossed(BLOCKS, 5, draw=1)
    first = [s for s, seed in crossed(BLOCKS, 3, 2) if seed == 0]
    assert [s for s, seed in crossed(BLOCKS, 3, 2) if seed in (3, 4)] == first * 2


@pytest.mark.parametrize("count", range(4, 17))
def test_every_design_that_is_made_tells_all_worths(count: int) -> None:
    names = [f"B{i:02d}" for i in range(count)]
    for replicates in range(1, count + 1):
        for repeats in (0, 1):
            try:
                made = crossed(names, replicates, repeats)
            except UsageError as error:
                is_too_little = replicates < 3 or (replicates == 3 and not repeats)
                assert (ENOUGH in str(error)) == is_too_little and (is_too_little or replicates == count)
                continue
            networks = [s.partition(":")[2].split(",") for s, seed in made if seed < replicates]
            assert all(set(Counter(n[p] for n in networks).values()) == {replicates} for p in range(3))
            for a, b in ((0, 1), (1, 2), (0, 2)):
                assert max(Counter((n[a], n[b]) for n in networks).values()) == 1
            design = Design.of([(tuple(s.partition(":")[2].split(",")), seed) for s, seed in made])
            effects = 1 + 3 * (count - 1) + replicates + repeats - 1
            assert np.linalg.matrix_rank(design.matrix) == effects == design.matrix.shape[1]
            assert not len(design.untold) and design.degrees == len(made) - effects > 0
    assert crossed(names, 3, 1)


def test_the_networks_of_a_design_of_an_odd_number_of_blocks_stay_what_they_were() -> None:
    """Trainings of this one are planned in parts, and what is stored is found again by its networks."""
    given = (ROOT / "docs" / "results" / "crossed.yaml").read_text()
    asked = yaml.safe_load(given)
    made = crossed(asked["blocks"], asked["replicates"], asked["repeats"])
    digest = hashlib.sha256(json.dumps(made).encode()).hexdigest()
    assert digest == "ea766118256e699a37b297dc67966a7ea3f3f304900d22479c1178b524ae1c83"


@pytest.mark.parametrize(
    ("blocks", "replicates", "said"),
    [
        (["A", "B", "C"], 1, "4 or more"),
        (["A", "A", "B", "C"], 1, "A twice"),
        (list("ABCDEF"), 6, "ask for 5 or fewer"),
        (list("ABCDE"), 3, "--replicates 3 --repeats 1"),
        (list("ABCDEFGHIJ"), 2, "--replicates 3 --repeats 1"),
    ],
)
def test_designs_that_cannot_be(blocks: list[str], replicates: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        crossed(blocks, replicates)


def test_worths_and_errors_are_those_of_a_regression() -> None:
    """With dummy variables of the first level, as textbooks have them, and contrasts by hand."""
    rows = World(0).rows()
    model = fitted(rows)
    names = sorted(BLOCKS)
    seeds = sorted({r["seed"] for r in rows})
    design = np.zeros((len(rows), 1 + 3 * 8 + len(seeds) - 1))
    for i, r in enumerate(rows):
        design[i, 0] = 1
        for p, block in enumerate(r["block"].partition(":")[2].split(",")):
            if block != names[0]:
                design[i, 1 + 8 * p + names.index(block) - 1] = 1
        if r["seed"] != seeds[0]:
            design[i, 25 + seeds.index(r["seed"]) - 1] = 1
    y = np.array([r["test_acc"] for r in rows])
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    left = y - design @ beta
    degrees = len(rows) - design.shape[1]
    covariance = (left @ left) / degrees * np.linalg.inv(design.T @ design)
    assert model.fit.degrees == degrees and model.fit.deviation == pytest.approx(
        np.sqrt(left @ left / degrees)
    )
    for p, position in enumerate(("early", "mid", "late")):
        for k, block in enumerate(names):
            pick = np.zeros(len(beta))
            pick[1 + 8 * p : 9 + 8 * p] = -1 / 9
            if k:
                pick[8 * p + k] += 1
            worth = model.worths[block, position]
            assert worth.value == pytest.approx(pick @ beta, abs=1e-12)
            assert worth.error == pytest.approx(np.sqrt(pick @ covariance @ pick))


@pytest.mark.parametrize("count", [10, 15])
def test_intervals_of_any_number_of_blocks_hold_the_truth(count: int) -> None:
    names, held = [f"B{i:02d}" for i in range(count)], []
    made = [(s, s.partition(":")[2].split(","), seed) for s, seed in crossed(names, 5)]
    for world in range(60):
        draw = np.random.default_rng(world)
        worth = [dict(zip(names, draw.normal(0, 0.02, count), strict=True)) for _ in range(3)]
        rows = [
            row(s, seed, 0.6 + sum(w[b] for w, b in zip(worth, n, strict=True)) + draw.normal(0, 0.005))
            for s, n, seed in made
        ]
        model = fitted(rows)
        assert len(model.worths) == 3 * count
        for place, position in enumerate(("early", "mid", "late")):
            mean = np.mean(list(worth[place].values()))
            of = [model.worths[b, position] for b in names]
            held += [abs(w.value - worth[place][w.block] + mean) <= model.half_width * w.error for w in of]
    assert 0.93 <= np.mean(held) <= 0.97  # of 1,800 and of 2,700


def of_even_places() -> list[dict[str, Any]]:
    """Ten blocks; those at even places of one order are worth 3 points at early, and never meet others at late."""
    draw, names = np.random.default_rng(0), [f"B{i}" for i in range(10)]
    networks = [(i, (i + k) % 10, (i + 2 * k) % 10, k) for k in range(5) for i in range(10)]
    return [
        row(
            f"stages:{','.join(names[i] for i in own)}",
            seed,
            0.6 + 0.03 * (own[0] % 2 == 0) + draw.normal(0, 0.002),
        )
        for *own, seed in networks
    ]


def test_what_trainings_do_not_tell_has_no_number() -> None:
    model = fitted(of_even_places())
    assert {position for _, position in model.worths} == {"mid"} and len(model.worths) == 10
    assert "early (all), late (all)" in model.untold and "no number" in model.untold
    assert model.predicted(("B0", "B1", "B2")) is not None and model.predicted(("B0", "B1", "B3")) is None
    best = model.best(10_000)
    assert len(best) == 500 and all((int(n[0][1]) - int(n[2][1])) % 2 == 0 for _, n in best)
    assert all(value == pytest.approx(model.predicted(network)) for value, network in best)
    assert abs(best[0][0] - 0.63) < 0.005 and model.predicted(("B0", "B1", "of no training")) is None


def test_failed_trainings_take_away_what_they_told() -> None:
    """Of those with two blocks at early and at late only one is left in which both stand: then which of them is it?"""
    rows, world = World(5).rows(5, 0), World(5)
    early, _, late = rows[0]["block"].partition(":")[2].split(",")
    ends = [(r, r["block"].partition(":")[2].split(",")) for r in rows]
    left = [r for r, n in ends if (n[0] == early) == (n[2] == late)]
    assert not fitted(rows).untold and len(left) == len(rows) - 8
    model = fitted(left)
    assert "early (all), late (all)" in model.untold and len(model.worths) == 9
    assert all(abs(w.value - world.true(w.block, 1)) < 4 * w.error for w in model.worths.values())
    others = [b for b in BLOCKS if b != late]
    assert (
        model.predicted((early, BLOCKS[0], late)) is not None
        and model.predicted((early, BLOCKS[0], others[0])) is None
    )
    printed = worth_tables([model])
    cells = {line[0]: line[1:] for line in printed[0].lines}
    assert all(line[0] == line[2] == line[3] == "-" and "±" in line[1] for line in cells.values())
    assert model.untold in printed[0].caption
    numbers = [(r["worth"], r["low"], r["high"]) for r in worth_rows([model])]
    assert numbers.count((None, None, None)) == 18 and len(numbers) == 27


def test_intervals_hold_the_truth() -> None:
    held = []
    for seed in range(40):
        world = World(seed)
        model = fitted(world.rows())
        held += [
            abs(w.value - world.true(w.block, ("early", "mid", "late").index(w.position)))
            <= model.half_width * w.error
            for w in model.worths.values()
        ]
    assert 0.93 <= np.mean(held) <= 0.97  # of 1,080


def test_noise_and_interaction_are_told_apart() -> None:
    alone = [fitted(World(seed, noise=0.01).rows(5, 2)) for seed in range(30)]
    both = [fitted(World(seed, noise=0.01, together=0.015).rows(5, 2)) for seed in range(30)]
    assert np.mean([m.noise[0] for m in (*alone, *both) if m.noise]) == pytest.approx(0.01, rel=0.1)
    assert np.mean([m.interaction[1] < 0.05 for m in alone if m.interaction]) <= 0.15
    assert np.mean([m.interaction[1] < 0.05 for m in both if m.interaction]) >= 0.8
    assert np.median([m.interaction[0] for m in both if m.interaction]) == pytest.approx(0.021, abs=0.006)


def test_without_repeats_nothing_is_said_of_noise() -> None:
    model = fitted(World(0).rows(5, 0))
    assert model.noise is None and model.interaction is None


def test_networks_that_were_held_out_are_predicted() -> None:
    """By a model that has not seen their replicate; the plain model would have seen them."""
    model = fitted(World(1).rows())
    pairs = np.array(model.held_out)
    assert (
        len(pairs) == 3 * 9
    )  # the first replicate was trained again; shifts of 0, 1, 3 and 4 do not tell thirds of 9 apart
    assert stats.spearmanr(*pairs.T).statistic > 0.8
    nothing = World(2)
    nothing.worth = dict.fromkeys(nothing.worth, 0.0)
    unrelated = np.array(fitted(nothing.rows()).held_out)
    assert abs(stats.spearmanr(*unrelated.T).statistic) < 0.5


def test_the_best_of_all_networks() -> None:
    model = fitted(World(3).rows())
    every = sorted((model.predicted((a, b, c)) for a in BLOCKS for b in BLOCKS for c in BLOCKS), reverse=True)
    best = model.best(5)
    assert [value for value, _ in best] == pytest.approx(every[:5])
    assert all(value == pytest.approx(model.predicted(network)) for value, network in best)
    assert len(model.best(10_000)) == 9**3


def test_follow_ups_are_no_part_of_the_model() -> None:
    rows = World(4).rows()
    more = [row("stages:B00,B01,B02", 77, 0.9, "follow-up")]
    model = fitted(rows + more)
    assert model.worths == fitted(rows).worths and [t.accuracy for t in model.tested] == [0.9]


def test_what_says_nothing() -> None:
    with pytest.raises(UsageError, match="--design crossed"):
        crossed_models([{"block": "A", "position": "mid", "seed": 0, "test_acc": 0.5, "status": "ok"}])
    with pytest.raises(UsageError, match="say nothing of"):
        crossed_models(World(0).rows(4, 0)[:12])
