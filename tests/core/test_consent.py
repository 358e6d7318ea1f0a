"""What a file names is not run; what the user names is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blockzoo.blockwise.contracts import UNITS
from blockzoo.cli import main
from blockzoo.core import consent
from blockzoo.core.contracts import BLOCKS
from blockzoo.core.errors import UsageError
from blockzoo.core.outputs import read_rows
from blockzoo.core.plugins import (
    code_asked_for,
    code_in,
    load_object,
    load_plugins,
    module_file,
    read_options,
)
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store

LOUD = "from pathlib import Path\nPath({ran!r}).touch()\nclass Net: ...\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # so that evil and package.evil could be imported
    (tmp_path / "package").mkdir()
    for place in ("evil", "package/__init__", "package/evil", "ResNetBasicBlock@evil"):
        (tmp_path / f"{place}.py").write_text(LOUD.format(ran=str(tmp_path / "RAN")))
    with consent.only(()):
        consent._closed = False
        yield  # what a test names is forgotten after it
    for name in [n for n in sys.modules if n.partition(".")[0] in ("evil", "package")]:
        del sys.modules[name]


CODE = ("evil.py:Net", "evil:Net", "package.evil:Net", "tiled:F8:evil.py:Net", "evil.py:Net/mid")


def stored(subject: str, **fields: Any) -> None:
    spec = TrialSpec(network=NetworkSpec("model:resnet8_half"), dataset="digits").to_json()
    spec["network"] |= {"subject": subject, **fields}
    values = {"val_acc": 0.5, "image_size": 8}
    Store(Path("got/results.sqlite")).add(Record("trial", "f" * 16, "macro:5", spec, values=values))


@pytest.mark.parametrize("subject", CODE)
def test_reading_results_runs_nothing(subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    stored(subject)
    assert main(["nas", "build", "got", "-o", "release"]) == 2
    assert subject.partition("/")[0].rpartition("tiled:")[2] in capsys.readouterr().err
    assert len(read_rows("got")) == 1 and main(["results", "got"]) == 0
    assert main(["visualize", "got"]) in (0, 2)
    assert not Path("RAN").exists()


@pytest.mark.parametrize("fields", [{"filler": "evil.py:Net"}, {"filler": "evil:Net"}])
def test_nor_does_what_fills_the_other_stages(fields: dict[str, Any]) -> None:
    stored("ResNetBasicBlock/mid", **fields)
    stored("x@evil.py:Net/mid")
    assert main(["nas", "build", "got", "-o", "release"]) == 2
    read_rows("got")
    assert not Path("RAN").exists()


def test_a_run_that_was_copied_here_runs_nothing() -> None:
    asked = ["--model", "feedforward", "--config", "[4]", "--dataset", "digits", "--image-size", "8"]
    assert main(["blockwise", *asked, "--rounds", "1", "--output", "out"]) == 0
    (run,) = Path("out/blockwise").iterdir()
    values = json.loads((run / "parameters.json").read_text())
    words = ["blockwise", "curvature", "--run", str(run), "--batches", "1", "--batch-size", "8"]
    for field, names in {"dataset": ("evil.py:Net",), "model": ("package.evil:Net", "evil.py:Net")}.items():
        for name in names:
            (run / "parameters.json").write_text(json.dumps({**values, field: name}))
            assert main(words) == 2 and not Path("RAN").exists()
    main([*words, "--plugin", "evil.py"])
    assert Path("RAN").exists(), "named by the user too"


@pytest.mark.parametrize("name", [*CODE, "os:system"])
@pytest.mark.parametrize(
    "text",
    [
        "base: {{model: '{0}'}}",
        "vary: {{stopper: [never, '{0}:0.5']}}",
        "base: {{units: [loss, '{0} a=1']}}",
        "'{0}': 1",
        "archs: ['{0}']",
        "blocks: '{0}'",
    ],
)
def test_a_file_of_options_names_no_code(text: str, name: str) -> None:
    Path("s.yaml").write_text(text.format(name))
    for command in (["blockwise", "sweep"], ["tile", "study"], ["sweep", "--config"]):
        assert main([*command, "s.yaml"]) == 2
    with pytest.raises(UsageError, match="--plugin"):
        read_options(Path("s.yaml"))
    assert not Path("RAN").exists()


def test_a_sweep_file_names_no_plugins(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.yaml").write_text("blocks: []\nplugins: [evil.py]\n")
    assert main(["sweep", "--config", "s.yaml"]) == 2 and "--plugin" in capsys.readouterr().err
    assert not Path("RAN").exists()
    assert main(["sweep", "--config", "s.yaml", "--plugin", "evil.py"]) == 2  # the grid is empty
    assert Path("RAN").exists()


@pytest.mark.parametrize(
    "line", ["os:system 'command=touch RAN'", "shutil:rmtree path=package", "evil.py:Net"]
)
def test_a_file_of_units_names_no_code(line: str) -> None:
    Path("Units.txt").write_text(line + "\n")
    asked = [
        "--model",
        "feedforward",
        "--config",
        "[4]",
        "--dataset",
        "digits",
        "--image-size",
        "8",
        "--rounds",
        "1",
    ]
    assert main(["blockwise", *asked, "--dry-run"]) == 0, "the file is not read unasked"
    assert main(["blockwise", *asked, "--dry-run", "--units-file", "Units.txt"]) == 2
    assert main(["blockwise", *asked, "--output", "out", "--units", line]) == 2, (
        "no class with a method measure"
    )
    assert not Path("out").exists() or not list(Path("out").rglob("checkpoint.pt"))
    assert Path("package").exists() and ("evil" in line or not Path("RAN").exists())


def test_what_a_command_may_run_is_what_it_names() -> None:
    def may(origin: str) -> bool:
        return consent.may_run(origin)

    here = Path.cwd().resolve()
    words = [
        "sweep",
        "--blocks",
        "evil.py:Net",
        "--units",
        "own.py:Unit rank=2",
        "--tile",
        "tiled:F8:/a b/c:d.py:Net/mid",
    ]
    with consent.only(code_asked_for({"words": words})):
        assert may(f"{here}/evil.py") and may(f"{here}/own.py") and may("/a b/c:d.py") is False
        assert not may("package.evil") and not may("os")
        consent.name(["package"])
        assert may("package.evil") and not may("packages")
        consent.name([f"{here}/own.py"])
        assert not may(f"{here}/own.py.evil.py"), "another file, whatever its name begins with"
        granted = consent.granted()
    assert may("os") and consent.granted() is None, "a program runs what it asks for"
    with consent.text_of("a file"):
        assert not may("os") and not may("package.evil"), "what one command named is not named for the next"
    assert granted is not None and "package" in granted


def test_a_remark_asks_for_nothing() -> None:
    stored("evil.py:Net")
    words = ["nas", "build", "got", "-o", "release", "--experiment-name", "see evil.py:Net"]
    assert main(words) in (1, 2)
    assert not Path("RAN").exists()


def test_code_is_found_whatever_stands_around_it() -> None:
    here = Path.cwd().resolve()
    for text in CODE:
        assert set(code_in(text)) & {f"{here}/evil.py", "evil", "package.evil"}, text
    for text in ("timm:resnet18", "accuracy:0.9", "ResNetBasicBlock/mid", "a: b", "", ":", "::x"):
        assert not set(code_in(text)) - {"timm"}, text
    assert not Path("RAN").exists(), "nothing is imported by looking"


def test_a_module_is_found_without_importing_its_package() -> None:
    assert module_file("package.evil") == Path("package/evil.py").resolve()
    assert module_file("package.gone") is None and module_file("gone.evil") is None
    assert module_file("json.decoder") is not None and "package" not in sys.modules
    assert not Path("RAN").exists()


@pytest.mark.parametrize(
    "load", [lambda: load_object("evil.py", "Net"), lambda: BLOCKS["evil:Net"], lambda: UNITS["evil:Net"]]
)
def test_the_gate_is_where_code_is_imported(load: Callable[[], Any]) -> None:
    with consent.text_of("r.json"), pytest.raises(UsageError, match=r"r\.json names .*--plugin"):
        load()
    assert not Path("RAN").exists()
    load_plugins(["evil.py", "evil"])
    with consent.text_of("r.json"):
        load_object("evil.py", "Net")
