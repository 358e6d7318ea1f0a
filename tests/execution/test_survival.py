"""Workers that hang, take too long or lose their fork server; supervisors that are asked to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.errors import OutOfMemory
from blockzoo.core.record import Record
from blockzoo.execution.jobs import Job
from blockzoo.execution.local import LocalProcesses
from blockzoo.execution.watch import Watch


def stop(name: str, report: Any) -> list[Record]:
    os.kill(os.getpid(), signal.SIGSTOP)
    return []


def sleep(name: str, report: Any) -> list[Record]:
    time.sleep(60)
    return []


def count(name: str, report: Any) -> list[Record]:
    for step in range(1, 600):
        Path(name).write_text(str(step))
        report(step, {})
        time.sleep(0.1)
    return []


def be_asked_to_end(name: str, report: Any) -> list[Record]:
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    raise SIGTERMException


def need_memory(name: str, report: Any) -> list[Record]:
    raise OutOfMemory("too large")


def be_full(name: str, report: Any) -> list[Record]:
    from blockzoo.core import faults

    faults._asked = "file.written:1+:full"
    return [Record("trial", name, "s", {})]


def succeed(name: str, report: Any) -> list[Record]:
    time.sleep(1)
    return [Record("trial", name, "s", {}, values={"pid": os.getpid()})]


def job(function: Any, name: str = "x") -> Job:
    return Job(function, {"name": name}, Record("trial", function.__name__, "s", {}), resumes=True)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


def only(records: Iterator[Record]) -> Record:
    (record,) = records
    return record


def test_a_worker_that_is_stopped_is_noticed_and_ended(tmp_path: Path) -> None:
    executor = LocalProcesses(tmp_path, workers=1, threads=1, watch=Watch(silence=3))
    record = only(executor.run([job(stop)]))
    assert record.status == "killed" and "no sign of life for 3 s" in record.reason


def test_a_worker_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    executor = LocalProcesses(tmp_path, workers=1, threads=1, watch=Watch(timeout=2))
    record = only(executor.run([job(sleep)]))
    assert record.status == "timed out" and "--timeout" in record.reason


def test_how_a_job_ends_is_told_apart(tmp_path: Path) -> None:
    jobs = [job(be_asked_to_end), job(need_memory), job(be_full)]
    records = {r.fingerprint: r for r in LocalProcesses(tmp_path, workers=2, threads=1).run(jobs)}
    assert {name: record.status for name, record in records.items()} == {
        "be_asked_to_end": "killed",
        "need_memory": "out of memory",
        "be_full": "failed",
    }
    assert "No space left" in records["be_full"].reason


@pytest.mark.parametrize("times", [1, 2])
def test_asked_to_stop_it_ends_at_the_next_report_and_asked_twice_at_once(tmp_path: Path, times: int) -> None:
    """What is interrupted has no row, and nothing of it runs on."""
    steps, watch, before = tmp_path / "steps", Watch(), signal.getsignal(signal.SIGTERM)

    def ask() -> None:
        while not steps.exists():
            time.sleep(0.05)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)

    (asking := threading.Thread(target=ask)).start()
    executor = LocalProcesses(tmp_path / "spool", workers=1, threads=1, watch=watch)
    records: list[Record] = []
    with watch.hearing(), pytest.raises(KeyboardInterrupt):
        try:
            records.extend(executor.run([job(count, str(steps)), job(sleep)]))
        finally:
            asking.join()  # asked again when nothing hears it any more, this process would end
    last = steps.read_text()
    assert records == [] and not list((tmp_path / "spool").iterdir())
    time.sleep(0.3)
    assert steps.read_text() == last, "it has ended"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_a_lost_fork_server_doubles_nothing(tmp_path: Path) -> None:
    """Its workers would run on unseen, beside those that do their jobs again."""
    running = LocalProcesses(tmp_path, workers=1, threads=1).run(
        [job(count, str(tmp_path / "steps")), job(succeed)]
    )

    def kill() -> None:
        while not (tmp_path / "steps").exists():
            time.sleep(0.05)
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]

    threading.Thread(target=kill).start()
    first = next(running)
    last = (tmp_path / "steps").read_text()
    assert first.status == "killed" and "started it" in first.reason
    second = only(running)
    assert second.status == "ok" and (tmp_path / "steps").read_text() == last


def test_seconds_in_which_the_supervisor_was_stopped_count_against_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watch = Watch()
    clock[0] += 1
    assert watch.absent() == 0
    clock[0] += 1000
    assert watch.absent() == 1000
    monkeypatch.setattr(time, "time", lambda: -1e9)  # a clock that is set back is not looked at
    assert watch.absent() == 0
