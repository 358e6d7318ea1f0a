"""Ray, started on this machine: every job is a row, and a lost one says so."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.contracts import EXECUTORS
from blockzoo.core.errors import RequestError, RunnersLost
from blockzoo.core.record import Record
from blockzoo.execution.jobs import Job, Silent
from blockzoo.execution.progress import SilentProgress
from blockzoo.execution.watch import Watch
from blockzoo.sweep import run_sweep
from tests.test_sweep import SMALL

if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed", allow_module_level=True)
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
    import ray

    assert not ray.is_initialized()
    assert os.environ["RAY_AUTH_MODE"] == "token", (
        "of those on this machine, only its driver may give a cluster work"
    )


@pytest.mark.slow
def test_a_sweep_on_a_cluster_is_the_same_sweep(tmp_path: Path) -> None:
    done = run_sweep(["ResNetBasicBlock"], "mid", 2, output=tmp_path, latency=False, executor="ray", **SMALL)  # type: ignore[arg-type]
    local = run_sweep(["ResNetBasicBlock"], "mid", 2, output=tmp_path / "local", latency=False, **SMALL)  # type: ignore[arg-type]
    assert [r["val_loss"] for r in done.rows] == [r["val_loss"] for r in local.rows]


def wait_for_ever(report: Any) -> list[Record]:
    report(1, {"val_acc": 0.5})
    time.sleep(600)
    return []


def hang(report: Any) -> list[Record]:
    os.kill(os.getpid(), signal.SIGSTOP)
    return []


@pytest.mark.slow
def test_epochs_are_heard_and_what_hangs_or_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    heard: list[int] = []

    class Ear(Silent):
        def progressed(self, job: Job, step: int, values: dict[str, float]) -> None:
            heard.append(step)

    def job(function: Any) -> Job:
        return Job(f"{HERE}:{function.__name__}", {}, Record("trial", function.__name__, "s", {}))

    options: dict[str, Any] = {"workers": 1, "threads": 1, "listener": Ear()}
    executor = EXECUTORS["ray"](tmp_path, watch=Watch(timeout=20), **options)
    (record,) = executor.run([job(wait_for_ever)])
    assert record.status == "timed out" and heard == [1]
    executor = EXECUTORS["ray"](tmp_path, watch=Watch(silence=8), **options)
    (record,) = executor.run([job(hang)])
    assert record.status == "killed" and "no sign of life" in record.reason


def test_no_cluster_at_an_address(tmp_path: Path) -> None:
    executor = EXECUTORS["ray"](tmp_path, workers=1, threads=1, address="127.0.0.1:1")
    with pytest.raises(RequestError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        list(executor.run([]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"address": "a:1"}, "of --executor ray"),
        ({"slurm": ["partition=x"]}, "of --executor slurm"),
        ({"executor": "ray", "gpus_per_trial": 1.5}, "fraction"),
    ],
)
def test_options_of_another_executor(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        run_sweep(["ResNetBasicBlock"], "mid", 1, output=tmp_path, **{**SMALL, **options})


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_node_and_then_the_head_of_a_cluster_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes on loopback: one is killed, the sweep ends all the same; the head is killed, the next sweep goes on."""
    import ray
    from ray.cluster_utils import Cluster

    from tests.test_equal_requests import of_all_seeds

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    options: dict[str, Any] = {**SMALL, "epochs": 3, "latency": False, "device": "cpu"}
    run_sweep(["ResNetBasicBlock"], "mid", 4, output=tmp_path / "local", **options)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    options |= {"executor": "ray", "address": cluster.address, "workers": 2}

    class Killer(SilentProgress):
        def progressed(self, job: Job, step: int, values: dict[str, float]) -> None:
            if self.victim is not None:
                cluster.remove_node(self.victim, allow_graceful=False)
                self.victim = None

    killer = Killer()
    killer.victim = node  # type: ignore[attr-defined]
    try:
        run_sweep(["ResNetBasicBlock"], "mid", 4, output=tmp_path / "node", progress=killer, **options)
        assert of_all_seeds(tmp_path / "node") == of_all_seeds(tmp_path / "local")
        killer.victim = cluster.head_node  # type: ignore[attr-defined]
        with pytest.raises((RunnersLost, RequestError)):
            run_sweep(["ResNetBasicBlock"], "mid", 4, output=tmp_path / "head", progress=killer, **options)
    finally:
        ray.shutdown()
        cluster.shutdown()
    options |= {"executor": "local", "address": None}
    run_sweep(["ResNetBasicBlock"], "mid", 4, output=tmp_path / "head", **options)
    assert of_all_seeds(tmp_path / "head") == of_all_seeds(tmp_path / "local")
