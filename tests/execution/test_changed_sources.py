"""A package that is edited while a sweep runs: the sweep starts nothing more, says which files, and goes on when asked again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.errors import SourcesChanged, StoreError
from blockzoo.core.outputs import Outputs
from blockzoo.core.own_sources import SourceFiles
from blockzoo.core.record import Record
from blockzoo.execution.jobs import Job
from blockzoo.execution.local import LocalProcesses
from blockzoo.execution.watch import Watch

ROOT = Path(__file__).parents[2]


def edit(name: str, report: Any) -> list[Record]:
    Path(name).write_text("x = 2\n")
    return [Record("other", name, "s", {})]


def edit_and_leave_what_cannot_be_read(name: str, report: Any) -> list[Record]:
    Path(name).write_text("x = 3\n")
    return [Record("trial", "y", "s", {"a field of tomorrow": 1})]


def job(function: Any, name: Path) -> Job:
    return Job(function, {"name": str(name)}, Record("trial", function.__name__, "s", {}))


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Watch, Path, LocalProcesses]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.syspath_prepend(str(ROOT))
    (tmp_path / "source").mkdir()
    file = tmp_path / "source" / "module.py"
    file.write_text("x = 1\n")
    watch = Watch(sources=SourceFiles(tmp_path / "source"))
    return watch, file, LocalProcesses(tmp_path / "spool", workers=1, threads=1, watch=watch)


def test_no_job_is_handed_out_after_the_source_changed(watched: tuple[Watch, Path, LocalProcesses]) -> None:
    watch, file, executor = watched
    watch.check_sources()
    records = list(executor.run([job(edit, file), job(edit_and_leave_what_cannot_be_read, file)]))
    assert [record.kind for record in records] == ["other"], "the first is kept, the second was not started"
    with pytest.raises(
        SourcesChanged, match=r"module.py changed.*has finished is kept.*Run the same again.*a copy of it"
    ):
        watch.check_sources()


def test_a_result_of_another_source_is_no_failure_of_its_trial(
    watched: tuple[Watch, Path, LocalProcesses],
) -> None:
    watch, file, executor = watched
    assert list(executor.run([job(edit_and_leave_what_cannot_be_read, file)])) == []
    assert [path.name for path in (file.parents[1] / "spool").iterdir()] == [
        "trial-edit_and_leave_what_cannot_be_read.json.quarantine"
    ]
    with pytest.raises(SourcesChanged):
        watch.check_sources()
    same = Watch(sources=SourceFiles(file.parent))
    alike = LocalProcesses(file.parents[1] / "spool", workers=1, threads=1, watch=same)
    (record,) = alike.run([job(edit_and_leave_what_cannot_be_read, file)])
    assert record.status == "failed" and "a field of tomorrow" in record.reason, (
        "of the same source it is one"
    )


@pytest.mark.slow
def test_a_sweep_whose_package_is_edited_stops_and_goes_on(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "blockzoo", tmp_path / "blockzoo", ignore=shutil.ignore_patterns("__pycache__"))
    words = (
        "-m blockzoo sweep --blocks ResNetBasicBlock --positions mid --seeds 3 --dataset digits --epochs 1 --limit-train 64 "
        "--base-channels 4 --num-blocks 1 --workers 1 --no-latency --no-plots"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "1000"}
    options: dict[str, Any] = {"cwd": tmp_path, "env": environment, "text": True, "stderr": subprocess.STDOUT}
    first = subprocess.Popen([sys.executable, *words.split()], stdout=subprocess.PIPE, **options)
    outputs = Outputs.at(tmp_path / "results")
    try:
        while first.poll() is None and not stored(outputs):
            time.sleep(0.05)
        spec = tmp_path / "blockzoo" / "core" / "spec.py"
        with spec.open("a") as file:
            file.write("# edited\n")
        said, _ = first.communicate(timeout=300)
    finally:
        first.kill()
    assert first.returncode == 1 and "core/spec.py changed" in said and "Run the same again" in said, said
    assert 1 <= stored(outputs) < 3 and outputs.csv.is_file()
    again = subprocess.run(
        [sys.executable, *words.split()], stdout=subprocess.PIPE, timeout=600, check=False, **options
    )
    assert again.returncode == 0 and stored(outputs) == 3, again.stdout


def stored(outputs: Outputs) -> int:
    try:
        records = outputs.store(create=False).records("trial") if outputs.database.is_file() else []
    except StoreError:  # it is being made
        return 0
    assert all(record.status == "ok" for record in records)
    return len(records)
