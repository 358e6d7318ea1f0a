"""Ray, started on this machine: every job is a row, and a lost one says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.contracts import EXECUTORS
from blockzoo.core.record import Record
from blockzoo.execution.jobs import Job
from blockzoo.sweep import run_sweep
from tests.test_sweep import SMALL

ray = pytest.importorskip("ray")
HERE = "tests.execution.test_cluster"


def succeed(name: str, report: Any) -> list[Record]:
    report(1, {"val_acc": 0.5})
    return [Record("trial", name, "s", {}, values={"pid": os.getpid()})]


def fail(name: str, report: Any) -> list[Record]:
    raise ValueError(f"no {name}")


def leave(name: str, report: Any) -> list[Record]:
    os._exit(7)


def test_each_job_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    jobs = [
        Job(f"{HERE}:{f.__name__}", {"name": f.__name__}, Record("trial", f.__name__, "s", {}))
        for f in (succeed, fail, leave)
    ]
    found = {r.fingerprint: r for r in EXECUTORS["ray"](tmp_path, workers=2, threads=1).run(jobs)}
    assert found["succeed"].status == "ok" and found["succeed"].values["pid"] != os.getpid()
    assert found["fail"].status == "failed" and "ValueError: no fail" in found["fail"].reason
    assert found["leave"].status == "killed" and "Ray lost it" in found["leave"].reason
    assert not ray.is_initialized()


@pytest.mark.slow
def test_a_sweep_on_a_cluster_is_the_same_sweep(tmp_path: Path) -> None:
    done = run_sweep(["ResNetBasicBlock"], "mid", 2, output=tmp_path, latency=False, executor="ray", **SMALL)  # type: ignore[arg-type]
    local = run_sweep(["ResNetBasicBlock"], "mid", 2, output=tmp_path / "local", latency=False, **SMALL)  # type: ignore[arg-type]
    assert [r["val_loss"] for r in done.rows] == [r["val_loss"] for r in local.rows]
