"""What we start imports nothing of the folder that the user stands in, and keeps PYTHONPATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from blockzoo.core import consent, safe_path
from blockzoo.execution import children

SHADOWS = (
    "random socket selectors signal threading json statistics lightning timm torch torchvision numpy matplotlib "
    "multiprocessing pickle runpy logging sitecustomize"
).split()
"""Modules that a fork server, a worker or a child imports, or a library that is preloaded."""

PROGRAM = """
import multiprocessing, subprocess, sys
from tells import tell
from blockzoo.core import consent
from blockzoo.core.safe_path import module_command
from blockzoo.execution import children
from blockzoo.execution.local import without_main
from blockzoo.nas.space.hashing import hash_range

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["random", "statistics", "wave"])
    with consent.only(["mine"]):
        ours, theirs = context.Pipe()
        with without_main():
            child = context.Process(**children.body(tell, theirs), daemon=True)
            child.start()
        found = ours.recv()
        child.join()
    print(found)
    words = ("conv,mbconv,bconv", "2", "1", "0", "2")
    out = subprocess.run(module_command("blockzoo.nas.space.hashing", *words), stdout=subprocess.PIPE, check=True).stdout
    assert out == hash_range(["conv", "mbconv", "bconv"], 2, 1, 0, 2)
"""
TELLS = """
import random, statistics, wave, os, sys
from blockzoo.core import consent

def tell(pipe):
    pipe.send((consent.granted(), os.getcwd(), [p for p in sys.path if p in ("", os.getcwd())], os.environ["PYTHONSAFEPATH"]))
"""


def _paths(*folders: str | Path) -> str:
    """PYTHONPATH with these first; no empty entry, which would name the current folder."""
    return os.pathsep.join(
        [*map(str, folders), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    )


@pytest.mark.parametrize("way", ["script", "-c"])
def test_a_child_imports_nothing_that_lies_beside_the_user(tmp_path: Path, way: str) -> None:
    here, theirs = tmp_path / "here", tmp_path / "theirs"
    here.mkdir()
    theirs.mkdir()
    ran = tmp_path / "RAN"
    for name in SHADOWS:
        (here / f"{name}.py").write_text(f"open({str(ran)!r}, 'a').write(__name__ + ' ')\n")
    (theirs / "tells.py").write_text(TELLS)  # found by the PYTHONPATH of the user
    (tmp_path / "program.py").write_text(PROGRAM)
    path = _paths(theirs, safe_path.HOME)
    run = [str(tmp_path / "program.py")]
    if (
        way == "-c"
    ):  # a program whose own path holds the current folder, last: nothing there hides what is installed
        run = ["-c", f"import sys; sys.path.append(sys.path.pop(0)); exec(open({run[0]!r}).read())"]
    done = subprocess.run(
        [sys.executable, *run],
        cwd=here,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not ran.exists(), ran.read_text()
    within = [str(here)] if way == "-c" else []
    assert done.stdout.strip() == str((("mine",), str(here), within, "1"))


def test_the_current_folder_goes_last_where_python_put_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    here = str(Path.cwd())
    for first in ("", here):
        monkeypatch.setattr(sys, "path", [first, "/a", safe_path.HOME])
        assert safe_path.safe_path() == ["/a", safe_path.HOME, here]
    monkeypatch.setattr(sys, "path", ["/bin", here, "/a"])  # as PYTHONPATH has it
    assert safe_path.safe_path()[:3] == ["/bin", here, "/a"] and safe_path.HOME in safe_path.safe_path()
    with children.starting():
        assert os.environ[safe_path.VARIABLE] == "1"
    assert sys.path == ["/bin", here, "/a"]


@pytest.mark.parametrize("words", ["-mblockzoo --version", "-m blockzoo.profile --help"])
def test_a_command_leaves_the_current_folder(words: str, tmp_path: Path) -> None:
    for name in "cyclopts rich torch json hashlib logging dataclasses random difflib tempfile ast".split():
        (tmp_path / f"{name}.py").write_text("open('RAN', 'w')")
    path = _paths(safe_path.HOME)
    done = subprocess.run(
        [sys.executable, *words.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
    )
    assert done.returncode == 0 and not (tmp_path / "RAN").exists(), done.stderr


def test_a_program_that_only_uses_it_keeps_its_path(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import blockzoo, sys; print(sys.path[0])")
    for words in (["-m", "program"], ["-c", "import blockzoo, sys; print(sys.path[0])"]):
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.strip() == ("" if words[0] == "-c" else str(tmp_path))


def test_a_child_may_run_what_its_parent_may() -> None:
    with consent.only(["a.py"]):
        asked = children.body(print, 1)
    granted, *call = asked["args"]
    assert asked["target"] is children.begin and call == [print, (1,)] and "a.py" in granted
    assert children.body(print)["args"][0] is None
