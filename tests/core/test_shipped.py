"""Examples: all are listed with a sentence and a command, a copy is the file, and nothing is replaced."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.cli.app import build, normalised
from blockzoo.core import shipped
from blockzoo.core.errors import UsageError
from blockzoo.core.shipped import copied, example, examples

ROOT = Path(__file__).parents[2]


def test_every_file_is_an_example_that_says_what_it_is() -> None:
    files = {p for p in (ROOT / "examples").rglob("*") if p.suffix in shipped.KINDS}
    assert {one.path for one in examples()} == files and len(files) >= 5
    assert all(one.sentence and "\n" not in one.sentence for one in examples())


@pytest.mark.parametrize("one", examples(), ids=lambda one: one.name)
def test_the_command_of_each_can_be_typed(one: shipped.Example) -> None:
    if one.command.startswith("blockzoo "):
        argv = normalised(shlex.split(one.command)[1:])
        build().parse_args(argv, exit_on_error=False, print_error=False)
        assert one.path.name in one.command and "examples/" not in one.command
    else:
        assert one.path.suffix != ".py"


def test_names_may_be_short_and_are_never_guessed() -> None:
    assert example("own_unit").name == example("blockwise/own_unit.py").name == "blockwise/own_unit.py"
    with pytest.raises(UsageError, match=r"there are .*own_search"):
        example("unit")


def test_of_two_with_one_ending_none_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").write_text('"""One of two."""')
    monkeypatch.setattr(shipped, "shipped", lambda name: tmp_path)
    with pytest.raises(UsageError, match=r"say which of a/same.py, b/same.py"):
        example("same")
    assert example("b/same").path.parent.name == "b"


def test_kinds_of_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cell = {"cell_type": "markdown", "source": ["# A notebook.\n", "\n", "More."]}
    (tmp_path / "look.ipynb").write_text(json.dumps({"cells": [cell]}))
    (tmp_path / "grid.yaml").write_text(
        "# A grid.\n#\n# blockzoo sweep --config examples/grid.yaml\nseeds: 2\n"
    )
    monkeypatch.setattr(shipped, "shipped", lambda name: tmp_path)
    grid, look = examples()
    assert (look.sentence, look.command) == ("A notebook.", "")
    assert (grid.sentence, grid.command) == ("A grid.", "blockzoo sweep --config grid.yaml")


def test_a_copy_is_the_file_and_nothing_is_replaced(tmp_path: Path) -> None:
    one = example("own_block")
    path = copied(one, tmp_path / "mine")
    assert path.read_bytes() == one.path.read_bytes()
    path.write_text("changed")
    with pytest.raises(UsageError, match="is there already"):
        copied(one, tmp_path / "mine")
    assert path.read_text() == "changed"
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "own_block.py").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is there already"):
        copied(one, tmp_path / "link")


def test_what_was_left_out_of_an_installation_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shipped, "checkout", lambda: None)
    monkeypatch.setattr(shipped, "PACKAGE", tmp_path)
    with pytest.raises(UsageError, match="install the wheel anew"):
        examples()


def test_the_command_lists_and_copies(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["examples", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["example"] for row in rows] == [one.name for one in examples()]
    assert main(["examples", "own_search", "-o", "mine"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "written mine/own_search.py" in out and "--plugin mine/own_search.py" in out
    assert main(["examples", "own_search", "-o", "mine"]) == 2
    assert "is there already" in capsys.readouterr().err
