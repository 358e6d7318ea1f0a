"""What every command takes: --config, --quiet, --debug, --max-memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.cli.everywhere import Everywhere, apart


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_they_are_told_apart_wherever_they_stand() -> None:
    words, given = apart(
        ["--debug", "profile", "X", "--config=a.toml", "-q", "--max-memory", "8GiB", "--seed", "1"]
    )
    assert words == ["profile", "X", "--seed", "1"]
    assert given == Everywhere(Path("a.toml"), quiet=True, debug=True, max_memory="8GiB")
    words, given = apart(["blockwise", "run", "--config", "[4]"])
    assert words[-2:] == ["--config", "[4]"] and given.config is None
    assert apart(["blockwise", "run", "--config", "a.yaml"])[1].config == Path("a.yaml")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.yaml",
            "subjects: [ResNetBasicBlock, InvertedResidual]\nbase-channels: 4\nnum_blocks: 1\nformat: json\n",
        ),
        (
            "a.toml",
            "subjects = ['ResNetBasicBlock', 'InvertedResidual']\nbase_channels = 4\nnum-blocks = 1\nformat = 'json'\n",
        ),
    ],
)
def test_a_file_gives_what_the_command_line_leaves_open(
    name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_text(text)
    assert main(["profile", "--config", name]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["subject"] for row in rows] == ["ResNetBasicBlock/mid", "InvertedResidual/mid"]
    small = rows[0]["macs"]
    assert main(["profile", "--config", name, "--base-channels", "8", "ResNetBasicBlock"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["macs"] > 2 * small, "the command line wins"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base_chanels: 4\n", "Did you mean base_channels"),
        ("base_channels: {a: 1}\n", "one value"),
        ("base_channels: four\n", "base"),
        ("- 1\n", "name: value"),
        ("position: top\n", "early, mid, late"),
        ("base_channels: [4, 5]\n", "give 1 of them"),
        ("input_shape: [1, 3]\n", "give 4 of them"),
        ("base_channels: 4\nbase-channels: 8\n", "'base_channels' and 'base-channels' are one option"),
        ("out_dim: 4\nnum_classes: 8\n", "'out_dim' and 'num_classes' are one option"),
        ("base_channels:\n", "'base_channels' has no value"),
    ],
)
def test_what_a_file_cannot_say(text: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text(text)
    assert main(["profile", "ResNetBasicBlock", "--config", "a.yaml"]) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("blocks --config", "--config: give it once"),
        ("blocks --config --variants", "--config: give it once"),
        ("blocks --max-memory", "--max-memory: give it once"),
        ("blocks --config a.yaml --config b.yaml", "--config is there twice"),
        ("blockwise run --config a.yaml --config [4] --config b.yaml", "--config is there twice"),
    ],
)
def test_they_take_one_value(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.yaml", "b.yaml"):
        Path(name).write_text("format: csv\n")
    assert main(words.split()) == 2
    assert says in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "--config", "none.yaml"]) == 2
    assert "none.yaml: there is no such file" in capsys.readouterr().err


def test_switches_from_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("variants: true\nformat: csv\n")
    assert main(["blocks", "--config", "a.yaml"]) == 0
    assert "@" in capsys.readouterr().out
    Path("a.yaml").write_text("variants: false\nformat: csv\n")
    assert main(["blocks", "--config", "a.yaml"]) == 0
    assert "@" not in capsys.readouterr().out


def test_quiet_leaves_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    loud = capsys.readouterr().out
    assert main(["datasets", "--quiet"]) == 0
    quiet = capsys.readouterr().out
    assert "Looked for in" in loud and "Looked for in" not in quiet and "cifar10" in quiet


def test_results_for_programs_stand_alone_on_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "--format", "json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) and "Looked for in" in told.err
