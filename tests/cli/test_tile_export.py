"""blockzoo tile export: from a subject and a checkpoint to a file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blockzoo.cli.app import run

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.slow
def test_int8_within_a_budget_with_accuracies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from blockzoo.core.spec import NetworkSpec
    from blockzoo.models.resolve import build_network

    network = build_network(NetworkSpec("model:resnet8_half", out_dim=10, in_channels=3), seed=0)
    weights, path = tmp_path / "weights.pth", tmp_path / "made.onnx"
    torch.save(network.state_dict(), weights)
    words = ["tile", "export", "model:resnet8_half", "--dataset", "digits", "--weights", str(weights)]
    words += ["--output", str(path), "--dtype", "int8", "--calibration-images", "16", "--evaluate"]
    assert run([*words, "--budget", "20KiB", "--mode", "exact"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the same in every bit" in shown and "checked 0.0e+00" in shown
    assert "weights: weights.pth (sha256 " in shown
    assert said(path)["blockzoo.weights"].startswith("weights.pth (sha256 ")
    assert said(path)["blockzoo.subject"].endswith("model:resnet8_half")
    assert "the type" in shown
    assert "val images of digits" in shown
    assert path.is_file()
    assert run(words) == 2
    assert "--overwrite" in capsys.readouterr().err


def said(path: Path) -> dict[str, str]:
    import onnx

    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


def test_random_weights_are_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.onnx"
    words = ["tile", "export", "model:resnet8_half", "--image-size", "16", "--num-classes", "7", "--output"]
    assert run([*words, str(path)]) == 0
    assert "weights: DRAWN AT RANDOM" in " ".join(capsys.readouterr().out.split())
    assert "DRAWN AT RANDOM" in said(path)["blockzoo.weights"]
    assert float(said(path)["blockzoo.checked"]) < 1e-4


@pytest.mark.slow
def test_what_a_file_makes_of_nan_is_shown_and_refused_if_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n    def __init__(self, num_classes=4):\n"
        "        super().__init__(nn.Conv2d(3, num_classes, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten())\n"
    )
    words = ["tile", "export", "my.py:Net", "--image-size", "12", "--num-classes", "4", "--output", "x.onnx"]
    assert run([*words, "--strict"]) != 0
    assert "adaptive_max_pool2d" in " ".join(capsys.readouterr().err.split()) and not Path("x.onnx").exists()
    assert run(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "NaN and infinities: given NaN, the file gives numbers where the network gives NaN" in shown


@pytest.mark.slow
def test_pretrained_weights_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import models

    torch.manual_seed(0)
    weights = tmp_path / "squeezenet1_1-b8a52dc0.pth"
    torch.save(models.squeezenet1_1().state_dict(), weights)
    monkeypatch.setattr("blockzoo.tiling.experiments.pretrained.pretrained_file", lambda subject: weights)
    path = tmp_path / "made.onnx"
    words = ["tile", "export", "torchvision:squeezenet1_1", "--image-size", "33", "--output", str(path)]
    assert run([*words, "--pretrained"]) == 0
    assert "torchvision IMAGENET1K_V1, squeezenet1_1-b8a52dc0.pth" in said(path)["blockzoo.weights"]
    assert run([*words, "--pretrained", "--weights", str(weights), "--overwrite"]) == 2
    assert "give one of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["--dtype", "int8"], "--dataset"),
        (["--evaluate", "--dataset", "digits"], "--weights"),
        (["--grid", "2,2"], "belong together"),
        (["--grid", "two", "--fuse-to", "layer1"], "whole number"),
        (["--mode", "exact"], "say what to fuse"),
    ],
)
def test_refused(words: list[str], remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.onnx"
    assert run(["tile", "export", "torchvision:resnet18", "--output", str(path), *words]) == 2
    assert remedy in " ".join(capsys.readouterr().err.split())
    assert not path.exists()
