"""Two runs of the documentation compare equal only where their numbers and files are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented import PAGES, SCREEN, commands_of, compare, run_page
from tests.preloaded import Preloaded

FILES = {
    "results.csv": "val_acc,update_norm,latency_ms\n0.5,2.0,{}\n",
    "map.json": '{{"coupling": [[1.0, 0.25]], "seconds": {}}}',
    "base.native": "columns",
    SCREEN: "accuracy 0.5000, 864 k MACs, {} s\n",
}


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two that differ in their times alone."""
    for number, name in enumerate(("one", "other"), 1):
        (tmp_path / name).mkdir()
        for file, text in FILES.items():
            (tmp_path / name / file).write_text(text.format(number))
    return tmp_path / "one", tmp_path / "other"


def test_times_are_no_difference(runs: tuple[Path, Path]) -> None:
    assert compare(*runs) == []


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("results.csv", "0.5,", "0.6,"),
        ("results.csv", "2.0,", "2.1,"),
        ("map.json", "0.25", "0.26"),
        ("base.native", "columns", "column"),
        (SCREEN, "864 k", "865 k"),
    ],
)
def test_a_number_is(runs: tuple[Path, Path], file: str, before: str, after: str) -> None:
    path = runs[1] / file
    path.write_text(path.read_text().replace(before, after))
    (fault,) = compare(*runs)
    assert fault.startswith(f"{file}: ")


@pytest.fixture(scope="module")
def commands() -> Iterator[Preloaded]:
    with Preloaded() as made:
        yield made


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("make nothing", "make"),
        ("blockzoo profile NoSuchBlock", "NoSuchBlock"),
        ("blockzoo nonsense", "nonsense"),
    ],
)
def test_a_page_whose_command_fails_is_found(
    command: str, says: str, tmp_path: Path, commands: Preloaded
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```bash\nblockzoo --version\n{command}\n```\n")
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(AssertionError, match=says):
        run_page(page, folder, commands)


def test_commands_are_found_on_the_pages_that_have_them() -> None:
    with_commands = {page.name for page in PAGES if any(commands_of(page))}
    assert {"README.md", "isolate.md", "nas.md", "blockwise.md", "tiling.md", "scale.md"} <= with_commands


def test_a_missing_file_is(runs: tuple[Path, Path]) -> None:
    (runs[1] / "base.native").unlink()
    assert compare(*runs) == ["base.native: only in one of them"]
