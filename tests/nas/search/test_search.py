"""Search: the ledger adds up, every algorithm keeps its budget and finds more than chance, exact parts are exact."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import blockzoo.nas as nas
from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.curves import Training
from blockzoo.nas.benchmark.release import header_of
from blockzoo.nas.benchmark.surrogate import held_out, seed_deviation, surrogate_of
from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.files.columns import FLOATS, Column
from blockzoo.nas.files.table import Table
from blockzoo.nas.ranking.predictors.features import one_hot_pairs
from blockzoo.nas.ranking.predictors.ridge import PairwiseRidge
from blockzoo.nas.ranking.studies import fidelity, rank_correlation
from blockzoo.nas.search.blockwise import _by_programme, best_by_scores
from blockzoo.nas.search.pareto_evolution import front_quality
from blockzoo.nas.search.simulate import compare, regret, search
from blockzoo.nas.search.task import BudgetSpent, Ledger, Query, Task
from tests.sampled import sampled

SPACE = nas.MacroSpace()
EPOCHS = 9


def made_up(
    indices: np.ndarray, seeds: tuple[int, ...] = (0,), noise: float = 0.5, signal: int = 0
) -> nas.Dataset:
    """Accuracies that are a sum over cells and pairs of cells, growing over epochs, plus noise."""
    rng = np.random.default_rng(signal)
    digits = SPACE.digits(indices)
    cells = [rng.normal(0, 3, 45) for _ in range(3)]
    final = (
        60
        + sum(cells[s][digits[:, s]] for s in range(3))
        + rng.normal(0, 1, (45, 45))[digits[:, 0], digits[:, 1]]
    )
    trainings = {}
    for seed in seeds:
        own = np.random.default_rng((signal, seed))
        curve = final[:, None] * (1 - np.exp(-np.arange(1, EPOCHS + 1) / 3)) + own.normal(
            0, noise, (len(indices), EPOCHS)
        )
        table = Table(
            {
                "model_hash": SPACE.hashes()[indices],
                "val_top1": Column(FLOATS, np.clip(curve, 0, 100)),
                "test_top1": Column(
                    FLOATS, np.clip(curve[:, -1] + own.normal(0, noise, len(indices)), 0, 100)
                ),
                "train_time_s": rng.integers(50, 150, len(indices)),
            }
        )
        header = {**header_of(SPACE, "training"), "epochs": EPOCHS, "part": "base", "columns": list(table)}
        trainings[seed] = Training(SPACE, (header, table), None)
    return nas.Dataset.of(SPACE, trainings, title="made up")


@pytest.fixture(scope="module")
def whole() -> nas.Dataset:
    return made_up(np.arange(len(SPACE)))


@pytest.fixture(scope="module")
def part() -> nas.Dataset:
    return made_up(np.sort(SPACE.sample(400, seed=1)), seeds=(0, 1, 2))


# --- the ledger -------------------------------------------------------------------------------------


def test_the_ledger_by_hand(whole: nas.Dataset) -> None:
    ledger = Ledger(Task(whole, budget=2.5))
    assert ledger.query(Query(7)) == whole.val_acc(7) and ledger.spent == 1
    ledger.query(Query(7))
    assert ledger.spent == 1  # again, for nothing
    assert ledger.query(Query(9, 3)) == whole.val_acc(9, 3, best=False)
    assert ledger.spent == pytest.approx(1 + 3 / EPOCHS)
    ledger.query(Query(9))
    assert ledger.spent == pytest.approx(2)  # the rest of its epochs
    with pytest.raises(BudgetSpent):
        ledger.query(Query(11))
    assert ledger.spent == pytest.approx(2)
    assert [entry[1] for entry in ledger.history] == [7, 7, 9, 9]


def test_duplicates_can_be_charged_and_seconds_counted(whole: nas.Dataset) -> None:
    ledger = Ledger(Task(whole, budget=1000, unit="seconds", duplicates="charged"))
    for _ in range(2):
        ledger.query(Query(5))
    assert ledger.spent == pytest.approx(2 * whole.train_time(5))


@pytest.mark.parametrize(
    "options", [{"budget": 0}, {"budget": 5, "unit": "hours"}, {"budget": 5, "duplicates": "x"}]
)
def test_impossible_tasks(whole: nas.Dataset, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"budget|unit|duplicates"):
        Task(whole, **options)


# --- algorithms -------------------------------------------------------------------------------------

NAMES = [name for name in SEARCHES.names() if name != "optuna"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", ["whole", "part"])
def test_every_algorithm_keeps_its_budget_and_is_reproducible(
    name: str, which: str, request: pytest.FixtureRequest
) -> None:
    task = Task(request.getfixturevalue(which), budget=60)
    one, again, other = search(task, name, 0), search(task, name, 0), search(task, name, 1)
    assert one.history == again.history != other.history
    assert 0 < one.spent <= 60 + 1e-9 and len(one.history) >= 20
    known = set(task.known.tolist())
    assert {entry[1] for entry in one.history} <= known
    spent = [entry[0] for entry in one.history]
    assert spent == sorted(spent)


@pytest.mark.parametrize("name", sampled(sorted(set(NAMES) - {"random"}), {*NAMES} - {"random", "predictor"}))
def test_every_algorithm_beats_chance(whole: nas.Dataset, name: str) -> None:
    task = Task(whole, budget=200)
    at = np.array([200.0])
    ours = np.mean([regret(search(task, name, s), at)[0] for s in range(5)])
    chance = np.mean([regret(search(task, "random", s), at)[0] for s in range(5)])
    assert ours < chance


@pytest.mark.slow
def test_optuna_is_asked_and_told(part: nas.Dataset) -> None:
    pytest.importorskip("optuna")
    ledger = search(Task(part, budget=2), "optuna", 0)
    assert ledger.spent == 2


def test_hyperband_spends_its_rungs_as_published(whole: nas.Dataset) -> None:
    """R = 9, eta = 3: brackets of (9, 1), (5, 3), (3, 9)."""
    from blockzoo.nas.search.halving import Hyperband

    algorithm, asked = Hyperband(Task(whole, 1000), 0), []
    for _ in range(9 + 3 + 1 + 5 + 1 + 3):
        query = algorithm.ask()
        asked.append(query.epochs)
        algorithm.tell(query, float(query.index))
    assert asked == [1] * 9 + [3] * 3 + [None] + [3] * 5 + [None] + [None] * 3


def test_regret_by_hand(whole: nas.Dataset) -> None:
    ledger = Ledger(Task(whole, 10))
    for index in (3, 1, 2):
        ledger.query(Query(index))
    best = max((3, 1, 2), key=lambda i: whole.val_acc(i))
    top = whole.test_acc(np.arange(len(SPACE))).max()
    assert regret(ledger, np.array([3.0]))[0] == pytest.approx(top - whole.test_acc(best))
    assert regret(ledger, np.array([1.0]))[0] == pytest.approx(top - whole.test_acc(3))
    assert regret(ledger, np.array([0.5]))[0] > 0


def test_comparison_has_intervals_around_its_means(whole: nas.Dataset) -> None:
    made = compare(Task(whole, 30), ["random", "evolution"], seeds=8, workers=1)
    alone = compare(Task(whole, 30), ["random", "evolution"], seeds=8, workers=2)
    for name in made.curves:
        assert np.array_equal(made.curves[name], alone.curves[name])
        mean, low, high = made.interval(name)
        assert (low <= mean + 1e-9).all() and (mean <= high + 1e-9).all() and (low < high).any()
        assert (np.diff(mean) <= 5).all() and mean[-1] < mean[0]
    assert [row["n"] for row in made.rows()] == [8, 8]


def test_front_quality_of_everything_is_one(part: nas.Dataset) -> None:
    ledger = Ledger(Task(part, 1e6))
    for index in part.indices.tolist():
        ledger.query(Query(index))
    assert front_quality(ledger)[1] == pytest.approx(1)
    few = Ledger(Task(part, 1e6))
    few.query(Query(int(part.indices[0])))
    assert front_quality(few)[1] < 1


# --- exact choice within a budget -------------------------------------------------------------------


@pytest.mark.parametrize("budget", [None, 5.0, 7.0])
def test_best_by_scores_against_all_combinations(budget: float | None) -> None:
    rng = np.random.default_rng(0)
    scores, costs = [rng.normal(size=7) for _ in range(3)], [rng.uniform(1, 4, 7) for _ in range(3)]
    allowed = [
        c
        for c in itertools.product(range(7), repeat=3)
        if budget is None or sum(costs[s][o] for s, o in enumerate(c)) <= budget
    ]
    best = max(allowed, key=lambda c: sum(scores[s][o] for s, o in enumerate(c)))
    assert best_by_scores(scores, costs, budget) == list(best)
    assert _by_programme(scores, None if budget is None else costs, budget) == list(best)


def test_large_spaces_go_to_the_programme_and_impossible_budgets_are_said() -> None:
    rng = np.random.default_rng(1)
    scores, costs = [rng.normal(size=45) for _ in range(8)], [rng.uniform(1, 2, 45) for _ in range(8)]
    chosen = best_by_scores(scores, costs, 10.0)
    assert sum(c[o] for c, o in zip(costs, chosen, strict=True)) <= 10
    with pytest.raises(UsageError, match="cheapest"):
        best_by_scores(scores, costs, 7.0)


# --- predictors and surrogates ----------------------------------------------------------------------


def test_ridge_against_the_normal_equations(part: nas.Dataset) -> None:
    index = part.indices[:60]
    targets = np.stack([part.val_acc(index), part.test_acc(index)], axis=1)
    model = PairwiseRidge(SPACE).fit(index, targets)
    features = one_hot_pairs(SPACE, index, model.weight)
    scale = math.sqrt(math.sqrt(features.shape[1]))
    centred = (features - features.mean(0)) / scale
    weights = np.linalg.solve(
        centred.T @ centred + model.penalty * np.eye(centred.shape[1]),
        centred.T @ (targets - targets.mean(0)),
    )
    some = SPACE.sample(50, seed=4)
    want = (one_hot_pairs(SPACE, some, model.weight) - features.mean(0)) / scale @ weights + targets.mean(0)
    np.testing.assert_allclose(model.predict(some), want, atol=1e-8)
    np.testing.assert_allclose(model.predict_all()[some], want, atol=1e-8)
    for left_out in (0, 17):
        rest = np.arange(60) != left_out
        refit = PairwiseRidge(SPACE, model.penalty, model.weight).fit(index[rest], targets[rest])
        np.testing.assert_allclose(
            targets[left_out] - refit.predict(index[[left_out]])[0], model.leave_one_out[left_out], atol=1e-8
        )


@pytest.mark.slow
def test_graph_predictor_learns_an_order(part: nas.Dataset) -> None:
    pytest.importorskip("torch")
    from blockzoo.nas.ranking.predictors.gcn import GraphPredictor

    index, truth = part.indices, part.val_acc(part.indices)
    model = GraphPredictor(SPACE, epochs=60).fit(index[:300], truth[:300])
    assert rank_correlation("gcn", model.predict(index[300:]), truth[300:]).spearman > 0.4


def test_a_surrogate_is_labelled_and_close(part: nas.Dataset) -> None:
    quality = held_out(part)
    assert (
        quality.n == 400
        and 0.5 < quality.kendall_tau < 1
        and quality.seed_deviation == pytest.approx(0.5, rel=0.2)
    )
    model = surrogate_of(part)
    assert "surrogate" in repr(model) and "no measurement" in repr(model) and len(model) == len(SPACE)
    close = rank_correlation(
        "s", model.val_acc(part.indices, seed="mean"), part.val_acc(part.indices, seed="mean")
    )
    assert close.spearman > 0.8
    spread = model.test_acc(part.indices, seed=0) - model.test_acc(part.indices, seed=1)
    assert spread.std() == pytest.approx(np.sqrt(2) * (seed_deviation(part) or 0), rel=0.2)
    again = surrogate_of(part)
    assert np.array_equal(model.val_acc(part.indices, seed=2), again.val_acc(part.indices, seed=2))


def test_later_epochs_rank_better(part: nas.Dataset) -> None:
    correlations = fidelity(part)
    assert len(correlations) == EPOCHS and correlations[-1].spearman > correlations[0].spearman
    assert all(f.n == 400 for f in correlations)


class Few:
    """Asks for two networks and has no more."""

    def __init__(self, task: Task, seed: int) -> None:
        self.order = iter(task.known[:2].tolist())

    def ask(self) -> Query:
        return Query(next(self.order))

    def tell(self, query: Query, value: float) -> None: ...


class Broken(Few):
    def tell(self, query: Query, value: float) -> None:
        raise KeyError("lost")


class Empty(Few):
    def tell(self, query: Query, value: float) -> None:
        raise StopIteration


@pytest.mark.parametrize("workers", [1, 2])
def test_an_algorithm_that_runs_out_of_networks_ends_there(
    workers: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(SEARCHES, "few", Few)
    made = compare(Task(nas.load("mini"), 50), ["few", "random"], seeds=4, workers=workers)
    assert [len(trace.spent) for trace in made.traces["few"]] == [2] * 4
    assert made.curves["few"].shape == (4, len(made.at))
    assert (
        "few had no network left to ask for in 4 of 4 searches, the first after 2 of 50 trainings"
        in caplog.text
    )
    assert "random had" not in caplog.text


@pytest.mark.parametrize(
    ("algorithm", "says"), [(Broken, "tell: KeyError: 'lost'"), (Empty, "tell: StopIteration")]
)
def test_what_fails_in_an_algorithm_names_it(
    algorithm: type, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SEARCHES, "broken", algorithm)
    with pytest.raises(UsageError, match=f"search algorithm broken, {says}") as error:
        search(Task(nas.load("mini"), 50), "broken")
    assert error.value.__cause__ is not None


@pytest.mark.parametrize(("budget", "known"), [(4, (False, True)), (1.5, (False, False)), (10, (True, True))])
def test_no_regret_at_a_share_of_the_budget_before_the_first_training(
    budget: float, known: tuple[bool, bool]
) -> None:
    (row,) = compare(Task(nas.load("mini"), budget), ["random"], seeds=2).rows()
    assert (row["regret_at_10_percent"] is not None, row["regret_at_50_percent"] is not None) == known


def test_the_regret_at_a_share_is_that_after_just_so_many_trainings() -> None:
    """Not that at the next of the points of a curve, which lie a twentieth apart."""
    task = Task(nas.load("mini-surrogate"), 60)
    made = compare(task, ["random"], seeds=5)
    ledgers = [search(task, "random", seed) for seed in range(5)]
    (row,) = made.rows()
    for share, column in ((0.1, "regret_at_10_percent"), (0.5, "regret_at_50_percent")):
        exactly = [regret(ledger, np.array([share * 60]))[0] for ledger in ledgers]
        assert row[column] == np.mean(exactly)
    few = [*range(0, len(made.at) - 1, 7), len(made.at) - 1]
    coarse = replace(
        made, at=made.at[few], curves={name: curve[:, few] for name, curve in made.curves.items()}
    )
    before = np.searchsorted(coarse.at, 30.0, side="right") - 1
    assert coarse.rows()[0]["regret_at_50_percent"] == coarse.curves["random"].mean(0)[before], (
        "what was spent by then"
    )
