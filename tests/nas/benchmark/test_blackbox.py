"""`mini` in the formats of other tools has the values that it has."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from blockzoo import nas
from blockzoo.cli import main
from blockzoo.core.errors import UsageError
from blockzoo.nas.benchmark.blackbox import OBJECTIVES, names_of
from blockzoo.nas.benchmark.graph_arch import COLUMNS, graph_text, write_graph_arch
from blockzoo.nas.space.graphs import graph_of


@pytest.fixture(scope="module")
def mini() -> nas.Dataset:
    return nas.load("mini")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("other") / "blackbox"
    assert main(["nas", "export", "--benchmark", "mini", "-o", str(place)]) == 0
    return place


def test_the_folder_is_laid_out_as_syne_tune_reads_it(folder: Path, mini: nas.Dataset) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "configspace.json", "fidelityspace.json", "hyperparameters.parquet", "fidelities_values.npy",
        "objectives_evaluations.npy", "metadata.json",
    }  # fmt: skip
    names = names_of(mini.space)
    space = json.loads((folder / "configspace.json").read_text())
    table = pq.read_table(folder / "hyperparameters.parquet")
    assert list(space) == names == table.column_names
    for name in names:
        assert space[name]["domain_cls"] == "Categorical"
        assert set(table[name].to_pylist()) <= set(space[name]["domain_kwargs"]["categories"])
    meta = json.loads((folder / "metadata.json").read_text())
    values = np.load(folder / "objectives_evaluations.npy", allow_pickle=False)
    assert meta["objectives_names"] == list(OBJECTIVES) and len(meta["task_names"]) == 1
    assert values.shape == (1, table.num_rows, len(mini.seeds), mini.epochs, len(OBJECTIVES))
    assert np.load(folder / "fidelities_values.npy").tolist() == list(range(1, (mini.epochs or 0) + 1))
    (fidelity,) = json.loads((folder / "fidelityspace.json").read_text()).values()
    assert fidelity["domain_kwargs"] == {"lower": 1, "upper": mini.epochs}


def test_each_vector_has_the_values_of_its_network(folder: Path, mini: nas.Dataset) -> None:
    vectors = [list(row.values()) for row in pq.read_table(folder / "hyperparameters.parquet").to_pylist()]
    assert len({tuple(vector) for vector in vectors}) == len(vectors) >= len(mini)
    values = np.load(folder / "objectives_evaluations.npy")[0]
    draw = np.random.default_rng(0)
    met = set()
    for place in draw.choice(len(vectors), 60, replace=False):
        index = mini.space.index(vectors[place])
        met.add(index)
        for number, seed in enumerate(mini.seeds):
            for epoch in (1, mini.epochs):
                own = values[place, number, epoch - 1]
                known = mini.val_acc(index, epoch, best=False, seed=seed)
                if known is None:
                    assert np.isnan(own[:3]).all()
                    continue
                assert own[0] == known and own[1] == mini.train_time(index, epoch, seed=seed)
                assert own[3:].tolist() == [mini.params(index), mini.macs(index)]
            assert values[place, number, -1, 2] == mini.test_acc(index, seed=seed) or known is None
            assert np.isnan(values[place, number, :-1, 2]).all()
    assert len(met) > 20
    every = {mini.space.index(vector) for vector in vectors}
    assert every == set(np.unique(np.concatenate([mini.indices_of(seed) for seed in mini.seeds])).tolist())


def test_syne_tune_loads_the_folder(folder: Path, mini: nas.Dataset) -> None:
    tabular = pytest.importorskip(
        "syne_tune.blackbox_repository.blackbox_tabular",
        reason="syne-tune loads the folder where it is installed",
    )
    (blackbox,) = tabular.deserialize(folder).values()
    for vector in pq.read_table(folder / "hyperparameters.parquet").slice(0, 20).to_pylist():
        index = mini.space.index(list(vector.values()))
        value = blackbox(vector, fidelity={"epochs": mini.epochs}, seed=0)["val_acc_percent"]
        assert value == mini.val_acc(index, mini.epochs, best=False, seed=mini.seeds[0])


def test_graphs_as_text_have_the_values_of_their_networks(tmp_path: Path, mini: nas.Dataset) -> None:
    path = tmp_path / "mini.parquet"
    assert main(["nas", "export", "-o", str(path), "--format", "graph-arch"]) == 0
    table = pq.read_table(path)
    assert table.column_names == list(COLUMNS) and table.num_rows == len(mini)
    for row in table.to_pylist()[:50]:
        index = mini.space.index(row["uid"])
        assert row["val_accuracy"] == mini.val_acc(index, seed="mean")
        assert row["params"] == mini.params(index) and row["flops"] == 2 * mini.macs(index)
        assert mini.space.index(json.loads(row["arch_str"])) == index
        assert row["target_metric"] == "val_accuracy" and isinstance(ast.literal_eval(row["metadata"]), dict)
        assert ast.literal_eval(row["metainformation"])["accuracy_unit"] == "percent"
    with pytest.raises(UsageError, match=r"NAME\.parquet"):
        write_graph_arch(mini, tmp_path / "mini.csv")


def test_a_text_says_all_of_a_graph(mini: nas.Dataset) -> None:
    """Read again, it is the graph; inputs of a line stand above it."""
    for index in mini.indices[:40].tolist():
        graph, known, edges = graph_of(index, mini.space), set[int](), []
        for line in graph_text(graph, mini.space).splitlines():
            name, _, call = line.partition(" = ")
            sources = [int(word[1:]) for word in call.partition("(")[2][:-1].split(", ") if word]
            assert known.issuperset(sources)
            known.add(int(name[1:]))
            edges += [(source, int(name[1:])) for source in sources]
        assert sorted(edges) == sorted(graph.edges) and len(known) == len(graph.labels)


def test_optuna_optimises_it(mini: nas.Dataset) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    objective = nas.OptunaObjective(mini)
    study = optuna.create_study(direction=objective.direction, sampler=optuna.samplers.RandomSampler(seed=0))
    vector = mini.space.vectors(mini.indices[:1])[0].tolist()
    first = dict(zip(objective.axes, vector, strict=True))
    study.enqueue_trial(first)
    study.optimize(objective, n_trials=300)
    states: list[Any] = [trial.state.name for trial in study.trials]
    assert states[0] == "COMPLETE" and states.count("PRUNED") > 0
    for trial in study.trials:
        if trial.state.name == "COMPLETE":
            index = trial.user_attrs["index"]
            assert trial.value == mini.val_acc(index)
            assert trial.user_attrs["train_time_s"] == mini.train_time(index)
            assert trial.intermediate_values[1] == mini.val_acc(index, 1, best=False)
    with pytest.raises(UsageError, match="seed 99"):
        nas.OptunaObjective(mini, seed=99)
