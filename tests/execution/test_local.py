from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.record import Record
from blockzoo.execution.jobs import Job
from blockzoo.execution.local import LocalProcesses
from blockzoo.execution.spool import leftovers

HERE = "tests.execution.test_local"


def succeed(name: str, report: Any) -> list[Record]:
    report(1, {"val_acc": 0.5})
    return [Record("trial", name, "s", {}, values={"pid": os.getpid()})]


def fail(name: str, report: Any) -> list[Record]:
    raise ValueError(f"no {name}")


def be_killed(name: str, report: Any) -> list[Record]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def leave(name: str, report: Any) -> list[Record]:
    os._exit(7)


def wait(name: str, report: Any) -> list[Record]:
    Path(name).write_text(str(os.getpid()))
    time.sleep(60)
    return []


def threads(name: str, report: Any) -> list[Record]:
    import torch

    return [Record("trial", name, "s", {}, values={"threads": torch.get_num_threads()})]


def job(function: Any, name: str) -> Job:
    return Job(function, {"name": name}, Record("trial", name, "s", {}))


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


def test_each_job_is_a_row_whatever_happens(tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []

    class Ear:
        def started(self, job: Job) -> None: ...

        def progressed(self, job: Job, step: int, values: dict[str, float]) -> None:
            heard.append((job.stub.fingerprint, step))

    jobs = [job(succeed, "a"), job(fail, "b"), job(be_killed, "c"), job(leave, "d"), job(succeed, "e")]
    executor = LocalProcesses(tmp_path, workers=2, threads=1, listener=Ear())
    records = {record.fingerprint: record for record in executor.run(jobs)}
    assert {name: record.status for name, record in records.items()} == {
        "a": "ok", "b": "failed", "c": "killed", "d": "killed", "e": "ok"
    }  # fmt: skip
    assert "ValueError: no b" in records["b"].reason
    assert "SIGKILL" in records["c"].reason and "exit code 7" in records["d"].reason
    assert records["a"].values["pid"] != records["e"].values["pid"], "one process a job"
    assert set(heard) == {("a", 1), ("e", 1)}
    assert not list(tmp_path.glob("*.json")), "the spool is empty once all is stored"


def test_threads_are_set(tmp_path: Path) -> None:
    executor = LocalProcesses(tmp_path, workers=1, threads=1)
    assert next(iter(executor.run([job(threads, "t")]))).values == {"threads": 1}


def test_spool_is_kept_until_the_record_is_stored(tmp_path: Path) -> None:
    running = LocalProcesses(tmp_path, workers=1, threads=1).run([job(succeed, "a"), job(succeed, "b")])
    first = next(running)
    assert next(records for _, records in leftovers(tmp_path)) == [first]
    running.close()  # type: ignore[attr-defined]


def test_workers_die_with_their_supervisor(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from blockzoo.core.record import Record
from blockzoo.execution.jobs import Job
from blockzoo.execution.local import LocalProcesses
from {HERE} import wait
name = {str(tmp_path / "pid")!r}
job = Job(wait, {{"name": name}}, Record("trial", "x", "s", {{}}))
list(LocalProcesses(Path({str(tmp_path)!r}), workers=1, threads=1).run([job]))
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code])
    pid_file = tmp_path / "pid"
    deadline = time.time() + 60
    while not (pid_file.exists() and pid_file.read_text()) and time.time() < deadline:
        time.sleep(0.05)
    worker = int(pid_file.read_text())
    supervisor.kill()
    supervisor.wait()
    while time.time() < deadline:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the worker outlived its supervisor")
