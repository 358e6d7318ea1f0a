"""The first changes of CONTRIBUTING.md: each file is written where it says, in a copy of the package, and its commands run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.documented import ROOT, blocks_of
from tests.preloaded import Preloaded

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
EXAMPLES = PAGE.partition("## Your first change")[2].partition("\n## ")[0]
DOORS = dict(re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", EXAMPLES, re.DOTALL | re.MULTILINE))


class Copy(NamedTuple):
    """A package with every first change in it, and what runs its commands."""

    folder: Path
    commands: Preloaded


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(ROOT / "blockzoo", folder / "blockzoo")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for text in DOORS.values():
        (source,) = blocks_of(text, "python")
        place, _, _ = source.partition("\n")
        path = folder / place.removeprefix("# ")
        assert path.parent.is_dir() and not path.exists(), place
        path.write_text(source)
    with Preloaded() as commands:
        yield Copy(folder, commands)


@pytest.mark.parametrize("door", DOORS)
def test_the_first_change(door: str, changed: Copy, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(changed.folder), "COLUMNS": "110"}
    for line in "".join(blocks_of(DOORS[door], "bash")).splitlines():
        done = changed.commands.run(shlex.split(line), tmp_path, environment)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_every_door_has_one() -> None:
    assert len(DOORS) == 11


def test_they_are_written_as_the_package_is(changed: Copy) -> None:
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "blockzoo"],
            cwd=changed.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
