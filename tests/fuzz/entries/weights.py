"""Checkpoints of trainings, and weights that others saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from blockzoo.training.checkpoint import DurableCheckpoints
from blockzoo.training.weights import check_continuable, load_weights, read_weights
from tests.fuzz.formats import fuzzed


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


def loaded(path: Path) -> Any:
    """What is in the file, and in a network that takes it."""
    weights, own = read_weights(path), network()
    load_weights(own, path)
    return weights, own.state_dict()


@fuzzed("checkpoint of a training", checksum=True)
class Training:
    def write(folder: Path) -> Path:
        own = network()
        optimizer = torch.optim.SGD(own.parameters(), 0.1, momentum=0.9)
        own(torch.ones(2, 3, 4, 4)).sum().backward()
        optimizer.step()
        parts = {
            "optimizer_states": [optimizer.state_dict()],
            "lr_schedulers": [{"last_epoch": 1}],
            "epoch": 1,
        }
        content = {"state_dict": own.state_dict(), **parts, "pytorch-lightning_version": "2.4"}
        DurableCheckpoints().save_checkpoint(content, folder / "last.ckpt")
        return folder / "last.ckpt"

    def read(path: Path) -> Any:
        check_continuable(path, 5)
        return DurableCheckpoints().load_checkpoint(path), loaded(path)


@fuzzed("weights (.pth)", checksum=True)
class Weights:
    def write(folder: Path) -> Path:
        torch.save({"model": network().state_dict(), "arch": "x"}, folder / "weights.pth")
        return folder / "weights.pth"

    read = loaded


@fuzzed("weights of earlier versions of torch")
class Earlier:
    def write(folder: Path) -> Path:
        torch.save(network().state_dict(), folder / "weights.pth", _use_new_zipfile_serialization=False)
        return folder / "weights.pth"

    read = loaded


@fuzzed("weights (.safetensors)")
class Safe:
    def write(folder: Path) -> Path:
        save_file(network().state_dict(), folder / "weights.safetensors")
        return folder / "weights.safetensors"

    read = loaded
