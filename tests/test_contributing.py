"""The first changes of CONTRIBUTING.md: each file is written where it says, in a copy of the package, and its commands run."""

from __future__ import annotations

import csv
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
from tests.sampled import sampled

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


def printed(words: list[str], changed: Copy, folder: Path) -> str:
    """What a command of the changed package prints there."""
    environment = {**os.environ, "PYTHONPATH": str(changed.folder), "COLUMNS": "110"}
    done = changed.commands.run(words, folder, environment)
    assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.mark.parametrize("door", sampled(DOORS, ["A block", "A protocol"]))
def test_the_first_change(door: str, changed: Copy, tmp_path: Path) -> None:
    for line in "".join(blocks_of(DOORS[door], "bash")).splitlines():
        printed(shlex.split(line), changed, tmp_path)


@pytest.mark.slow
def test_a_quantity_is_in_every_place(changed: Copy, tmp_path: Path) -> None:
    """From its one file: a line and columns of `profile`, columns of the results, a heading, a picture, the docs."""
    profile, train, results, visualize = map(
        shlex.split, blocks_of(DOORS["A quantity"], "bash")[0].splitlines()
    )
    assert re.search(r"largest output +16 KiB +8 KiB", printed(profile, changed, tmp_path))
    (row,) = csv.DictReader(printed([*profile, "--format", "csv"], changed, tmp_path).splitlines())
    wanted = {"largest_output_bytes": "16384", "stage_largest_output_bytes": "8192"}
    assert wanted.items() <= row.items()
    printed(train, changed, tmp_path)
    with (tmp_path / "results" / "results.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert set(wanted) <= set(row) and int(row["largest_output_bytes"]) == 4 * 4 * int(row["image_size"]) ** 2
    assert "output, KiB" in printed(results, changed, tmp_path)
    assert "accuracy_largest_output_bytes.svg" in printed(visualize, changed, tmp_path)
    picture = tmp_path / "results" / "figures" / "accuracy_largest_output_bytes.svg"
    assert "largest output of a block, bytes" in picture.read_text()
    script = f"import runpy; s = runpy.run_path({str(ROOT / 'scripts' / 'columns.py')!r}); print(s['columns'](), s['costs']())"
    tables = printed(["python", "-c", script], changed, tmp_path)
    assert "| `largest_output_bytes` | bytes | lower | bytes of the largest output of a block" in tables
    assert "| `stage_largest_output_bytes` | largest_output_bytes of the stage under test alone |" in tables


def test_every_door_has_one() -> None:
    assert len(DOORS) == 12


def test_they_are_written_as_the_package_is(changed: Copy) -> None:
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "blockzoo"],
            cwd=changed.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
