from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from blockzoo.core import plugins, trusted
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import load_plugins, project_of, read_options, remembered
from blockzoo.core.said import forget_what_was_said

SOURCE = """
from blockzoo import register_block

@register_block
class {name}:
    '''A block of one's own.'''
"""


def test_from_option_variable_and_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ByOption", "ByVariable", "ByProject"):
        (tmp_path / f"{name}.py").write_text(SOURCE.format(name=name))
    (tmp_path / "pyproject.toml").write_text('[tool.blockzoo]\nplugins = ["ByProject.py"]\n')
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    trusted.trust(plugins.project_of(tmp_path))  # type: ignore[arg-type]
    monkeypatch.setenv("BLOCKZOO_PLUGINS", str(tmp_path / "ByVariable.py"))
    loaded = load_plugins(["../ByOption.py"])
    assert loaded == [str(tmp_path / f"{name}.py") for name in ("ByProject", "ByVariable", "ByOption")]
    for name in ("ByOption", "ByVariable", "ByProject"):
        assert BLOCKS.summary(name) == "A block of one's own."
        del BLOCKS[name]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.py", None, "no such file"),
        ("bad.py", "1/0", "ZeroDivisionError"),
        ("no.such.module", None, "ModuleNotFoundError"),
    ],
)
def test_a_plugin_that_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | None, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=says):
        load_plugins([name])


def test_bad_project_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.blockzoo]\nplugins = 3\n")
    with pytest.raises(UsageError, match="list of texts"):
        project_of(tmp_path)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for content in (
        b"[tool.blockzoo]\nplugins = 3\n",
        b"[[",
        b"\xff",
        b"[tool.blockzoo]\nplugins = [3]\n",
        b" " * (2 << 20),
    ):
        (tmp_path / "pyproject.toml").write_bytes(content)
        forget_what_was_said()
        caplog.clear()
        assert remembered() == [], "a file above, which may be anybody's, ends no command"
        assert str(tmp_path / "pyproject.toml") in caplog.text


def test_options_from_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("blocks: [A, B]\nseeds: 2\n")
    (tmp_path / "a.toml").write_text('blocks = ["A", "B"]\nseeds = 2\n')
    assert (
        read_options(tmp_path / "a.yaml")
        == read_options(tmp_path / "a.toml")
        == {"blocks": ["A", "B"], "seeds": 2}
    )
    (tmp_path / "bad.yaml").write_text("a: [")
    (tmp_path / "list.yaml").write_text("- 1")
    for name, says in (
        ("bad.yaml", "not valid YAML"),
        ("list.yaml", "must hold options"),
        ("none.yaml", "no file"),
    ):
        with pytest.raises(UsageError, match=says):
            read_options(tmp_path / name)


def test_a_file_is_the_first_thing_that_a_process_loads(tmp_path: Path) -> None:
    """The finder that runs modules from their source needs modules itself; other tests have them loaded already."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\nfrom blockzoo import register_block\n"
        "@register_block\nclass Mine(nn.Conv2d):\n"
        '    """My own."""\n'
        "    def __init__(self, in_channels, out_channels, stride=1, position='mid'):\n"
        "        super().__init__(in_channels, out_channels, 3, stride, 1)\n"
    )
    command = [sys.executable, "-m", "blockzoo", "blocks", "--plugin", str(tmp_path / "mine.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "My own." in done.stdout, done.stderr


def test_what_a_file_has_is_said(tmp_path: Path) -> None:
    file = tmp_path / "blocks_of_mine.py"
    file.write_text("from pathlib import Path\nclass MyBlock: ...\nclass Other: ...\n")
    with pytest.raises(UsageError, match=r"has no class 'Myblock'; it has MyBlock, Other$"):
        plugins.load_object(str(file), "Myblock")
    with pytest.raises(
        UsageError, match=r"is a file and no block: name a class in it too, as in .*mine\.py:ClassName"
    ):
        BLOCKS.canonical(str(file))
