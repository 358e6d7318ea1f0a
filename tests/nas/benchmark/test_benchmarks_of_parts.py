"""Files that are not of one benchmark, values that cannot be, and which network or quantity is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blockzoo.nas as nas
from blockzoo.core.errors import DataError, UsageError
from blockzoo.nas.benchmark.release import header_of
from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.files.maintenance import validate
from blockzoo.nas.search.simulate import compare, regret, search
from blockzoo.nas.search.task import Query, Task

SPACE = nas.MacroSpace()
HASHES = [SPACE.hash_alone(i) for i in (5, 7)]


def write(folder: Path, seed: int = 0, epochs: int = 4, accuracy: float = 40.0, **fields: Any) -> Path:
    header = {
        **header_of(SPACE, "training"),
        "seed": seed,
        "epochs": epochs,
        "dataset": "cifar100",
        "part": "base",
    }
    table = {
        "model_hash": HASHES,
        "val_top1": [[accuracy + e for e in range(epochs)]] * 2,
        "test_top1": [accuracy, accuracy + 1],
        "train_time_s": [600, 300],
    }
    columns = {name: fields.pop(name, values) for name, values in table.items()}
    return nas.write_dataset_file(folder / f"blox-base-{seed}.csv", {**header, **fields}, columns)


# --- one benchmark ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"dataset": "cifar10"}, "dataset cifar100 against cifar10"),
        ({"epochs": 2}, "epochs 4 against 2"),
        ({"setting": {"protocol": "fast-v1"}}, r"setting.protocol \(not said\) against fast-v1"),
        ({"setting": {"classes": 10}}, "setting.classes"),
    ],
)
@pytest.mark.parametrize("validate_data", [True, False])
def test_seeds_of_different_benchmarks_are_refused(
    tmp_path: Path, other: dict[str, Any], says: str, validate_data: bool
) -> None:
    write(tmp_path)
    write(tmp_path, seed=1, **other)
    with pytest.raises(DataError, match=says):
        nas.from_folder(tmp_path, validate_data=validate_data)
    assert nas.from_folder(tmp_path, seeds=1).seeds == [1]


def test_seeds_are_numbers(tmp_path: Path) -> None:
    for seed in (10, 2, 0):
        write(tmp_path, seed, accuracy=40 + seed)
    opened = nas.from_folder(tmp_path)
    assert opened.seeds == [0, 2, 10] and opened.test_acc(5) == 40
    for seeds in (10, "10", np.int64(10), ["10"]):
        assert nas.from_folder(tmp_path, seeds=seeds).seeds == [10]
    assert nas.from_folder(tmp_path, seeds=(2, 0)).seeds == [2, 0]
    for seeds in ("mean", 1.5, True, [], [None]):
        with pytest.raises(UsageError, match="seeds"):
            nas.from_folder(tmp_path, seeds=seeds)


def test_what_is_asked_of_a_seed_is_answered_for_that_seed(tmp_path: Path) -> None:
    header = {**header_of(SPACE, "training"), "dataset": "cifar100", "part": "base"}
    for seed, epochs in ((0, 12), (1, 6)):  # headers that do not say their epochs
        table = {"model_hash": HASHES, "val_top1": [[40.0 + e for e in range(epochs)]] * 2,
                 "test_top1": [1.0] * 2, "train_time_s": [600] * 2}  # fmt: skip
        nas.write_dataset_file(tmp_path / f"blox-base-{seed}.csv", {**header, "seed": seed}, table)
    opened = nas.from_folder(tmp_path)
    assert opened.train_time(5, epoch=6, seed=0) == 300 and opened.train_time(5, epoch=6, seed=1) == 600
    assert opened.val_acc(5, epoch=12, seed=0) == 51
    assert opened.train_time(5, epoch=6, seed="mean") == 450 and opened.train_time(5, epoch=0) == 0
    for ask in (opened.val_acc, opened.train_time):
        for seed in (1, "mean"):
            with pytest.raises(UsageError, match="epochs 1 to 6"):
                ask(5, epoch=12, seed=seed)
    with pytest.raises(UsageError, match="seed True"):
        opened.val_acc(5, seed=True)


def test_latencies_of_other_networks_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    head = {**header_of(SPACE, "benchmarking"), "device": "here"}
    table = {"model_hash": HASHES, "latency": [0.01, 0.02]}
    place = tmp_path / "blox-bench-here.csv"
    for setting, fits in (({}, True), ({"width": 32, "classes": 100, "image_size": 32}, True),
                          ({"width": 16}, False), ({"image_size": 224}, False), ({"classes": 10}, False)):  # fmt: skip
        nas.write_dataset_file(place, {**head, "setting": setting}, table)
        if fits:
            assert nas.from_folder(tmp_path).latency(7, "here") == [[0.02]]
        else:
            with pytest.raises(DataError, match=next(iter(setting))):
                nas.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"test_top1": [250.0, 1.0]}, "test_top1 has 1 impossible"),
        ({"test_top1": [-1.0, 1.0]}, "0 to 100"),
        ({"test_top1": [float("nan"), 1.0]}, "test_top1"),
        ({"val_top1": [[1.0, 2.0, 3.0, 101.0]] * 2}, "val_top1 has 2"),
        ({"train_time_s": [-5, 5]}, "train_time_s"),
        ({"val_top1": [[1.0, 2.0]] * 2}, "curves of 2 epochs"),
        ({"model_hash": [HASHES[0]] * 2}, "there twice"),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    write(tmp_path, **columns)
    assert any(says in fault for checked in validate(tmp_path) for fault in checked.faults)
    with pytest.raises(DataError, match=says.partition(" has")[0]):
        nas.from_folder(tmp_path)


def test_validate_knows_the_space_and_compares_parts(tmp_path: Path) -> None:
    write(tmp_path, model_hash=[HASHES[0], "0" * 32])
    assert "of no network of the space" in "".join(validate(tmp_path)[0].faults)
    write(tmp_path)
    static = {
        "model_hash": HASHES,
        "params": [10, 0],
        "flops": [1, 1],
        "arch_vec": [SPACE.arch_vec(i) for i in (7, 5)],
    }
    nas.write_dataset_file(tmp_path / "blox-info.csv", header_of(SPACE, "static"), static)
    times = {"model_hash": HASHES, "latency": [0.0, -1.0]}
    nas.write_dataset_file(
        tmp_path / "blox-bench-a.csv", {**header_of(SPACE, "benchmarking"), "device": "a"}, times
    )
    write(tmp_path, seed=1, epochs=2)
    faults = {checked.path.name: "; ".join(checked.faults) for checked in validate(tmp_path)}
    assert (
        "2 vectors are not those of their hashes" in faults["blox-info.csv"]
        and "params" in faults["blox-info.csv"]
    )
    assert "latency has 2 impossible" in faults["blox-bench-a.csv"]
    assert "epochs 4 against 2" in faults["blox-base-1.csv"] and not faults["blox-base-0.csv"]


def test_validate_refuses_what_loading_refuses(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, seed=1)
    path = tmp_path / "blox-base-1.csv"
    path.with_name(f"{path.name}.sha256").unlink()
    sound = path.read_text()
    for old, new, says in (
        ("seed: 1", "seed: 2", "it is of 2, by its name of 1"),
        ("val_top1", "other_top1", "columns"),
    ):
        assert old in sound
        path.write_text(sound.replace(old, new))
        assert says in "; ".join(validate(tmp_path)[1].faults)
        with pytest.raises(DataError):
            nas.from_folder(tmp_path)


def test_a_row_of_no_network_is_said(tmp_path: Path) -> None:
    write(tmp_path, model_hash=[HASHES[0], "0" * 32])
    dataset = nas.from_folder(tmp_path)
    with pytest.warns(UserWarning, match="1 rows are of no network of the space, as that of 0{32}"):
        assert len(dataset.indices) == 1


# --- which way is better ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mini() -> Any:
    return nas.load("mini")


@pytest.mark.parametrize(
    "by", ["val_acc", "test_top5", "val_loss", "test_loss", "train_time", "params", "macs"]
)
def test_top_knows_which_way_is_better(mini: Any, by: str) -> None:
    values = mini.quantity(by, mini.indices)
    best = np.nanmax(values) if "acc" in by or "top" in by else np.nanmin(values)
    assert mini.quantity(by, mini.top(1, by=by))[0] == best


def test_pareto_takes_each_quantity_in_its_better_direction(mini: Any) -> None:
    loss, time = mini.val_loss(mini.indices), mini.train_time(mini.indices)
    front = {
        int(i) for i, a, b in zip(mini.indices, loss, time, strict=True)
        if not ((loss <= a) & (time <= b) & ((loss < a) | (time < b))).any()
    }  # fmt: skip
    assert set(mini.pareto("train_time", by="val_loss").tolist()) == front
    best = mini.top(1, by="test_acc")[0]
    assert best in mini.pareto("test_acc", by="val_acc")


def test_top_of_another_seed_has_its_networks(mini: Any) -> None:
    assert (
        set(mini.top(300, seed=1).tolist()) == set(mini.indices_of(1).tolist())
        and len(mini.top(300, seed=1)) == 50
    )
    assert len(mini.top(1000, seed="mean")) == 300


@pytest.mark.parametrize(
    "ask",
    [
        lambda d: d.top(3, by="foo"), lambda d: d.top(3, by="__len__"), lambda d: d.top(3, by="seeds"),
        lambda d: d.top(-1), lambda d: d.top(0), lambda d: d.top(1.5), lambda d: d.top(True),
        lambda d: d.pareto("foo"), lambda d: d.pareto("cpu"), lambda d: d.pareto("macs", by="latency"),
        lambda d: d.top(1, by=None),
    ],
)  # fmt: skip
def test_unknown_quantities_are_refused(mini: Any, ask: Any) -> None:
    with pytest.raises(UsageError):
        ask(mini)


# --- which network is meant -------------------------------------------------------------------------


def test_names_of_networks_mean_one_thing(mini: Any) -> None:
    index = int(mini.indices[3])
    text, vector = SPACE.hash_alone(index), SPACE.arch_vec(index)
    flat = [value for cell in vector for node in cell for value in node]
    answer = mini.test_acc(index)
    as_tuple = tuple(tuple(tuple(node) for node in cell) for cell in vector)
    same = [
        text,
        text.upper(),
        vector,
        as_tuple,
        flat,
        tuple(flat),
        np.int64(index),
        np.array(index),
        np.array(text),
        np.str_(text),
    ]
    assert [mini.test_acc(name) for name in same] == [answer] * len(same)
    many = [np.array([index]), np.array([text]), np.array([flat])]
    assert [mini.test_acc(name).tolist() for name in many] == [[answer]] * len(many)
    assert mini.test_acc(np.array([], np.int64)).tolist() == []
    for wrong in (
        np.array(flat),
        "5",
        "macro:5",
        "ab cd" * 8,
        5.0,
        True,
        None,
        [5],
        (5, 7),
        np.array([1.5]),
        {},
        text[:31],
    ):
        with pytest.raises(UsageError):
            mini.test_acc(wrong)


def test_hashes_are_by_the_name_of_an_operation() -> None:
    names, orders = (
        ("conv", "mbconv", "bconv"),
        [("mbconv", "conv", "bconv"), ("bconv", "mbconv", "conv"), ("conv", "bconv")],
    )
    for order in orders:
        space = nas.MacroSpace(order)
        for index in (0, 3, 11):
            vector = space.arch_vec(index)
            renamed = [[[names.index(order[node[0]]), *node[1:]] for node in cell] for cell in vector]
            assert (
                space.hash_alone(vector) == SPACE.hash_alone(renamed) == nas.get_model_hash(vector, ops=order)
            )
    assert nas.MacroSpace(("a", "b")).hash_alone(0) != nas.MacroSpace(("b", "a")).hash_alone(0)


# --- search -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "algorithm", [name for name in SEARCHES.names() if getattr(SEARCHES[name], "in_all", True)]
)
@pytest.mark.parametrize("unit", ["trainings", "seconds"])
def test_every_algorithm_stays_among_the_networks_of_its_seed(mini: Any, algorithm: str, unit: str) -> None:
    task = Task(mini, 40 if unit == "trainings" else 1200, unit, seed=1)
    ledger = search(task, algorithm, seed=3)
    assert len(task.known) == 50 and {entry[1] for entry in ledger.history} <= set(
        mini.indices_of(1).tolist()
    )
    assert np.isfinite([entry[2] for entry in ledger.history]).all() and 0 < ledger.spent <= task.budget
    assert np.isfinite(regret(ledger, np.array([10.0, 40.0]))).all()


class Asks:
    """An algorithm that asks for what it is given."""

    what: Any = None

    def __init__(self, task: Task, seed: int) -> None: ...

    def ask(self) -> Any:
        return self.what

    def tell(self, query: Query, value: float) -> None: ...


@pytest.mark.parametrize("unit", ["trainings", "seconds"])
@pytest.mark.parametrize(
    "what", [Query(0), Query(-1), Query(91_125), Query(10**9), 5, None, "x", Query(None), Query(0, 0), Query(0, 7), Query(0, 1.5)]
)  # fmt: skip
def test_a_query_for_what_the_benchmark_lacks_is_refused(
    mini: Any, monkeypatch: pytest.MonkeyPatch, what: Any, unit: str
) -> None:
    monkeypatch.setattr(Asks, "what", what)
    monkeypatch.setitem(SEARCHES, "asks", Asks)  # type: ignore[arg-type]
    assert 0 not in mini.indices
    with pytest.raises(UsageError, match=r"asked|epoch"):
        search(Task(mini, 3000, unit), "asks")


@pytest.mark.parametrize("unit", ["trainings", "seconds"])
def test_budgets_that_buy_nothing_are_said(mini: Any, unit: str) -> None:
    with pytest.raises(UsageError, match=f"0.5 {unit}.*costs"):
        search(Task(mini, 0.5, unit), "random")
    with pytest.raises(UsageError, match="costs"):
        compare(Task(mini, 0.5, unit), ["random"], seeds=2, workers=1)
    for budget in (float("inf"), float("nan"), -1, 0):
        with pytest.raises(UsageError, match="budget"):
            Task(mini, budget, unit)
    with pytest.raises(UsageError, match="seed 9"):
        Task(mini, 5, unit, seed=9)
