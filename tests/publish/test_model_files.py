"""Networks as files: read again they compute the same, and the card says what their weights came to."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from blockzoo.cli import main
from blockzoo.core.contracts import ATTENTIONS, BLOCKS, NETWORKS
from blockzoo.core.errors import CheckFailed, UsageError
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.subject import Subject
from blockzoo.models.resolve import build_network
from blockzoo.publish import model_files
from blockzoo.publish.hub import planned
from blockzoo.publish.model_files import Wanted, export_model, what_is
from blockzoo.training.weights import load_weights

SMALL = ["--base-channels", "4", "--num-blocks", "1"]


def front_matter(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text().split("\n---\n", 1)[0][4:])  # type: ignore[no-any-return]


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_weights_are_those_of_the_network(form: str, tmp_path: Path) -> None:
    words = ["export", "RepVGGBlock/mid", *SMALL, "--format", form, "--seed", "3", "-o", str(tmp_path)]
    assert main(words) == 0
    config = json.loads((tmp_path / "config.json").read_text())
    spec = NetworkSpec(**config["network"])
    assert spec == NetworkSpec("RepVGGBlock/mid", base_channels=4, num_blocks=1)
    again, wanted = build_network(spec, seed=9), build_network(spec, seed=3)
    load_weights(again, tmp_path / config["file"])
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.eval()(x), wanted.eval()(x))
    card = (tmp_path / "README.md").read_text()
    assert "drawn from seed 3, not trained" in card and "the card has no result" in card
    values = front_matter(tmp_path / "README.md")
    assert values["license"] == "apache-2.0" and "model-index" not in values
    assert planned(tmp_path, "a/b", public=False).kind == "model"


def test_an_onnx_file_computes_what_the_network_does(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    words = [
        "export",
        "RepVGGBlock/mid",
        *SMALL,
        "--format",
        "onnx",
        "--image-size",
        "16",
        "-o",
        str(tmp_path),
    ]
    assert main(words) == 0
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    network = build_network(NetworkSpec("RepVGGBlock/mid", base_channels=4, num_blocks=1), seed=0).eval()
    x = torch.rand(1, 3, 16, 16)
    (output,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(output), network(x), atol=1e-4)


def test_a_file_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = model_files.read_weights
    monkeypatch.setattr(model_files, "read_weights", lambda path: {n: w + 1 for n, w in real(path).items()})
    with pytest.raises(CheckFailed, match="read again, differs"):
        export_model(Wanted(NetworkSpec(base_channels=4, num_blocks=1), "safetensors", (3, 32, 32)), tmp_path)


def test_the_card_has_a_model_index_that_the_hub_reads(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    network = NetworkSpec(base_channels=4, num_blocks=1)
    values = {"test_acc": 0.4561, "test_loss": 1.5, "split": "a --- split", "images": 100}
    evaluated = Record("evaluation", "f", network.subject, {"dataset": "digits"}, values=values)
    export_model(Wanted(network, "safetensors", (3, 32, 32)), tmp_path, evaluated)
    data = hub.ModelCard.load(tmp_path / "README.md").data
    accuracy, loss = data.eval_results
    assert (accuracy.dataset_name, accuracy.metric_type, accuracy.metric_value) == (
        "digits",
        "accuracy",
        0.4561,
    )
    assert (loss.metric_type, loss.metric_value, loss.dataset_split) == ("loss", 1.5, "test")


def test_weights_that_are_not_trained_are_not_evaluated(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["export", "ResNetBasicBlock/mid", "--dataset", "digits", "-o", str(tmp_path)]) == 2
    assert "give --weights too" in capsys.readouterr().err
    with pytest.raises(UsageError, match="choose one of"):
        Wanted(NetworkSpec(), "onnx", (3, 32, 32), licence="mine")


def test_a_folder_has_one_network_and_nothing_is_lost(tmp_path: Path) -> None:
    network = NetworkSpec(base_channels=4, num_blocks=1)
    export_model(Wanted(network, "safetensors", (3, 32, 32)), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(
        UsageError, match=r"has model\.safetensors of an earlier export.* choose another --output"
    ):
        export_model(Wanted(network, "torch", (3, 32, 32)), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    export_model(Wanted(network, "safetensors", (3, 32, 32), seed=1), tmp_path)
    assert planned(tmp_path, "a/b", public=False).files


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("ResNetBasicBlock/mid", BLOCKS.summary("ResNetBasicBlock")),
        ("ResNetBasicBlock@published+eca", f"Behind it eca: {ATTENTIONS.summary('eca')}"),
        ("timm:resnet18", f"resnet18 of timm {version('timm')}."),
        ("torchvision:resnet18", f"resnet18 of torchvision {version('torchvision')}."),
        ("model:resnet20", NETWORKS.summary("resnet20")),
        ("macro:7", "A network of the macro space."),
        ("celled:16:RepMixer", f"of each of its cells. RepMixer: {BLOCKS.summary('RepMixer')}"),
        ("tiled:F4:timm:resnet18", "on tiles. timm:resnet18: resnet18 of timm"),
        ("stages:RepMixer,ResNetBasicBlock,GhostBottleneck", f"GhostBottleneck: {BLOCKS.summary('GhostBottleneck')}"),
        ("tests/my_custom_block.py:MyCustomBlock/mid", "The user's own code."),
    ],
)  # fmt: skip
def test_a_card_says_what_its_network_is(subject: str, words: str) -> None:
    said = what_is(Subject.parse(subject))
    assert words in said and ("own code" in said) == subject.startswith("tests/") and "`" not in said


@pytest.mark.slow
def test_trained_weights_are_evaluated_for_the_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["export", "ResNetBasicBlock/mid", *SMALL, "--seed", "1", "-o", str(first)]) == 0
    words = ["export", "ResNetBasicBlock/mid", *SMALL, "--weights", str(first / "model.safetensors")]
    assert main([*words, "--dataset", "digits", "-o", str(second)]) == 0
    (result,) = front_matter(second / "README.md")["model-index"][0]["results"]
    assert result["dataset"]["name"] == "digits" and 0 <= result["metrics"][0]["value"] <= 1
    assert (second / "model.safetensors").stat().st_size == (first / "model.safetensors").stat().st_size
