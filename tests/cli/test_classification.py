"""The commands of the earlier tiling script, word for word."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from blockzoo.core.outputs import Outputs
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.resolve import build_network
from tests.tiling.experiments.test_training import TINY

COMPAT = Path(__file__).parents[2] / "compat"
WORDS = (
    "./data --dataset=digits --image_size=16 --out_dir=logs/ --gpus=0,1,2,3 --cpu --arch=tiny.py:Tiny --name=n "
    "--batch_size=64 -j=32 --epochs=1 --lr=0.1 --wd=1e-4 --momentum=0.9 --milestones=30,60 --block_size 8,8 "
    "--padding_mode constant --type 0 --effective-train-size=0.2 --effective-valid-size 0.5 --effective-test-size=0.5 "
    "--deterministic -p 10 --disable_tqdm"
).split()


@pytest.fixture
def classification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(COMPAT))
    monkeypatch.chdir(tmp_path)
    Path("tiny.py").write_text(TINY)
    import classification

    yield classification
    del sys.modules["classification"]


def test_trained_fine_tuned_and_evaluated(classification, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    assert classification.run([*WORDS, "--do_train", "--do_eval"]) == 0
    (record,) = Outputs.at("logs").store().records()
    assert record.values["test_acc"] is not None and record.experiment_name == "n"
    asked = {name: record.spec[name] for name in ("batch_size", "lr", "weight_decay", "epochs", "milestones")}
    assert asked == {"batch_size": 64, "lr": 0.1, "weight_decay": 1e-4, "epochs": 1, "milestones": [30, 60]}
    assert (record.spec["limit_train"], record.spec["limit_val"], record.spec["limit_test"]) == (
        216,
        180,
        180,
    )
    tuned = [
        *WORDS,
        "--name=tuned",
        "--resume_from",
        "logs/n_ckpt.pth.tar",
        "--reset_optimizer",
        "--do-train",
    ]
    assert classification.run(tuned) == 0
    capsys.readouterr()
    assert classification.run([*WORDS, "--do_eval", "--resume_from", "logs/tuned_ckpt.pth.tar"]) == 0
    assert "on 180 test images" in capsys.readouterr().out


def test_a_checkpoint_of_the_earlier_script_is_read(
    classification, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    network = build_network(NetworkSpec("tiny.py:Tiny", out_dim=10), seed=0)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    saved = {
        "epoch": 3,
        "arch": "tiny",
        "state_dict": {f"module.{name}": value for name, value in network.state_dict().items()},
        "optimizer_state_dict": optimizer.state_dict(),
        "optimizer_type": type(optimizer),
        "extras": {"best_top1": 0.5},
    }
    torch.save(saved, "earlier.pth.tar")
    assert classification.run([*WORDS, "--do_eval", "--resume_from", "earlier.pth.tar"]) == 0
    assert "test images" in capsys.readouterr().out


def test_what_the_earlier_script_would_have_done(classification, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    def words(*given: str) -> list[str]:
        return classification.translated(classification.parser().parse_args(["d", *given]))  # type: ignore[no-any-return]

    assert {"--epochs=360", "--batch-size=512", "--weight-decay=5e-4", "--learning-rate=0.1"} <= set(words())
    assert not any(
        word.startswith("--milestones") for word in words("--arch", "block_mobilenet", "--ms", "3")
    )
    assert "--save=o/ckpt.pth.tar" in words("--do-train", "-o", "o") and "--gpus=1" in words("--gpus", "1")
    assert classification.run(["d"]) == 0 and "nothing to do" in capsys.readouterr().out
    assert classification.run(["d", "--do_train", "--gpus", "9"]) == 2
    assert "--gpus 9: there is no GPU 9" in capsys.readouterr().err
