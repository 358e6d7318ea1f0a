"""Weights that others saved: any prefix, no code, nothing half loaded."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from blockzoo.core.errors import UsageError
from blockzoo.models.mobilenet import MobileNetV1
from blockzoo.training.weights import check_continuable, digest_of, load_weights, read_weights


class Net(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.classifier = nn.Linear(4, classes)


def weights(seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return Net().state_dict()


def renamed(kind: str) -> dict[str, Any]:
    own = weights()
    if kind == "features.module":  # DataParallel around the features alone
        return {k.replace("features.", "features.module."): v for k, v in own.items()}
    if kind == "without features":
        return {k.removeprefix("features."): v for k, v in own.items()}
    if kind == "no counts":
        return {k: v for k, v in own.items() if not k.endswith("num_batches_tracked")}
    return {f"{kind}{k}": v for k, v in own.items()}


KINDS = [
    "",
    "module.",
    "model.",
    "network.",
    "module.model.",
    "_orig_mod.",
    "features.module",
    "without features",
]


@pytest.mark.parametrize("kind", [*KINDS, "no counts"])
@pytest.mark.parametrize("inside", [None, "state_dict", "model", "network"])
def test_any_prefix_and_any_wrapping(tmp_path: Path, kind: str, inside: str | None) -> None:
    state = renamed(kind)
    path = tmp_path / "c.pth"
    torch.save(state if inside is None else {inside: state, "epoch": 3, "arch": "net"}, path)
    network = Net()
    assert load_weights(network, path) == []
    for name, value in weights().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_safetensors(tmp_path: Path) -> None:
    save_file({f"module.{k}": v for k, v in weights().items()}, tmp_path / "c.safetensors")
    network = Net()
    load_weights(network, tmp_path / "c.safetensors")
    assert torch.equal(network.classifier.weight, weights()["classifier.weight"])


def test_names_of_another_author_by_their_order(tmp_path: Path) -> None:
    there = MobileNetV1(4, 0.25)
    torch.save(
        {f"model.{i}.{k.rpartition('.')[2]}": v for i, (k, v) in enumerate(there.state_dict().items())},
        tmp_path / "m.pth",
    )
    here = MobileNetV1(4, 0.25)
    load_weights(here, tmp_path / "m.pth")
    assert torch.equal(here.state_dict()["blocks.5.0.0.weight"], there.state_dict()["blocks.5.0.0.weight"])


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch EVIL",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_would_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": weights(), "x": Evil()}, path, _use_new_zipfile_serialization=not legacy)
    network = Net()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(UsageError, match=r"refused.*could run code(?s:.)*safetensors"):
        load_weights(network, path)
    assert not (tmp_path / "EVIL").exists()
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UsageError):
        read_weights(path)
    assert not (tmp_path / "EVIL").exists()


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    with pytest.raises(UsageError, match="there is no checkpoint"):
        read_weights(path)
    with pytest.raises(UsageError, match="cannot read checkpoint"):
        digest_of(path)
    torch.save(weights(), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"c\.pth"):
        read_weights(path)
    path.write_text("hello")
    with pytest.raises(UsageError, match=r"c\.pth"):
        read_weights(path)
    torch.save([1, 2], path)
    with pytest.raises(UsageError, match="holds a list"):
        read_weights(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(UsageError, match="holds no weights: epoch"):
        read_weights(path)
    torch.save({"a": torch.tensor([1.0, float("nan")])}, path)
    with pytest.raises(UsageError, match="not finite"):
        read_weights(path)
    (tmp_path / "c.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(UsageError, match="cannot be read"):
        read_weights(tmp_path / "c.safetensors")


def test_another_network_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.pth"
    torch.save({**weights(), "extra.weight": torch.zeros(2)}, path)
    network = Net()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(UsageError, match=r"the network has no extra\.weight"):
        load_weights(network, path)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    torch.save({k: v for k, v in weights().items() if "classifier" not in k}, path)
    with pytest.raises(UsageError, match=r"it lacks classifier\.weight, classifier\.bias"):
        load_weights(network, path)
    torch.save(Net(5).state_dict(), path)
    with pytest.raises(
        UsageError, match=r"classifier\.weight is \(5, 4\) in the file, \(3, 4\) in the network"
    ):
        load_weights(network, path)
    assert load_weights(network, path, new_head=True) == ["classifier.weight", "classifier.bias"]


def test_what_a_run_can_go_on_from(tmp_path: Path) -> None:
    path = tmp_path / "c.ckpt"
    torch.save(weights(), path)
    with pytest.raises(UsageError, match="--reset-optimizer"):
        check_continuable(path, 5)
    torch.save({"state_dict": weights(), "optimizer_states": [], "lr_schedulers": [], "epoch": 4}, path)
    with pytest.raises(UsageError, match="5 epochs behind it and 5 were asked for"):
        check_continuable(path, 5)
    check_continuable(path, 6)
