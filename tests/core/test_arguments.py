"""Nonsense where values enter is a sentence, of the project's own kind, and never a raw error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blockzoo import nas
from blockzoo.blockwise.run.config import RunConfig
from blockzoo.blockwise.run.options import Network, Options
from blockzoo.core.arguments import misfits
from blockzoo.core.errors import BlockzooError, UsageError
from blockzoo.nas.search.task import Task

NONSENSE: tuple[Any, ...] = (
    *("x", "5", "", None, -1, 1.5, float("nan"), float("inf"), 10**30, True, [], [1], {}, object(), b"x"),
    *(np.array([1.5]), np.array("x"), (), ("x",)),
)


@pytest.mark.parametrize("cls", [Options, RunConfig, Network])
def test_every_field_of_a_run_takes_nonsense_or_says_what_it_needs(cls: type) -> None:
    for name in cls.__dataclass_fields__:  # type: ignore[attr-defined]
        refused = 0
        for value in NONSENSE:
            try:
                cls(**{name: value})
            except UsageError as error:
                assert len(str(error)) > 10
                refused += 1
        assert refused > 5, name


def test_numbers_of_numpy_are_numbers() -> None:
    options = Options(k=(np.int64(3), 2), step_size=np.float32(0.5), rounds=np.int32(4))  # type: ignore[arg-type]
    assert options.per_block("k", 2) == [3, 2] and options.step_size == 0.5
    with pytest.raises(UsageError, match=r"k 'x': give a whole number or a tuple"):
        Options(k="x")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def mini() -> nas.Dataset:
    return nas.load("mini")


@pytest.mark.parametrize(
    "call",
    [
        lambda d, v: Task(d, v),
        lambda d, v: Task(v, 5),
        lambda d, v: Task(d, 5, v),
        lambda d, v: Task(d, 5, duplicates=v),
        lambda d, v: Task(d, 5, seed=v),
        lambda d, v: nas.from_folder(v),
        lambda d, v: nas.load("mini", seeds=v),
        lambda d, v: nas.load("mini", devices=v),
        lambda d, v: nas.load("mini", preferred_ext=v),
        lambda d, v: nas.read_dataset_file(v),
        lambda d, v: nas.write_dataset_file(v, {}, {}),
        lambda d, v: nas.MacroSpace(v),
        lambda d, v: nas.MacroSpace(nodes=v),
        lambda d, v: nas.MacroSpace(stages=v),
        lambda d, v: nas.static_info(v),
        lambda d, v: nas.static_info(None, v),
        lambda d, v: nas.EnvInfoDataset(v),
        lambda d, v: nas.BenchmarkingDataset(v),
        lambda d, v: d.space.index_of_hash(v),
        lambda d, v: d.val_acc(5, v),
        lambda d, v: d.top(v),
        lambda d, v: d.pareto(v),
    ],
)
def test_nonsense_for_a_benchmark_is_answered_or_refused_in_words(
    call: Any, mini: nas.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = 0
    for value in NONSENSE:
        try:
            call(mini, value)
        except BlockzooError as error:
            refused += len(str(error)) > 10
    assert refused > 5


def test_only_what_is_annotated_is_held_to_it() -> None:
    def function(a, b: int, *, c: float | None = None, **more: str):  # type: ignore[no-untyped-def]
        pass

    assert misfits(function, {"a": "x", "b": 1, "c": 2, "d": 3}) == []
    assert misfits(function, {"b": 1.5, "c": "x"}) == [
        "b 1.5: give a whole number",
        "c 'x': give a number or None",
    ]
