"""What a comparison of searches leaves: traces that give the regrets again, a manifest that runs again, own algorithms."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import blockzoo.nas as nas
from blockzoo.cite import cite
from blockzoo.cli import main
from blockzoo.core.checksums import file_digest
from blockzoo.nas.benchmark.surrogate import numbers_of
from blockzoo.nas.contracts import SEARCHES
from blockzoo.nas.search.simulate import compare, search, trace_of
from blockzoo.nas.search.task import Query, Task
from blockzoo.nas.search.written import Request
from tests.documented import ROOT

OWN = str(ROOT / "examples" / "nas" / "own_search.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("searched")
    words = f"nas search --benchmark mini --algorithm patient random hyperband --plugin {OWN} --seeds 3 --budget 12 -o {folder}"
    assert main(words.split()) == 0
    yield folder
    SEARCHES.pop("patient", None)


def test_the_command_of_a_manifest_has_all_digits() -> None:
    for budget, text in ((1234567.5, "1234567.5"), (200, "200"), (0.1, "0.1")):
        words = shlex.split(
            Request("mini", ["random"], 2).command(Task(nas.load("mini"), budget, "seconds"), Path("o"))
        )
        assert words[words.index("--budget") + 1] == text


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_an_own_algorithm_stands_beside_the_others(folder: Path) -> None:
    names = {row["algorithm"] for row in rows_of(folder / "regret.csv")}
    assert names == {"patient", "random", "hyperband"}
    pairs = {frozenset((row["algorithm"], row["other"])) for row in rows_of(folder / "paired.csv")}
    assert pairs == {
        frozenset(p) for p in (("patient", "random"), ("patient", "hyperband"), ("random", "hyperband"))
    }


def test_every_search_has_its_trace_and_it_ends_at_the_regret(folder: Path) -> None:
    traces = rows_of(folder / "traces.csv")
    ends = {(row["algorithm"], row["seed"]): float(row["regret"]) for row in traces}
    assert len(ends) == 9
    for row in rows_of(folder / "regret.csv"):
        mine = [end for (name, _), end in ends.items() if name == row["algorithm"]]
        assert np.mean(mine) == pytest.approx(float(row["regret"]))
    benchmark = nas.load("mini")
    for row in traces[:50]:
        index, epochs = int(row["index"]), int(row["epochs"])
        told = benchmark.val_acc(index, epochs, best=epochs == benchmark.epochs)
        assert float(row["val_acc"]) == told and float(row["spent"]) <= 12 + 1e-9


def test_the_command_asks_for_the_very_budget() -> None:
    words = shlex.split(
        Request("mini", ["random"], 1).command(Task(nas.load("mini"), budget=100 / 3), Path("out"))
    )
    assert float(words[words.index("--budget") + 1]) == 100 / 3


def test_a_trace_leaves_out_what_cost_nothing_and_loses_no_regret() -> None:
    task = Task(nas.load("mini"), budget=8)
    ledger = search(task, "local", 1)
    trace = trace_of(ledger)
    assert len(trace.spent) <= len(ledger.history) == len(ledger.epochs)
    assert (np.diff(trace.spent) > 0).all()
    best: tuple[float, int] | None = None
    for spent, index, value, full in ledger.history:
        if best is None or value - 1000 * (not full) >= best[0]:
            best = value - 1000 * (not full), index
        at = int(np.searchsorted(trace.spent, spent, side="right")) - 1
        assert trace.regret[at] == task.best_test - task.test[best[1]]


def test_the_manifest_says_all_that_a_reader_needs(folder: Path) -> None:
    said: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    assert said["algorithms"] == ["patient", "random", "hyperband"] and said["search_seeds"] == [0, 1, 2]
    assert said["benchmark"]["numbers"] == "300 trained networks of 91,125" and said["dataset"] == "cifar10"
    assert (
        said["own_code"]["patient"]["origin"].endswith("own_search.py")
        or said["own_code"]["patient"]["digest"]
    )
    assert {"cpu", "cores", "python", "torch"} <= set(said["environment"]) and "numpy" in said["packages"]
    kept = [
        path for path in folder.iterdir() if path.suffix in (".csv", ".tex") or path.name == "comparison.json"
    ]
    assert said["files"] == {path.name: file_digest(path) for path in kept}
    files = said["benchmark"]["files"]
    assert files and all(len(digest) == 64 for digest in files.values())


def test_the_command_of_the_manifest_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    said = json.loads((folder / "manifest.json").read_text())
    called, *words = shlex.split(said["command"])
    assert called == "blockzoo" and words[-2:] == ["--output", str(folder)]
    assert main([*words[:-1], str(tmp_path)]) == 0
    for name, digest in said["files"].items():
        assert file_digest(tmp_path / name) == digest, name


def test_latex_has_the_numbers_of_the_tables(folder: Path) -> None:
    for stem in ("regret", "paired"):
        text = (folder / f"{stem}.tex").read_text()
        assert text.startswith("\\begin{table}") and "300 trained networks of 91,125" in text
        assert all(f"\n{row['algorithm']} & " in text for row in rows_of(folder / f"{stem}.csv"))


def test_a_folder_of_searches_says_what_to_cite(folder: Path) -> None:
    used = {(one.kind, one.name) for one in cite(folder)}
    assert {("search algorithm", "hyperband"), ("method", "nas"), ("dataset", "cifar10")} <= used
    (own,) = [one for one in cite(folder) if one.name == "patient"]
    assert own.works == []


def test_headings_tell_the_trained_from_the_predicted(tmp_path: Path) -> None:
    mini = nas.load("mini")
    assert numbers_of(mini) == "300 trained networks of 91,125"
    model = nas.load("mini-surrogate")
    assert numbers_of(model).startswith("numbers of a model fitted to 300 trained networks, off by")
    made = compare(Task(model, budget=3), ["random"], seeds=2, workers=1)
    assert "no measurement" in made.heading and made.traces["random"][0].spent.tolist() == [1.0, 2.0, 3.0]


def test_an_algorithm_by_its_file_alone(tmp_path: Path) -> None:
    source = (
        (ROOT / "examples" / "nas" / "own_search.py")
        .read_text()
        .replace('@SEARCHES.register("patient")\n', "")
    )
    (tmp_path / "mine.py").write_text(source)
    words = ["nas", "search", "--benchmark", "mini", "--algorithm", f"{tmp_path}/mine.py:Patient", "random"]
    assert main([*words, "--seeds", "2", "--budget", "3", "-o", str(tmp_path / "out")]) == 0
    assert {row["algorithm"] for row in rows_of(tmp_path / "out" / "regret.csv")} == {
        f"{tmp_path}/mine.py:Patient",
        "random",
    }


def test_the_example_does_what_it_says(folder: Path) -> None:
    task = Task(nas.load("mini"), budget=50)
    mine = SEARCHES["patient"](task, 0)
    first = mine.ask()
    assert first.epochs == task.epochs // 2
    mine.tell(first, 40.0)
    assert mine.ask() == Query(first.index)
    mine.tell(Query(first.index), 44.0)
    mine.tell(mine.ask(), 39.0)
    assert mine.ask().epochs == task.epochs // 2
