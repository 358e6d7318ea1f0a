"""A plan is a result: with --dry-run every command prints it in every form."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from blockzoo.cli import main
from blockzoo.core.checksums import file_digest
from blockzoo.publish.hub import CARD, CONFIG
from tests.cli.test_cli import TRAIN, commands_of_the_package
from tests.cli.test_conditions import function_of

BLOCKWISE = ["--model", "feedforward", "--widths", "[4]", "--dataset", "digits", "--image-size", "8"]
COMMANDS = {
    ("train",): ["ResNetBasicBlock", *TRAIN],
    ("card",): ["RepMixer"],
    ("push",): ["folder", "somebody/results"],
    ("sweep", "run"): ["--blocks", "ResNetBasicBlock", *TRAIN],
    ("nas", "train"): ["--sample", "2", "--dataset", "digits", "--epochs", "1"],
    ("nas", "search"): ["--benchmark", "mini", "--algorithm", "random", "--seeds", "2"],
    ("nas", "latency"): [],
    ("nas", "supernet"): [],
    ("nas", "zero-cost"): [],
    ("blockwise", "run"): BLOCKWISE,
    ("blockwise", "sweep"): ["study.yaml"],
    ("blockwise", "curvature"): BLOCKWISE,
    ("tile", "train"): [
        "--arch",
        "model:resnet8_half",
        "--block-size",
        "8",
        "--dataset",
        "digits",
        "--epochs",
        "1",
    ],
    ("tile", "study"): ["tiles.yaml", "--dataset", "digits"],
}
OF_A_FOLDER = {("sweep", "resume"), ("sweep", "retry")}
"""They end as `sweep run` does."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text("base: {dataset: digits, config: [4]}\nvary: {k: [1, 2]}\nseeds: 1\n")
    Path("tiles.yaml").write_text(
        "archs: [model:resnet8_half]\nblockings: [F8]\npaddings: [zeros]\ntrain: {epochs: 1}\n"
    )
    Path("folder").mkdir()
    weights = Path("folder/model.safetensors")
    weights.write_bytes(b"weights")
    Path("folder", CARD).write_text("# A model")
    Path("folder", CONFIG).write_text(json.dumps({"file": weights.name, "sha256": file_digest(weights)}))


def test_no_command_is_left_out() -> None:
    takes = {
        words
        for words in commands_of_the_package()
        if "dry_run" in inspect.signature(function_of(words)).parameters
    }
    assert takes == {*COMMANDS, *OF_A_FOLDER}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_plan_for_programs(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, *COMMANDS[words], "--dry-run", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows and all(isinstance(row, dict) and row for row in rows)
