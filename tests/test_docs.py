"""Documentation fails when it lies: every command and every example in it runs.

In a fenced `bash` block each line is run as it stands, in one folder after the other lines of the file. A line that
ends in `# long` is run with `--dry-run`. `make` targets are looked up in the Makefile. `python` blocks are executed.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blockzoo.core.table import COLUMNS
from blockzoo.execution.queue import gpus
from tests.preloaded import Preloaded

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "compat" / "README.md"]
LONG = {"compat/README.md", *(f"docs/{name}.md" for name in ("blockwise", "nas", "scale", "tiling"))}
"""Pages whose commands take minutes: they run in the slow list."""


def fenced(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def prepared(folder: Path) -> dict[str, str]:
    """A folder like a checkout, and an environment in which `python` and `blockzoo` are this installation's."""
    for name in ("scripts", "docs", "examples", "compat"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "my_block.py").write_text((ROOT / "tests" / "my_custom_block.py").read_text())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": "110"}


def _pages() -> list[Any]:
    names = {page: str(page.relative_to(ROOT)) for page in PAGES}
    return [
        pytest.param(page, id=name, marks=[pytest.mark.slow] if name in LONG else [])
        for page, name in names.items()
    ]


@pytest.fixture(scope="module")
def commands() -> Iterator[Preloaded]:
    with Preloaded() as made:
        yield made


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", _pages())
def test_every_command_runs(page: Path, tmp_path: Path, commands: Preloaded) -> None:
    environment = prepared(tmp_path)
    lines = "".join(fenced(page, "bash")).replace("\\\n", " ").splitlines()
    for line in filter(str.strip, lines):
        command, _, remark = line.partition("  # ")
        if command.startswith("make"):
            assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), (
                command
            )
            continue
        if command.startswith("coverage run"):
            continue  # it would run these tests in themselves
        words = shlex.split(command)
        if remark.startswith("long"):
            words.append("--dry-run")
            # even a plan needs the number of classes, which only images at hand give
            absent = {"cifar100", "imagenet"} | (set() if "BLOCKZOO_DATA" in os.environ else {"cifar10"})
            words = ["digits" if word in absent else word for word in words]
            words = ["--dataset=digits" if word == "--dataset=imagenet" else word for word in words]
            words += (
                ["--cpu"] if any(word.startswith("--gpus") for word in words) and not gpus("auto") else []
            )
        done = commands.run(words, tmp_path, environment)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_runs(page: Path, tmp_path: Path, commands: Preloaded) -> None:
    environment = prepared(tmp_path)
    if blocks := fenced(page, "python"):
        train = "blockzoo train ResNetBasicBlock --dataset digits --epochs 1 --base-channels 4 --num-blocks 1 --no-latency"
        for words in (shlex.split(train), ["python", "-c", "\n".join(blocks)]):
            done = commands.run(words, tmp_path, environment)
            assert done.returncode == 0, done.stderr


def test_files_that_pages_name_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_column_is_described() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    for name, meaning in COLUMNS.items():
        assert f"| `{name}` | {meaning} |" in page, name


def test_the_block_of_the_readme_is_the_tested_one() -> None:
    source = (ROOT / "tests" / "my_custom_block.py").read_text()
    body = source.partition("from torch import nn")[2]
    assert body.strip() in (ROOT / "README.md").read_text()
