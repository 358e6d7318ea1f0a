"""Files appear whole, and nothing is written through a link or by a name that can be guessed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from blockzoo.blockwise.run.reading import run_status
from blockzoo.blockwise.run.reports import ReportFolder
from blockzoo.core.errors import StoreError
from blockzoo.core.files import append_text, open_own, remove, write_atomically, write_text
from blockzoo.core.locks import Held, Lock, locked
from blockzoo.core.outputs import Outputs
from blockzoo.execution.queue import only_writer
from blockzoo.nas.benchmark.download import fetch


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "victim"
    path.parent.mkdir()
    path.write_text("precious\n")
    return path


def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "blox-info.native").write_bytes(b"content")
    return folder


def a_run(folder: Path) -> None:
    with ReportFolder(folder) as reports:
        reports.parameters({})
        reports.progress({"round": 1})
        reports.measured(1, "unit", {"x": 1})
        reports.status("finished")


WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "write_text": lambda folder, tmp: write_text(folder / "results.csv", "new"),
    "write_atomically": lambda folder, tmp: write_atomically(
        folder / "a.png", lambda t: t.write_bytes(b"new")
    ),
    "append_text": lambda folder, tmp: append_text(folder / "progress.jsonl", "new"),
    "a lock": lambda folder, tmp: Lock(folder / ".lock").release(),
    "the one writer": lambda folder, tmp: only_writer(Outputs.at(folder)).__enter__(),
    "a run": lambda folder, tmp: a_run(folder),
    "a copy of a mirror": lambda folder, tmp: fetch(folder, mirror(tmp)),
}
NAMES = (
    "results.csv .results.csv.part a.png .a.png.part progress.jsonl measurements.jsonl parameters.json status.json .lock "
    ".results.lock blox-info.native .blox-info.native.part .earlier .progress.jsonl.part .lock.part"
).split()


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_written_through_a_link(name: str, tmp_path: Path, victim: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for link in NAMES:
        (folder / link).symlink_to(victim)
    try:
        WRITERS[name](folder, tmp_path)
    except StoreError as error:
        assert "link" in str(error)
    assert victim.read_text() == "precious\n" and [p.name for p in victim.parent.iterdir()] == ["victim"]


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "a.txt").symlink_to(victim)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new" and not (tmp_path / "a.txt").is_symlink()
    (tmp_path / "folder").symlink_to(victim.parent)
    remove(tmp_path / "folder")
    assert victim.exists() and not (tmp_path / "folder").is_symlink()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for call in (
        lambda: append_text(tmp_path / "gone", "x"),
        lambda: open_own(tmp_path / "gone", os.O_CREAT),
    ):
        with pytest.raises(StoreError, match="is a link"):
            call()
    assert not (tmp_path / "nowhere").exists()


def test_temporary_names_cannot_be_guessed_and_are_made_by_who_opens_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for _ in range(20):
        write_atomically(tmp_path / "a.csv", lambda t: (seen.append(t.name), t.write_text("x")))
    assert len(set(seen)) == 20 and all(name.endswith(".csv") and len(name) >= 20 for name in seen)
    monkeypatch.setattr("blockzoo.core.files.secrets.token_hex", lambda n: "known")
    (tmp_path / ".a-known.csv").write_text("someone was here before")
    with pytest.raises(StoreError, match="intact"):
        write_text(tmp_path / "a.csv", "new")
    assert (tmp_path / "a.csv").read_text() == "x"
    assert (tmp_path / ".a-known.csv").read_text() == "someone was here before"


def test_modes_follow_the_umask_or_the_file_that_was_there(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
        append_text(tmp_path / "b", "x")
        assert [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in "ab"] == [0o640, 0o640]
        (tmp_path / "a").chmod(0o600)
        write_text(tmp_path / "a", "y")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_lock_is_held_and_never_written(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.write_text("what was there")
    lock = Lock(path)
    for shared in (False, True):
        with pytest.raises(Held):
            Lock(path, shared=shared)
    code = (
        "import sys; from pathlib import Path; from blockzoo.core.locks import Lock; Lock(Path(sys.argv[1]))"
    )
    assert b"Held" in subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True).stderr
    lock.release()
    lock.release()
    with locked(path, shared=True), locked(path, shared=True), pytest.raises(Held):
        Lock(path)
    assert path.read_text() == "what was there"
    assert subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True).returncode == 0


def test_looking_at_a_run_writes_nothing(tmp_path: Path) -> None:
    a_run(tmp_path)
    (tmp_path / ".lock").unlink()
    (tmp_path / "status.json").write_text('{"status": "running", "process": 1}')
    assert (run_status(tmp_path) or {})["status"] == "killed" and not (tmp_path / ".lock").exists()
