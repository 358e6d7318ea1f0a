"""What a trial adds to a protocol: averaged weights, smaller images, Muon, mirror images, another warm-up; alone and together."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.outcomes import Outcomes
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.subject import as_stored
from blockzoo.core.table import trial_row
from blockzoo.data import ImageData, load_dataset
from blockzoo.data.batches import Pixels, ResidentBatches
from blockzoo.models.resolve import build_network
from blockzoo.training import classifier as classifier_module
from blockzoo.training.launch import Circumstances, run_on_devices
from blockzoo.training.loaders import loaders
from blockzoo.training.protocols import get_protocol, protocol_of
from blockzoo.training.resolution import scale_in_epoch
from blockzoo.training.steps import training_images_worth
from blockzoo.training.trial import evaluate_trial, run_trial

ADDED: dict[str, Any] = {
    "ema_decay": 0.8,
    "initial_scale": 0.5,
    "muon_lr": 0.05,
    "flip_average": True,
    "warmup_share": 0.4,
}


@pytest.fixture(scope="module")
def mirrored() -> ImageData:
    """Digits, taken for images that may be mirrored."""
    digits = load_dataset("digits", image_size=16)
    return ImageData(**{**vars(digits), "flip": True})


def spec(**changes: object) -> TrialSpec:
    common: dict[str, Any] = {
        "network": NetworkSpec("ResNetBasicBlock/mid", num_blocks=1, base_channels=4),
        "dataset": "digits", "image_size": 16, "epochs": 3, "batch_size": 64, "lr": 0.2,
        "limit_train": 256, "limit_val": 100, "limit_test": 200,
    }  # fmt: skip
    return TrialSpec(**common | changes)


def curves(record: Record) -> dict[str, list[float]]:
    return {k: v for k, v in record.samples.items() if k != "seconds"}


class Stop(Exception):
    """The run is interrupted here."""


def _stop(epoch: int, values: dict[str, float]) -> None:
    raise Stop


def test_older_fingerprints_stay_and_each_addition_is_another_request() -> None:
    usual = spec()
    assert not set(ADDED) & set(usual.identity())
    others = [usual.with_(**{name: value}) for name, value in ADDED.items()]
    assert len({usual.fingerprint(), *(other.fingerprint() for other in others)}) == 6
    assert len({usual.comparable(), *(other.comparable() for other in others)}) == 6
    for (name, value), other in zip(ADDED.items(), others, strict=True):
        with as_stored():
            row = trial_row(Record("trial", other.fingerprint(), "x", other.to_json()))
        assert row[name] == value == getattr(protocol_of(other), name) != getattr(protocol_of(usual), name)


def test_what_a_protocol_cannot_take_is_refused(mirrored: ImageData) -> None:
    with pytest.raises(UsageError, match="published-v1 has no warmup_share; fast-v1 has"):
        protocol_of(spec(protocol="published-v1", warmup_share=0.1))
    with pytest.raises(UsageError, match="takes no muon_lr: choose one with SGD"):
        protocol_of(spec(protocol="published-v1", muon_lr=0.1))
    assert protocol_of(spec(protocol="published-v1", ema_decay=0.9, initial_scale=0.5)).ema_decay == 0.9
    for name, value in (("ema_decay", 1.0), ("initial_scale", 1.5), ("warmup_share", 0.0), ("muon_lr", -1.0)):
        with pytest.raises(UsageError, match=name):
            spec(**{name: value})
    digits = ImageData(**{**vars(mirrored), "flip": False})
    with pytest.raises(
        UsageError, match="mirror images of digits are of other classes: leave out flip_average"
    ):
        run_trial(spec(flip_average=True), digits)


@pytest.mark.parametrize("added", [*(pytest.param(name, marks=pytest.mark.slow) for name in ADDED), "all"])
def test_interrupted_and_resumed_equals_uninterrupted(
    mirrored: ImageData, tmp_path: Path, added: str
) -> None:
    """Of each addition alone and of all together; and each changes what is learned."""
    given = ADDED if added == "all" else {added: ADDED[added]}
    asked, checkpoint = spec(**given), tmp_path / "c.ckpt"
    whole = run_trial(asked, mirrored)
    with pytest.raises(Stop):
        run_trial(asked, mirrored, checkpoint=checkpoint, on_epoch=_stop)
    epochs: list[int] = []
    resumed = run_trial(
        asked, mirrored, checkpoint=checkpoint, on_epoch=lambda epoch, values: epochs.append(epoch)
    )
    assert epochs == [2, 3]
    assert curves(resumed) == curves(whole) and resumed.outcomes == whole.outcomes
    assert curves(run_trial(spec(), mirrored)) != curves(whole)
    finished = run_trial(asked, mirrored, checkpoint=checkpoint)
    assert finished.outcomes == whole.outcomes, "read from the checkpoint of the last epoch"


def test_what_is_kept_is_what_was_tested(mirrored: ImageData, tmp_path: Path) -> None:
    """The checkpoint has the averaged weights: plain PyTorch, with mirror images, comes to the test's losses with them."""
    checkpoint = tmp_path / "c.ckpt"
    record = run_trial(spec(ema_decay=0.8, flip_average=True), mirrored, checkpoint=checkpoint)
    saved = torch.load(checkpoint, weights_only=True)
    network = build_network(spec().network, seed=0).eval()
    network.load_state_dict(
        {name.removeprefix("network."): value for name, value in saved["state_dict"].items()}
    )
    test = ResidentBatches(mirrored.limited(test=200).test, 64, pixels=Pixels(mirrored.mean, mirrored.std))
    with torch.no_grad():
        logits = [(network(x) + network(x.flip(-1))) / 2 for x, _ in test]
    labels = torch.cat([y for _, y in test])
    losses = torch.nn.functional.cross_entropy(torch.cat(logits), labels, reduction="none")
    np.testing.assert_allclose(
        Outcomes.of(record.outcomes).losses, losses, rtol=4e-2, atol=1e-3
    )  # stored in steps
    assert record.values["test_loss"] == pytest.approx(float(losses.mean()), rel=1e-3)
    again = evaluate_trial(
        spec(flip_average=True, start=str(checkpoint), start_identity="x"), mirrored, split="test"
    )
    assert again.values["test_acc"] == record.values["test_acc"]
    assert again.values["test_loss"] == pytest.approx(record.values["test_loss"], rel=1e-5)
    differ = [
        name for name, value in saved["trained"].items() if not torch.equal(value, saved["state_dict"][name])
    ]
    assert set(saved["trained"]) == set(saved["state_dict"]) and len(differ) > 10


def test_averaged_weights_are_those_of_a_slow_loop(
    mirrored: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole states kept after each step and summed in float64; statistics by momentum None over the epoch's first batches."""
    asked, states = spec(ema_decay=0.8, train_dtype="float32"), []
    real = classifier_module.Average.update

    def update(self: Any) -> None:
        real(self)
        states.append(copy.deepcopy(self._network.state_dict()))

    monkeypatch.setattr(classifier_module.Average, "update", update)
    record = run_trial(asked, mirrored)
    powers = [0.8 ** (len(states) - 1 - i) for i in range(len(states))]
    slow = {
        name: sum(p * state[name].double() for p, state in zip(powers, states, strict=True)) / sum(powers)  # type: ignore[arg-type]
        for name in states[0]
    }
    network = build_network(asked.network, seed=0)
    network.load_state_dict({name: value.to(states[0][name].dtype) for name, value in slow.items()})
    data = mirrored.limited(256, val=100)
    pixels = Pixels(mirrored.mean, mirrored.std)
    train = loaders(asked, mirrored, torch.device("cpu")).train
    train.set_epoch(2)
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    network.train()
    with torch.no_grad():
        for images, _ in itertools.islice(train, 16):
            network(images)
    network.eval()
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(network(x), y, reduction="sum")
            for x, y in ResidentBatches(data.val, 64, pixels=pixels)
        ]
    assert record.values["val_loss"] == pytest.approx(float(sum(losses)) / 100, rel=1e-3)
    assert len(states) == 12


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["step-v1", "published-v1", "blox-v1"])
def test_averaged_weights_with_other_schedules(mirrored: ImageData, tmp_path: Path, protocol: str) -> None:
    """Where the best epoch is tested, its average is."""
    checkpoint = tmp_path / "c.ckpt"
    asked = spec(protocol=protocol, ema_decay=0.7, lr=get_protocol(protocol).lr, epochs=2)
    record = run_trial(asked, mirrored, checkpoint=checkpoint)
    assert record.status == "ok"
    saved = torch.load(checkpoint, weights_only=True)
    if protocol == "blox-v1" and np.argmax(record.samples["val_acc"]) == 1:
        assert all(
            torch.equal(value, saved["state_dict"][f"network.{name}"])
            for name, value in saved["best"].items()
        )


def test_images_grow_over_the_epochs_and_are_validated_whole(
    mirrored: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[bool, tuple[int, ...]]] = []
    build = build_network

    def watched(network: NetworkSpec, *, seed: int) -> torch.nn.Module:
        made = build(network, seed=seed)
        made.register_forward_pre_hook(
            lambda module, x: sizes.append((module.training, tuple(x[0].shape[2:])))
        )
        return made

    monkeypatch.setattr("blockzoo.training.prepared.build_network", watched)
    run_trial(spec(initial_scale=0.5), mirrored)
    assert list(dict.fromkeys(size for training, size in sizes if training)) == [(8, 8), (12, 12), (16, 16)]
    assert {size for training, size in sizes if not training} == {(16, 16)}
    worth = [training_images_worth(spec(**more), mirrored) for more in ({}, {"initial_scale": 0.5})]
    areas = sum(scale_in_epoch(0.5, epoch, 3) ** 2 for epoch in range(3))
    assert worth[0] - worth[1] == pytest.approx(256 * (3 - areas))


FIXED = """
from torch import nn
class Fixed(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.head = nn.Linear(3 * 16 * 16, num_classes)
    def forward(self, x):
        return self.head(x.flatten(1))
"""


def test_a_network_of_one_size_takes_no_smaller_images(mirrored: ImageData, tmp_path: Path) -> None:
    (tmp_path / "fixed.py").write_text(FIXED)
    asked = spec(network=NetworkSpec(f"{tmp_path / 'fixed.py'}:Fixed", 10), initial_scale=0.5)
    with pytest.raises(UsageError, match=r"initial_scale 0\.5: .*3 x 8 x 8.*or leave out initial_scale"):
        run_trial(asked, mirrored)
    with pytest.raises(UsageError, match="leave out muon_lr"):
        run_trial(asked.with_(initial_scale=None, muon_lr=0.1), mirrored)


@pytest.mark.slow
def test_on_two_devices(digits: ImageData, tmp_path: Path) -> None:
    """All that digits allow at once: the ranks end with equal weights, and go on from one checkpoint."""
    added = {name: value for name, value in ADDED.items() if name != "flip_average"}
    asked, checkpoint = spec(devices=2, epochs=2, **added), tmp_path / "c.ckpt"
    whole = run_on_devices(asked, digits, Circumstances())
    assert whole.status == "ok" and whole.values["checked"] == 0
    with pytest.raises(Stop):
        run_on_devices(asked, digits, Circumstances(), checkpoint=checkpoint, on_epoch=_stop)
    resumed = run_on_devices(asked, digits, Circumstances(), checkpoint=checkpoint)
    assert curves(resumed) == curves(whole) and resumed.outcomes == whole.outcomes
