"""Plugins of a project run once they are trusted, as they were then, and only where nobody else can write."""

from __future__ import annotations

import importlib._bootstrap_external as pyc
import importlib.util
import os
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core import trusted
from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import load_plugins, project_of
from blockzoo.core.said import forget_what_was_said

LOUD = "from pathlib import Path\nPath('RAN').touch()\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BLOCKZOO_CONFIG", str(tmp_path / "config"))
    folder = tmp_path / "project"
    (folder / "below").mkdir(parents=True)
    monkeypatch.chdir(folder / "below")
    (folder / "pyproject.toml").write_text('[tool.blockzoo]\nplugins = ["a.py", "b.py"]\n')
    for name in "ab":
        (folder / f"{name}.py").write_text(LOUD)
    return folder


Ran = Callable[[], tuple[bool, str]]


@pytest.fixture
def ran(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Ran:
    """Whether a command runs the plugins, and what it says."""

    def command() -> tuple[bool, str]:
        for name in [n for n in sys.modules if n.startswith("blockzoo_plugin_")]:
            del sys.modules[name]
        forget_what_was_said()
        caplog.clear()
        Path("RAN").unlink(missing_ok=True)
        assert main(["blocks"]) == 0
        return Path("RAN").exists(), capsys.readouterr().err + "\n".join(caplog.messages)

    return command


def test_nothing_runs_before_it_is_trusted_or_after_it_changed(
    project: Path, capsys: pytest.CaptureFixture[str], ran: Ran
) -> None:
    has_run, said = ran()
    assert not has_run and "blockzoo trust" in said and "a.py" in said
    assert main(["trust"]) == 0 and "2 lines" in capsys.readouterr().out
    has_run, said = ran()
    assert has_run and f"plugins of {project}/pyproject.toml: {project}/a.py, {project}/b.py" in said
    changes = {
        "b.py": LOUD + "# other\n",
        "pyproject.toml": '[tool.blockzoo]\nplugins = ["b.py", "a.py"]\n',
        "a.py": LOUD.replace("touch()", "touch(0o600)"),
    }
    for name, content in changes.items():
        before = (project / name).read_text()
        (project / name).write_text(content)
        has_run, said = ran()
        assert not has_run and "changed" in said, name
        (project / name).write_text(before)
        assert ran()[0]
    (project / "a.py").rename(project / "c.py")
    assert not ran()[0]
    (project / "c.py").rename(project / "a.py")
    assert main(["trust", "--all"]) == 0 and str(project) in capsys.readouterr().out
    assert main(["trust", "--forget"]) == 0 and not ran()[0]


def test_trust_does_not_move_with_the_content(project: Path, ran: Ran) -> None:
    main(["trust"])
    other = project.with_name("other")
    os.rename(project, other)  # noqa: PTH104
    os.chdir(other / "below")
    assert not ran()[0], "another path"
    os.rename(other, project)  # noqa: PTH104
    os.chdir(project / "below")
    assert ran()[0]


@pytest.mark.parametrize("where", [".", "a.py", "pyproject.toml", "..", "../config/trusted.json"])
@pytest.mark.parametrize("mode", [0o002, 0o020])
def test_nothing_runs_where_others_can_write(
    project: Path, where: str, mode: int, ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted, "_own_group", lambda number: False)
    assert main(["trust"]) == 0 and ran()[0]
    place = (project / where).resolve()
    place.chmod(place.stat().st_mode | mode)
    has_run, said = ran()
    assert not has_run and "others" in said and str(place) in said
    assert main(["trust"]) in (1, 2), "it cannot be trusted either"


def test_a_sticky_folder_may_hold_a_project_but_no_plugin(project: Path) -> None:
    project.chmod(0o1777)
    assert trusted.writable_by_others(project / "below") == project
    (project / "below" / "x.py").touch()
    assert trusted.writable_by_others(project / "below" / "x.py") is None
    assert trusted.writable_by_others(project / "a.py") == project


def test_what_others_own_is_theirs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    place = trusted.writable_by_others(project / "a.py")
    assert place is None if (project / "a.py").stat().st_uid == 0 else place == project / "a.py"


def test_the_source_runs_that_can_be_looked_at(project: Path) -> None:
    other = compile("from pathlib import Path; Path('RAN').touch()", "a.py", "exec")
    (project / "a.py").write_text("x = 1\n")
    cached = Path(importlib.util.cache_from_source(str(project / "a.py")))
    cached.parent.mkdir()
    cached.write_bytes(pyc._code_to_hash_pyc(other, b"\0" * 8, False))  # one that Python would not check
    assert load_plugins([str(project / "a.py")], ambient=False) and not Path("RAN").exists()


def test_a_file_of_others_is_no_obstacle(project: Path, capsys: pytest.CaptureFixture[str], ran: Ran) -> None:
    (project / "pyproject.toml").write_text('[tool.other]\nplugins = ["x.py"]\n')
    assert project_of(project) is not None and ran() == (False, "")
    for text in ('tool = "x"', "[tool]\nblockzoo = 3"):
        (project / "pyproject.toml").write_text(text)
        assert ran() == (False, "")
    assert main(["trust"]) == 2
    (project / "pyproject.toml").write_text('[tool.blockzoo]\nplugins = ["gone.py"]\n')
    assert main(["trust"]) == 2 and "gone.py" in capsys.readouterr().err
    for plugins_ in ("3", '[""]', "[1]"):
        (project / "pyproject.toml").write_text(f"[tool.blockzoo]\nplugins = {plugins_}\n")
        with pytest.raises(UsageError, match="list of texts"):
            project_of(project)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', "\x00"])
def test_a_damaged_list_trusts_nothing(content: str, ran: Ran) -> None:
    main(["trust"])
    Path(os.environ["BLOCKZOO_CONFIG"], "trusted.json").write_text(content)
    has_run, said = ran()
    assert not has_run and "trusted.json" in said


@pytest.fixture
def package(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose plugin is a module of a package that lies on the path."""
    folder = project / "source" / "own_package"
    folder.mkdir(parents=True)
    contents = {"__init__": "", "blocks": "from own_package import helper\n", "helper": LOUD, "other": LOUD}
    for name, content in contents.items():
        (folder / f"{name}.py").write_text(content)
    (project / "pyproject.toml").write_text('[tool.blockzoo]\nplugins = ["own_package.blocks"]\n')
    monkeypatch.syspath_prepend(str(folder.parent))
    for name in [name for name in sys.modules if name.startswith("own_package")]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_what_a_plugin_imports_is_trusted_with_it(
    package: Path, capsys: pytest.CaptureFixture[str], ran: Ran
) -> None:
    def again() -> tuple[bool, str]:
        for name in [name for name in sys.modules if name.startswith("own_package")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        return ran()

    assert main(["trust"]) == 0
    said = capsys.readouterr().out
    assert "own_package.blocks, 1 lines" in said and f"imports {package}/helper.py, 2 lines" in said
    assert again()[0]
    (package / "other.py").write_text("x = 1\n")
    assert again()[0], "what it does not import is not asked about"
    for name in ("helper", "__init__", "blocks"):
        before = (package / f"{name}.py").read_text()
        (package / f"{name}.py").write_text(before + LOUD)
        has_run, said = again()
        assert not has_run and "changed" in said, name
        (package / f"{name}.py").write_text(before)
        assert again()[0]
    (package / f"helper{EXTENSION_SUFFIXES[0]}").write_bytes(
        b"\x7fELF"
    )  # Python would take it before the source
    assert not again()[0]


def test_the_source_of_modules_runs_too(package: Path) -> None:
    other = compile("from pathlib import Path; Path('RAN').touch()", "x.py", "exec")
    for name in ("blocks", "helper"):
        (package / f"{name}.py").write_text(
            "from own_package import helper\n" if name == "blocks" else "x = 1\n"
        )
        cached = Path(importlib.util.cache_from_source(str(package / f"{name}.py")))
        cached.parent.mkdir(exist_ok=True)
        cached.write_bytes(pyc._code_to_hash_pyc(other, b"\0" * 8, False))
    importlib.invalidate_caches()
    assert load_plugins(["own_package.blocks"], ambient=False) and "own_package.helper" in sys.modules
    assert not Path("RAN").exists()
