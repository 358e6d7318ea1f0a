"""Every result has a short repr, HTML, a pandas table, its picture and a file: tried on a real small one of each kind."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import blockzoo
from blockzoo import nas, tiling
from blockzoo.blockwise import coupling_map
from blockzoo.blockwise.curvature.report import Curvature
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.options import Options
from blockzoo.blockwise.run.runs import run_blockwise
from blockzoo.core.contracts import RESULTS
from blockzoo.core.errors import UsageError
from blockzoo.core.result import Result, load_result
from blockzoo.core.values import to_plain
from blockzoo.nas.ranking.latency_agreement import LatencyAgreement
from blockzoo.nas.ranking.latency_table import measure_latency
from blockzoo.report.drawing import Figure

PACKAGES = ["blockzoo", "blockzoo.nas", "blockzoo.blockwise", "blockzoo.tiling"]

TINY: dict[str, Any] = {"base_channels": 4, "num_blocks": 1}
DIGITS: dict[str, Any] = {**TINY, "dataset": "digits", "epochs": 1, "limit_train": 64, "latency": False}
LONGEST_REPR = 250
"""Characters: two lines of a notebook."""


@cache
def folder() -> Path:
    return Path(mkdtemp(prefix="blockzoo-results-"))


def a_coupling_map() -> blockzoo.blockwise.CouplingMap:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    batch = torch.randn(16, 4), torch.randint(3, (16,))
    return coupling_map(network, nn.functional.cross_entropy, [batch], "tensor")


def a_curvature() -> Curvature:
    coupling = a_coupling_map()
    return Curvature(
        coupling, [{"block": label, "largest": 1.0, "converged": None} for label in coupling.labels]
    )


def a_run() -> Any:
    config = RunConfig(
        model="feedforward", config=(8,), dataset="digits", image_size=8, options=Options(rounds=2)
    )
    return run_blockwise(config, None)


def a_plan() -> tiling.Plan:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 8, 3, padding=1)
    )
    return tiling.plan(network.eval(), torch.zeros(1, 3, 16, 16))


def a_latency_agreement() -> LatencyAgreement:
    space = nas.MacroSpace(("conv", "mbconv"), nodes=1, stages=2)
    skeleton = nas.Skeleton(4, image_size=8, num_classes=10)
    return measure_latency(skeleton, check=3, seconds=1, space=space)[1]


EXAMPLES: dict[str, Callable[[], Result]] = {
    "profile": lambda: blockzoo.profile_block("ResNetBasicBlock/mid", **TINY),
    "operation profile": lambda: blockzoo.profile_operations("ResNetBasicBlock/mid", **TINY),
    "benchmark": lambda: blockzoo.benchmark_block(
        "ResNetBasicBlock/mid", batch_sizes=(1,), benchmark_runs=6, **TINY
    ),
    "operation benchmark": lambda: blockzoo.benchmark_operations(
        "ResNetBasicBlock/mid", batch_sizes=(1,), seconds=2, **TINY
    ),
    "training": lambda: blockzoo.train_block("ResNetBasicBlock/mid", output=folder(), **DIGITS),
    "sweep": lambda: blockzoo.run_sweep(["ResNetBasicBlock"], ["mid"], output=folder(), **DIGITS),
    "coupling map": a_coupling_map,
    "curvature": a_curvature,
    "blockwise run": a_run,
    "plan": a_plan,
    "comparison of searches": lambda: nas.compare(nas.Task(nas.load("mini"), 10), ["random"], seeds=3),
    "latency agreement": a_latency_agreement,
}
"""A real one of each kind; a kind that lacks one fails below."""


@cache
def example(name: str) -> Result:
    return EXAMPLES[name]()


def test_each_kind_has_an_example() -> None:
    assert set(RESULTS) == set(EXAMPLES), "write a small real one of the new kind into EXAMPLES"


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_result_has_all_that_results_have(name: str, tmp_path: Path) -> None:
    result = example(name)
    assert RESULTS[name] is type(result) and isinstance(result, Result)
    shown = repr(result)
    assert (
        shown.startswith(f"<{type(result).__name__}: ") and "\n" not in shown and len(shown) <= LONGEST_REPR
    )
    html = result._repr_html_()
    assert type(result).__name__ in html and "<table>" in html and html.count("<tr>") > 1

    rows, table = result.table_rows(), result.to_pandas()
    assert len(table) == len(rows) > 0 and set(table.columns) == {column for row in rows for column in row}

    figure = result.plot(tmp_path / "picture.png")
    assert isinstance(figure, Figure) and figure.axes and (tmp_path / "picture.png").stat().st_size > 2000
    assert figure._repr_png_()[1:4] == b"PNG"

    path = result.save(tmp_path / "result.json")
    saved = json.loads(path.read_text())  # plain JSON
    assert saved["result"] == name and saved["schema_version"] == type(result).schema_version
    for again in (type(result).load(path), load_result(path)):
        assert again == result and to_plain(again) == to_plain(result) and repr(again) == shown
        assert str(again.table_rows()) == str(rows)  # in the same types
        assert again.save(tmp_path / "again.json").read_text() == path.read_text()
        again.plot()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_value_of_another_type_is_an_error(name: str, tmp_path: Path) -> None:
    path = example(name).save(tmp_path / "result.json")
    saved = json.loads(path.read_text())
    for field in saved["values"]:
        path.write_text(json.dumps(saved | {"values": saved["values"] | {field: [[["x"]]]}}))
        with pytest.raises(UsageError, match=rf"{name}\.{field}|{name}: "):
            load_result(path)


def test_curves_are_those_of_the_record() -> None:
    trained: Any = example("training")
    rows = trained.table_rows()
    assert (
        rows[0]["epoch"] == 1
        and rows[-1]["val_acc"] == trained.record.values["val_acc"] == trained.row["val_acc"]
    )


def test_a_loaded_run_has_reports_and_no_network(tmp_path: Path) -> None:
    run: Any = example("blockwise run")
    loaded: Any = load_result(run.save(tmp_path / "run.json"))
    assert run.frame.model is not None and loaded.reports == run.reports
    with pytest.raises(UsageError, match="holds its reports, and not the network"):
        _ = loaded.frame


def test_a_map_keeps_what_has_not_converged() -> None:
    coupling: Any = example("coupling map")
    doubtful = dataclasses.replace(coupling, converged=np.zeros_like(coupling.converged))
    assert doubtful != coupling and "hatched" in doubtful.figure().axes[0].get_title()
    assert "hatched" not in coupling.figure().axes[0].get_title()


NO_RESULTS = {
    "blockzoo.blockwise.extreme_eigenvalues": "two numbers",
    "blockzoo.blockwise.make_partition": "which parameters belong together",
    "blockzoo.blockwise.spectral_density": "two arrays",
    "blockzoo.nas.graph_of": "the graph of a network",
    "blockzoo.tiling.fuse_onnx": "what was done to a file",
}
"""Public functions that give a dataclass of ours that is no result, and why. The list only shrinks."""


def test_what_public_functions_give_is_a_result() -> None:
    """A new function that gives a new dataclass shows up here."""
    others = set()
    for package in PACKAGES:
        module = importlib.import_module(package)
        functions = {name: f for name in module.__all__ if inspect.isfunction(f := getattr(module, name))}
        for name, function in functions.items():
            given = str(function.__annotations__.get("return", "")).partition("[")[0].strip("'\"")
            kind = getattr(importlib.import_module(function.__module__), given, None)
            if inspect.isclass(kind) and dataclasses.is_dataclass(kind) and not issubclass(kind, Result):
                others.add(f"{package}.{name}")
    assert others == set(NO_RESULTS)
