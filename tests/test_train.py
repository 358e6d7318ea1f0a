"""Whole networks and the user's own classes take the way of the blocks, from a subject to a row."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from blockzoo.core.contracts import BLOCKS
from blockzoo.core.outcomes import Outcomes
from blockzoo.core.outputs import Outputs
from blockzoo.core.settings import Data, Recipe, Run, Scaffold, Sweeping
from blockzoo.core.spec import TrialSpec
from blockzoo.data import load_dataset
from blockzoo.models.resolve import build_network
from blockzoo.train import train_block
from blockzoo.training.classifier import Classifier
from blockzoo.training.protocols import protocol_of
from blockzoo.training.weights import load_weights
from blockzoo.trials.grid import Call, grid, networks_of, run_trials
from tests.sampled import sampled

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


@pytest.mark.parametrize(
    "subject", sampled(["timm:mobilenetv3_small_050", "torchvision:mobilenet_v3_small", "own"], ["own"])
)
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


def test_a_filler_under_test_is_one_network_at_every_position(tmp_path: Path) -> None:
    scaffold = {"num_blocks": 1, "base_channels": 4, "latency": False, "output": tmp_path}
    early, late = (train_block("ResNetBasicBlock", place, **QUICK, **scaffold) for place in ("early", "late"))
    assert early.row["val_loss"] == late.row["val_loss"] and early.row["position"] != late.row["position"]


def test_what_each_test_image_came_to_is_what_the_weights_do(tmp_path: Path) -> None:
    """Against a plain pass over the test split, image by image, with the weights that are left."""
    images = load_dataset("digits").limited(200, test=77)
    scaffold = Scaffold(base_channels=4, num_blocks=1)
    recipe, data = Recipe(epochs=2), Data(dataset="digits", limit_train=200, limit_test=77)
    (network,) = networks_of(["GhostBottleneck"], "early", images, scaffold)
    trials = grid([network], [0], images, recipe, data)
    run = Run(output=tmp_path, latency=False)
    run_trials(trials, images.shape, run, Sweeping(workers=1), Call(keep_weights=True))
    outputs = Outputs.at(tmp_path)
    (record,) = outputs.store().records("trial")
    trained = build_network(network, seed=0).eval()
    load_weights(trained, outputs.weights(record.fingerprint))
    stored = Outcomes.of(record.outcomes)
    mean, std = (np.reshape(of, (-1, 1, 1)) for of in (images.mean, images.std))
    pixels = torch.from_numpy(((images.test.images / 255 - mean) / std).astype(np.float32))
    labels = torch.from_numpy(np.array(images.test.labels))
    with torch.no_grad():
        logits = torch.cat([trained(one[None]) for one in pixels])
    assert (logits.argmax(1).eq(labels).numpy() == stored.hits).all()
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none").numpy()
    assert np.abs(stored.losses / np.clip(losses, 1e-4, 100) - 1).max() < 0.03


def test_images_of_several_ranks_are_put_in_their_order() -> None:
    classifier = Classifier(torch.nn.Identity(), protocol_of(TrialSpec()), 0.1, 0)
    hits = torch.tensor([True, False, False, True, True])
    classifier._each = [(hits[:3:2], torch.tensor([1.0, 3.0])), (hits[4:], torch.tensor([5.0]))]
    other = [hits[1::2].numpy(), np.array([2.0, 4.0], np.float32)]
    classifier.ranks = SimpleNamespace(gathered=lambda own: [own, other])  # type: ignore[assignment]
    made = classifier._of_each()
    assert made.hits.tolist() == hits.tolist() and made.losses.tolist() == [1, 2, 3, 4, 5]
