"""Ray, started on this machine: every job is a row, and a lost one says so."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.execution.cluster import HEADLESS, _Head
from blockzoo.execution.contracts import EXECUTORS
from blockzoo.execution.jobs import Job, Silent
from blockzoo.execution.progress import SilentProgress
from blockzoo.execution.watch import Watch
from blockzoo.sweep import run_sweep
from tests.test_equal_requests import of_all_seeds
from tests.trials.test_sweep import SMALL

if importlib.util.find_spec("ray") is None:
    pytest.skip("ray is not installed", allow_module_level=True)


def succeed(name: str, report: Any) -> list[Record]:
    report(1, {"val_acc": 0.5})
    return [Record("trial", name, "s", {}, values={"pid": os.getpid()})]


def fail(name: str, report: Any) -> list[Record]:
    raise ValueError(f"no {name}")


def leave(name: str, report: Any) -> list[Record]:
    os._exit(7)


@pytest.mark.slow
def test_each_job_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    jobs = [
        Job(f, {"name": f.__name__}, Record("trial", f.__name__, "s", {})) for f in (succeed, fail, leave)
    ]
    records = {r.fingerprint: r for r in EXECUTORS["ray"](tmp_path, workers=2, threads=1).run(jobs)}
    assert records["succeed"].status == "ok" and records["succeed"].values["pid"] != os.getpid()
    assert records["fail"].status == "failed" and "ValueError: no fail" in records["fail"].reason
    assert records["leave"].status == "killed" and "Ray lost it" in records["leave"].reason
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
        return Job(function, {}, Record("trial", function.__name__, "s", {}))

    options: dict[str, Any] = {"workers": 1, "threads": 1, "listener": Ear()}
    executor = EXECUTORS["ray"](tmp_path, watch=Watch(timeout=20), **options)
    (record,) = executor.run([job(wait_for_ever)])
    assert record.status == "timed out" and heard == [1]
    executor = EXECUTORS["ray"](tmp_path, watch=Watch(silence=8), **options)
    (record,) = executor.run([job(hang)])
    assert record.status == "killed" and "no sign of life" in record.reason


def test_no_cluster_at_an_address(tmp_path: Path) -> None:
    executor = EXECUTORS["ray"](tmp_path, workers=1, threads=1, address="127.0.0.1:1")
    with pytest.raises(UsageError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
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
    with pytest.raises(UsageError, match=says):
        run_sweep(["ResNetBasicBlock"], "mid", 1, output=tmp_path, **{**SMALL, **options})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one processor each, on loopback."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


OF_FOUR: dict[str, Any] = {**SMALL, "epochs": 3, "latency": False, "device": "cpu"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The numbers of the same sweep without Ray."""
    folder = tmp_path_factory.mktemp("local")
    run_sweep(["ResNetBasicBlock"], "mid", 4, output=folder, **OF_FOUR)
    return of_all_seeds(folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_node_of_a_cluster_dies(cluster: Any, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    class Killer(SilentProgress):
        victims = cluster.worker_nodes.copy()

        def progressed(self, job: Job, step: int, values: dict[str, float]) -> None:
            while self.victims:
                cluster.remove_node(self.victims.pop(), allow_graceful=False)

    placing: dict[str, Any] = {"executor": "ray", "address": cluster.address, "workers": 2}
    run_sweep(["ResNetBasicBlock"], "mid", 4, output=tmp_path, progress=Killer(), **placing, **OF_FOUR)
    assert of_all_seeds(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_head_of_a_cluster_dies(cluster: Any, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    """The command ends by itself, says why, and goes on where it was: here, for the cluster is gone."""
    words = [
        "blockzoo",
        "sweep",
        "--blocks=ResNetBasicBlock",
        "--positions=mid",
        "--seeds=4",
        "--dataset=digits",
    ]
    words += ["--epochs=3", "--batch-size=128", "--num-blocks=1", "--base-channels=4", "--limit-train=256"]
    words += ["--device=cpu", "--no-latency", "--no-plots", f"--output={tmp_path}"]
    of_ray = ["--executor=ray", f"--address={cluster.address}", "--workers=1"]
    command = subprocess.Popen(
        [sys.executable, "-m", *words, *of_ray], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    outputs = Outputs.at(tmp_path)
    while not (outputs.database.is_file() and len(outputs.store(create=False).records())):
        assert command.poll() is None, command.communicate()[0]
        time.sleep(0.2)
    cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    said, _ = command.communicate(timeout=300)
    assert command.returncode == 1 and "cluster is lost" in said, said
    assert 1 <= len(outputs.store(create=False).records()) < 4
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
    assert of_all_seeds(tmp_path) == undisturbed


def test_a_head_that_never_answered_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be out of reach from here though the cluster works; one that answered and then is silent is lost."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        heads = [_Head(f"ray://127.0.0.1:{server.getsockname()[1]}"), _Head("127.0.0.1:1")]
        now = time.monotonic()
        for head in heads:
            head.check()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2 * HEADLESS)
    heads[1].check()
    with pytest.raises(ConnectionError, match="has been away for 30 s"):
        heads[0].check()
