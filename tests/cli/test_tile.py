"""`blockzoo tile` as people type it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from blockzoo.cli import main
from blockzoo.core.outputs import Outputs
from tests.tiling.experiments.test_training import TINY

SHORT = [
    "--dataset",
    "digits",
    "--image-size",
    "16",
    "--cpu",
    "--effective-train-size",
    "128",
    "--batch-size",
    "64",
]
ARCH = ["--arch", "tiny.py:Tiny"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.py").write_text(TINY)


def test_train_fine_tune_and_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            ["tile", "train", *SHORT, *ARCH, "--epochs", "1", "--out_dir", "out", "--name", "n", "--wd", "0"]
        )
        == 0
    )
    assert "from scratch; step-v1" in capsys.readouterr().out
    (weights,) = Path("out/weights").glob("*.ckpt")
    cut = ["--block-size", "8,8", "--padding-mode", "reflect", "--type", "0"]
    tuned = ["tile", "train", *SHORT, *ARCH, *cut, "--epochs", "1", "--output", "out", "--milestones", "1"]
    assert main([*tuned, "--resume-from", str(weights), "--reset-optimizer"]) == 0
    printed = capsys.readouterr().out
    assert (
        "tiled:F8,reflect,16px:tiny.py:Tiny" in printed
        and "fine-tuning" in printed
        and "test accuracy" in printed
    )
    assert main([*tuned, "--resume-from", str(weights), "--reset-optimizer"]) == 0
    assert "nothing was trained" in capsys.readouterr().out
    assert len(Outputs.at("out").store().records()) == 2
    saved = [
        "tile",
        "eval",
        "--dataset",
        "digits",
        "--image-size",
        "16",
        *ARCH,
        "--resume-from",
        str(weights),
    ]
    assert main(saved) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "359 validation images" in printed and f"weights: {weights.name} (" in printed
    (evaluation,) = Outputs.at("results").store().records("evaluation")
    assert evaluation.values["weights"].startswith(weights.name)
    assert (
        main([*saved, *cut, "--split", "test", "-j", "1"]) == 0 and "test images" in capsys.readouterr().out
    )
    assert main(["tile", "train", *SHORT, *ARCH, "--do-eval", "--resume-from", str(weights)]) == 0
    assert "test images" in capsys.readouterr().out


@pytest.mark.slow
def test_sizes_are_shares_or_counts_and_devices_share_an_evaluation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [
        "tile",
        "train",
        *SHORT,
        *ARCH,
        "--epochs=1",
        "--valid-size",
        "0",
        "--evs=0.5",
        "--etes",
        "100",
        "-j=2",
    ]
    assert main([*words, "--gpus=0,1,2,3", "--deterministic", "--do_train", "--do_eval", "-o", "out"]) == 0
    (record,) = Outputs.at("out").store().records()
    assert (record.spec["limit_train"], record.spec["limit_val"], record.spec["limit_test"]) == (
        128,
        180,
        100,
    )
    assert record.values["split"].endswith("-val-stratified-180-v1-test-stratified-100-v1")
    (weights,) = map(str, Path("out/weights").glob("*.ckpt"))
    saved = ["tile", "eval", "--dataset=digits", "--image_size=16", *ARCH, "--cpu", "--resume_from", weights]
    capsys.readouterr()
    assert main([*saved, "--etes=101", "--split=test"]) == 0
    alone = capsys.readouterr().out
    assert main([*saved, "--etes=101", "--split=test", "--devices", "2"]) == 0
    assert capsys.readouterr().out == alone and "101 test images" in alone


def test_presets_are_shown_and_options_override_them(capsys: pytest.CaptureFixture[str]) -> None:
    plan = ["tile", "train", "--dataset", "digits", "--dry-run"]
    assert main([*plan, "--arch", "block_vgg16"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "105 epochs, batch 256, lr 0.01, decay 0.0005, milestones 30,60,90" in printed
    assert "tiled:F28,zeros,32px:torchvision:vgg16" in printed
    assert (
        main([*plan, "--arch", "block_mobilenet", "--blocking", "hierarchical", "--block-size", "4,4"]) == 0
    )
    assert "cosine" in (printed := capsys.readouterr().out) and "tiled:H4x4" in printed
    assert main([*plan, "--arch", "resnet18", "--epochs", "9", "--lr", "0.5"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "tiled:whole,32px:torchvision:resnet18" in printed and "9 epochs, batch 128, lr 0.5" in printed
    assert "milestones 3,6" in printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--arch", "resnet81"], "block_resnet18"),
        (["--type", "2"], "--type 2"),
        (["--blocking", "fixed", "--type", "1", "--block-size", "4"], "give one of them"),
        (["--blocking", "hierarchical"], "--block-size 4,4"),
        (["--block-size", "a,b"], "--block-size a,b"),
        (["--padding-mode", "wrap"], "padding mode 'wrap'"),
        (["--milestones", "6,3"], "rising order"),
        (["--gpus", "2"], "--gpus 2"),
        (["--reset-optimizer"], "--resume-from"),
        (["--resume-from", "nowhere.ckpt"], "there is no checkpoint nowhere.ckpt"),
        (["--validation-split", "1.5"], "validation_share"),
        (["--do-eval"], "nothing to evaluate"),
        (["--workers", "-1"], "--workers -1"),
        (["--gpus", "a"], "--gpus a"),
        (["--devices", "3", "--cpu"], "multiple of 3"),
        (["--effective-train-size", "1.5"], "--effective-train-size 1.5"),
        (["--epochs", "-1"], "epochs"),
    ],
)
def test_bad_requests(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tile", "train", "--dataset", "digits", *words]) == 2
    assert says in capsys.readouterr().err
    assert not Path("results").exists()


def test_a_malicious_checkpoint_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.system, ("touch EVIL",)

    torch.save({"state_dict": Evil()}, "evil.ckpt")
    for command in ("train", "eval"):
        assert main(["tile", command, *ARCH, "--dataset", "digits", "--resume-from", "evil.ckpt"]) == 2
        assert "could run code" in capsys.readouterr().err
    assert not Path("EVIL").exists() and not Path("results").exists()


STUDY = """
archs: [tiny.py:Tiny]
dataset: digits
image_size: 16
blockings: [F8]
paddings: [zeros, reflect]
seeds: 1
few_seeds: true
train: {epochs: 1, batch_size: 64, effective_train_size: 128}
fine_tune: {epochs: 1, batch_size: 64, effective_train_size: 128}
"""


@pytest.mark.slow
def test_a_study_goes_on_and_prints_three_tables(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.yaml").write_text(STUDY)
    command = ["tile", "study", "s.yaml", "--output", "out", "--device", "cpu", "-j", "2"]
    assert main([*command, "--dry-run"]) == 2 and "--plugin" in capsys.readouterr().err, "code of a file"
    command += ["--plugin", "tiny.py"]
    assert main([*command, "--dry-run"]) == 0
    assert "5 runs" in capsys.readouterr().out and not Path("out").exists()
    # someone ran the baseline by hand before: the study does not run it again
    one = ["tile", "train", *SHORT, *ARCH, "--epochs", "1", "--output", "out"]
    assert main(one) == 0
    capsys.readouterr()
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "1 trials, 1 done already" in printed and "4 trials, 0 done already" in printed
    for title in ("Ways of training, F8", "Blockings, fine-tuned", "Paddings, fine-tuned"):
        assert title in printed
    assert "reported" in printed and Path("out/s.md").read_text().count("(reported)") == 4 + 3 + 4
    rows = Path("out/s.csv").read_text().splitlines()
    assert len(rows) == 6 and all(",ok," in row for row in rows[1:])
    (weights,) = Path("out/weights").glob("*.ckpt")
    weights.unlink()
    assert main([*command, "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert "1 trials, 0 done already" in printed and weights.is_file(), "its weights were gone"
    assert "4 trials, 4 done already" in printed and "| Tiny |" in printed


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("few_seeds: true", "at least 3"),
        ("archs: [tiny.py:Tiny]", "name the networks"),
        ("blockings: [F8]->blockings: [F0]", "'F0'"),
        ("dataset: digits->datasets: digits", "unknown 'datasets'"),
        ("paddings: [zeros, reflect]->paddings: zeros", "paddings: Input should be a list, not 'zeros'"),
        ("epochs: 1, batch_size->epoch: 1, batch_size", "epoch"),
    ],
)
def test_studies_that_cannot_be(change: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    before, _, after = change.partition("->")
    Path("s.yaml").write_text(STUDY.replace(before, after, 1))
    assert main(["tile", "study", "s.yaml", "--output", "out", "--plugin", "tiny.py"]) == 2
    assert says in capsys.readouterr().err and not Path("out").exists()


UNET = """
from torch import nn
class UNet(nn.Sequential):
    def __init__(self, channels_in=1, classes=2):
        super().__init__(nn.Conv2d(channels_in, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, classes, 1))
"""


def test_a_class_of_the_users_is_planned_as_it_stands(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    Path("my.py").write_text(UNET)
    plan = ["tile", "plan", "my.py:UNet", "--image-size", "32", "--dtype", "int8", "--budget", "1MiB"]
    assert main(plan) == 0
    assert "input 1 x 1 x 32 x 32: peak 10.0 KiB" in " ".join(capsys.readouterr().out.split())
    assert "built as it stands, classes=2" in caplog.text
    assert main([*plan, "--num-classes", "1000"]) == 0
    assert "peak 1008.0 KiB" in " ".join(capsys.readouterr().out.split())
    assert "classes=1000 (default 2)" in caplog.text


def test_help_starts_without_torch() -> None:
    for command in ("train", "eval", "study"):
        code = f"from blockzoo.cli import main; main(['tile', '{command}', '--help'])"
        code += "; import sys; assert 'torch' not in sys.modules"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
