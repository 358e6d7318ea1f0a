"""Documentation fails when it lies: every command and every example in it runs (how: `tests/documented.py`)."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blockzoo.cli import main
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.table import COLUMNS
from tests.documented import PAGES, ROOT, fenced, prepared, run_page
from tests.preloaded import Preloaded

LONG = {
    "compat/README.md",
    "docs/results.md",
    *(
        f"docs/{name}.md"
        for name in "blockwise card command-line comparison index isolate nas records scale tiling why-slower".split()
    ),
}
"""Pages whose commands take minutes: they run in the slow list."""
LONG_EXAMPLES = {f"docs/{name}.md" for name in "blockwise card isolate nas python tiling why-slower".split()}
"""The same of their Python."""
OTHERS = [ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md")]


def _pages(long: set[str]) -> list[Any]:
    names = {page: str(page.relative_to(ROOT)) for page in PAGES}
    return [
        pytest.param(page, id=name, marks=[pytest.mark.slow] if name in long else [])
        for page, name in names.items()
    ]


@pytest.fixture(scope="module")
def commands() -> Iterator[Preloaded]:
    with Preloaded() as made:
        yield made


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", _pages(LONG))
def test_every_command_runs(page: Path, tmp_path: Path, commands: Preloaded) -> None:
    run_page(page, tmp_path, commands)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", _pages(LONG_EXAMPLES))
def test_every_example_runs(page: Path, tmp_path: Path, commands: Preloaded) -> None:
    environment = prepared(tmp_path)
    if blocks := fenced(page, "python"):
        train = "blockzoo train ResNetBasicBlock --dataset digits --epochs 1 --base-channels 4 --num-blocks 1 --no-latency"
        for words in (shlex.split(train), ["python", "-c", "\n".join(blocks)]):
            done = commands.run(words, tmp_path, environment)
            assert done.returncode == 0, done.stderr


def test_files_that_pages_name_exist() -> None:
    for page in [*PAGES, *OTHERS]:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_column_and_quantity_is_described() -> None:
    """`python scripts/columns.py` writes the tables anew."""
    page = (ROOT / "docs" / "results.md").read_text()
    script = runpy.run_path(str(ROOT / "scripts" / "columns.py"))
    assert f"\n\n{script['columns']()}\n" in page and f"\n\n{script['costs']()}\n" in page
    assert [name for name, meaning in COLUMNS.items() if not meaning] == []


def test_every_block_is_described() -> None:
    """`python scripts/zoo.py` writes the page anew."""
    page = (ROOT / "docs" / "zoo.md").read_text()
    script = runpy.run_path(str(ROOT / "scripts" / "zoo.py"))
    assert page == script["page"]()
    assert len(re.findall(r"^\| `(?!\+)", page, re.MULTILINE)) == len(BLOCKS.names()) >= 60
    assert f"[{len(BLOCKS.names())} of them](docs/zoo.md)" in (ROOT / "README.md").read_text()


def test_the_block_of_the_page_is_the_tested_one() -> None:
    source = (ROOT / "tests" / "my_custom_block.py").read_text()
    body = source.partition("from torch import nn")[2]
    assert body.strip() in (ROOT / "docs" / "isolate.md").read_text()


def test_the_command_of_each_lens_runs() -> None:
    """A table is not run; the same commands are, as a block of the front page of the site."""
    shown = re.findall(r"^\|.*\| `(blockzoo .*)` \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    (block,) = fenced(ROOT / "docs" / "index.md", "bash")
    assert shown == [line.partition("  # ")[0] for line in block.splitlines()]


@pytest.mark.parametrize("page", ["README.md", "docs/conclusions.md"])
def test_the_result_that_is_shown_is_what_its_command_prints(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / page).read_text()
    assert "blockzoo claims docs/results/cifar10.csv\n" in text
    assert main(["claims", str(ROOT / "docs" / "results" / "cifar10.csv"), "--format", "markdown"]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(printed) == 8 and set(printed) <= set(text.splitlines())
