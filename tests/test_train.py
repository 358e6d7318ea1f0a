"""Whole networks and the user's own classes take the way of the blocks, from a subject to a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from blockzoo.core.contracts import BLOCKS
from blockzoo.train import train_block

OWN_NETWORK = """
from torch import nn


class Small(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(512, num_classes))

    def forward(self, x):
        return self.body(x)
"""
QUICK = {"dataset": "digits", "epochs": 1, "batch_size": 128, "limit_train": 256}


@pytest.mark.parametrize("subject", ["timm:mobilenetv3_small_050", "torchvision:mobilenet_v3_small", "own"])
def test_whole_networks_become_rows(tmp_path: Path, subject: str) -> None:
    if subject == "own":
        (tmp_path / "own.py").write_text(OWN_NETWORK)
        subject = f"{tmp_path / 'own.py'}:Small"
    row = train_block(subject, output=tmp_path / "out", **QUICK).row
    assert (row["block"], row["position"], row["status"]) == (subject, None, "ok")
    assert 0 <= row["test_acc"] <= 1
    assert row["params_total"] > 1000 and row["latency_ms"] > 0
    assert row["stage_macs"] is None


def test_a_class_is_the_same_trial_as_its_name(tmp_path: Path) -> None:
    scaffold = {"num_blocks": 1, "base_channels": 4, "latency": False}
    named = train_block("MobileOneBlock", "late", output=tmp_path / "a", **QUICK, **scaffold)
    given = train_block(BLOCKS["MobileOneBlock"], "late", output=tmp_path / "b", **QUICK, **scaffold)
    assert named.record.fingerprint == given.record.fingerprint
    assert named.row["val_loss"] == given.row["val_loss"]
