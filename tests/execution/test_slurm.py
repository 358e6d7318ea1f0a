"""Jobs of a SLURM cluster, by submitit's executor for one machine, which takes the same way through files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.core.record import Record
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.execution.jobs import Job
from blockzoo.execution.watch import Watch
from blockzoo.sweep import run_sweep
from tests.test_equal_requests import BLOCK, SMALL, of_all_seeds

pytest.importorskip("submitit")


def succeed(report: Any) -> list[Record]:
    return [Record("trial", "succeed", "s", {}, values={"answer": 42})]


def fail(report: Any) -> list[Record]:
    raise ValueError("no")


def leave(report: Any) -> list[Record]:
    import os

    os._exit(7)


def sleep(report: Any) -> list[Record]:
    time.sleep(60)
    return []


@pytest.mark.slow
def test_each_job_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    jobs = [Job(f, {}, Record("trial", f.__name__, "s", {})) for f in (succeed, fail, leave)]
    executor = EXECUTORS["slurm"](tmp_path, workers=3, threads=1, options=["cluster=local"])
    records = {record.fingerprint: record for record in executor.run(jobs)}
    assert records["succeed"].values == {"answer": 42}
    assert records["fail"].status == "failed" and "ValueError: no" in records["fail"].reason
    assert records["leave"].status == "killed"
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.slow
def test_what_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    executor = EXECUTORS["slurm"](
        tmp_path, workers=1, threads=1, options=["cluster=local"], watch=Watch(timeout=3)
    )
    (record,) = executor.run([Job(sleep, {}, Record("trial", "x", "s", {}))])
    assert record.status == "timed out"


@pytest.mark.parametrize(
    "option",
    [
        "local_setup=touch RAN",
        "slurm_setup=x",
        "slurm_additional_parameters=x",
        "timeout_min=abc",
        "mem_gb=lots",
    ],
)
def test_no_command_and_no_raw_error_by_an_option(tmp_path: Path, option: str) -> None:
    """A file with options, too, may be what says them."""
    with pytest.raises(UsageError, match=r"submitit"):
        list(EXECUTORS["slurm"](tmp_path, workers=1, threads=1, options=["cluster=local", option]).run([]))


def test_numbers_of_options_are_numbers(tmp_path: Path) -> None:
    """submitit itself looks at their types."""
    options = ["cluster=local", "mem_gb=1.5", "timeout_min=30"]
    assert list(EXECUTORS["slurm"](tmp_path, workers=1, threads=1, options=options).run([])) == []


@pytest.mark.parametrize("options", [["cluster=moon"], ["partition"], ["no_such=1", "cluster=local"]])
def test_options_that_cannot_be(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(UsageError, match=r"submitit|NAME=VALUE"):
        list(EXECUTORS["slurm"](tmp_path, workers=1, threads=1, options=options).run([]))


@pytest.mark.slow
def test_a_sweep_on_slurm_is_the_same_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    run_sweep([BLOCK], "early", 2, output=tmp_path / "local", **SMALL)
    run_sweep(
        [BLOCK], "early", 2, output=tmp_path / "slurm", executor="slurm", slurm=["cluster=local"], **SMALL
    )
    assert of_all_seeds(tmp_path / "slurm") == of_all_seeds(tmp_path / "local")
