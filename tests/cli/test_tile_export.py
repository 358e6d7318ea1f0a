"""blockzoo tile export: from a subject and a checkpoint to a file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blockzoo.cli.app import run

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def test_int8_within_a_budget_with_accuracies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from blockzoo.core.spec import NetworkSpec
    from blockzoo.models.resolve import build_network

    network = build_network(NetworkSpec("model:resnet8_half", out_dim=10, in_channels=3), seed=0)
    weights, path = tmp_path / "weights.pth", tmp_path / "made.onnx"
    torch.save(network.state_dict(), weights)
    words = ["tile", "export", "model:resnet8_half", "--dataset", "digits", "--weights", str(weights)]
    words += ["--output", str(path), "--dtype", "int8", "--calibration-images", "16", "--evaluate"]
    assert run([*words, "--budget", "20KiB", "--mode", "exact"]) == 0
    shown = capsys.readouterr().out
    assert "the same in every bit" in shown
    assert "the type" in shown
    assert "val images of digits" in shown
    assert path.is_file()
    assert run(words) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--dtype", "int8"], "--dataset"),
        (["--evaluate", "--dataset", "digits"], "--weights"),
        (["--grid", "2,2"], "belong together"),
        (["--grid", "two", "--fuse-to", "layer1"], "whole numbers"),
    ],
)
def test_refused(words: list[str], remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.onnx"
    assert run(["tile", "export", "torchvision:resnet18", "--output", str(path), *words]) == 2
    assert remedy in " ".join(capsys.readouterr().err.split())
    assert not path.exists()
