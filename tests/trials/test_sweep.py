"""Whole sweeps, in real processes, on real digits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blockzoo.core.contracts import BLOCKS
from blockzoo.core.csv_file import read_csv
from blockzoo.core.errors import DataError, StoreError, UsageError
from blockzoo.core.locks import locked
from blockzoo.core.store import Store
from blockzoo.sweep import run_sweep

SMALL = {
    "dataset": "digits",
    "epochs": 1,
    "batch_size": 128,
    "num_blocks": 1,
    "base_channels": 4,
    "limit_train": 256,
}
HERE = Path(__file__).parents[1]


@pytest.mark.slow
def test_own_block_from_file_to_sweep_and_nothing_runs_twice(tmp_path: Path) -> None:
    plugin = HERE / "my_custom_block.py"
    blocks = ["MyCustomBlock", f"{plugin}:MyCustomBlock", "ResNetBasicBlock"]
    first = run_sweep(blocks, "late", 1, output=tmp_path, plugins=[str(plugin)], **SMALL)  # type: ignore[arg-type]
    assert [(row["block"], row["position"]) for row in first.rows] == [(block, "late") for block in blocks]
    assert {row["status"] for row in first.rows} == {"ok"}
    for row in first.rows:
        assert row["latency_ms"] > 0 and row["stage_latency_ms"] > 0 and row["throughput"] > 0
    by_name, by_file = first.rows[0], first.rows[1]
    assert by_name["val_loss"] == by_file["val_loss"], "one class, one seed, two names"
    again = run_sweep(blocks, "late", 2, output=tmp_path, plugins=[str(plugin)], latency=False, **SMALL)  # type: ignore[arg-type]
    assert len(again.plan.trials) == 6 and len(again.plan.pending) == 3
    assert len(read_csv(again.csv)) == 6
    del BLOCKS["MyCustomBlock"]


@pytest.mark.slow
def test_failing_and_diverging_trials_are_rows(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "import os, signal\nfrom torch import nn\n"
        "class Broken(nn.Module):\n    def __init__(self, i, o, stride, position): raise ValueError('on purpose')\n"
        "class Deadly(nn.Module):\n    def __init__(self, i, o, stride, position): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subjects = [f"{tmp_path}/bad.py:Broken", f"{tmp_path}/bad.py:Deadly", "ResNetBasicBlock"]
    done = run_sweep(subjects, "mid", 1, output=tmp_path / "out", latency=False, **SMALL)  # type: ignore[arg-type]
    assert [row["status"] for row in done.rows] == ["failed", "killed", "ok"]
    assert "on purpose" in done.rows[0]["reason"] and "SIGKILL" in done.rows[1]["reason"]
    wild = run_sweep(
        ["ResNetBasicBlock"],
        "mid",
        1,
        lr=1e6,
        output=tmp_path / "out",
        latency=False,
        **{**SMALL, "epochs": 4},
    )  # type: ignore[arg-type]
    assert wild.rows[0]["status"] == "diverged" and "smaller --lr" in wild.rows[0]["reason"]
    repeated = run_sweep(subjects, "mid", 1, output=tmp_path / "out", latency=False, **SMALL)  # type: ignore[arg-type]
    assert len(repeated.plan.pending) == 2, "failed and killed run again, ok does not"


@pytest.mark.slow
def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    options = {**SMALL, "epochs": 40}
    call = f"run_sweep(['all'], 'all', 1, output={str(tmp_path)!r}, latency=False, **{options!r})"
    code = f"from blockzoo.sweep import run_sweep; {call}"
    process = subprocess.Popen([sys.executable, "-c", code])
    database, deadline = tmp_path / "results.sqlite", time.time() + 120
    while time.time() < deadline and not (database.exists() and len(Store(database).records()) >= 2):
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    stored = {r.fingerprint: r.timestamp for r in Store(database).records()}
    assert len(stored) >= 2
    time.sleep(1)  # its workers end by themselves
    plan = run_sweep(["all"], "all", 1, output=tmp_path, dry_run=True, **options).plan  # type: ignore[arg-type]
    assert len(plan.trials) == 3 * len(BLOCKS) and len(plan.pending) <= 3 * len(BLOCKS) - len(stored)
    after = {r.fingerprint: r.timestamp for r in Store(database).records()}
    assert stored.items() <= after.items()


def test_a_dry_run_estimates_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    plan = run_sweep(["ResNetBasicBlock"], "mid", 2, output=folder, dry_run=True, **SMALL)  # type: ignore[arg-type]
    assert len(plan.plan.pending) == 2 and plan.rows == [] and not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"blocks": []}, "grid is empty.*blocks"),
        ({"seeds": 0}, "grid is empty.*seeds"),
        ({"positions": "middle"}, "early, mid, late"),
        ({"blocks": ["ResNetBasicBlok"]}, "Did you mean ResNetBasicBlock"),
        ({"workers": 0}, "workers=0"),
        ({"device": "tpu"}, "cpu, cuda, auto"),
        ({"epochs": 0}, "epochs=0"),
        ({"executor": "lokal"}, "Did you mean local"),
        ({"filler": "nothing"}, "unknown block 'nothing'"),
    ],
)
def test_bad_requests_end_before_the_first_trial(tmp_path: Path, arguments: dict, says: str) -> None:
    options = {"blocks": ["ResNetBasicBlock"], "output": tmp_path / "out", **SMALL, **arguments}
    with pytest.raises(UsageError, match=says):
        run_sweep(options.pop("blocks"), **options)


def test_a_dataset_that_is_named_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--dataset digits"):
        run_sweep(
            ["ResNetBasicBlock"], output=tmp_path, data_dir=tmp_path, **{**SMALL, "dataset": "cifar100"}
        )  # type: ignore[arg-type]


def test_a_block_of_the_running_script_cannot_reach_the_workers(tmp_path: Path) -> None:
    class Local: ...

    Local.__module__ = "__main__"
    BLOCKS["Local"] = Local
    try:
        with pytest.raises(UsageError, match="--plugin"):
            run_sweep(["Local"], output=tmp_path, **SMALL)  # type: ignore[arg-type]
    finally:
        del BLOCKS["Local"]


def test_two_sweeps_do_not_write_to_one_store(tmp_path: Path) -> None:
    with locked(tmp_path / ".results.lock"), pytest.raises(StoreError, match="another sweep"):
        run_sweep(["ResNetBasicBlock"], output=tmp_path, **SMALL)  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--output"):
        run_sweep(["ResNetBasicBlock"], output=tmp_path / "file" / "out", **SMALL)  # type: ignore[arg-type]


@pytest.mark.realdata
def test_sweep_on_cifar10(tmp_path: Path) -> None:
    """The spine end to end on real images: blocks learn more than chance, positions differ, pictures are drawn."""
    from blockzoo.visualize import plot_results

    done = run_sweep(
        ["EdgeResidual"],
        ["early", "late"],
        1,
        dataset="cifar10",
        epochs=2,
        batch_size=64,
        num_blocks=1,
        base_channels=4,
        limit_train=2000,
        output=tmp_path,
        latency=False,
    )
    assert {row["status"] for row in done.rows} == {"ok"}
    assert all(row["test_acc"] > 0.2 and row["dataset"] == "cifar10" for row in done.rows)
    assert {row["split"].startswith("45k-5k-v1-") for row in done.rows} == {True}
    assert len({row["test_acc"] for row in done.rows}) == 2
    assert all(path.stat().st_size > 5000 for path in plot_results(done.csv))
