from __future__ import annotations

import copy
import math
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from blockzoo.core.errors import Diverged, OutOfMemory, UsageError
from blockzoo.core.record import Record
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.data import ImageData, load_dataset
from blockzoo.data.batches import Pixels, ResidentBatches
from blockzoo.models.resolve import build_network
from blockzoo.train import train_block
from blockzoo.training import loaders, steps
from blockzoo.training import prepared as prepared_module
from blockzoo.training.checkpoint import DurableCheckpoints
from blockzoo.training.classifier import Classifier
from blockzoo.training.protocols import get_protocol, protocol_of
from blockzoo.training.trial import run_trial
from tests.sampled import sampled


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_dataset("digits")


def spec(**changes: object) -> TrialSpec:
    network = NetworkSpec("ResNetBasicBlock/mid", num_blocks=1, base_channels=4)
    return TrialSpec(
        network=network, dataset="digits", epochs=3, batch_size=128, lr=0.2, limit_train=512
    ).with_(**changes)


def curves(record: Record) -> dict[str, list[float]]:
    return {k: v for k, v in record.samples.items() if k != "seconds"}


@pytest.mark.parametrize("protocol", sampled(["fast-v1", "published-v1"], 0))
def test_learns_and_repeats_itself(digits: ImageData, protocol: str) -> None:
    lr = get_protocol(protocol).lr
    asked = spec(protocol=protocol, lr=lr, batch_size=32, epochs=6, limit_train=None)
    learned = run_trial(asked, digits)
    chance = 0.1
    assert 4 * chance < learned.values["test_acc"] <= 1, learned.samples  # type: ignore[operator]
    assert learned.values["val_acc"] == learned.samples["val_acc"][-1]
    assert learned.values["best_val_acc"] == max(learned.samples["val_acc"])
    short = asked.with_(epochs=2)
    first, second, other = (run_trial(s, digits) for s in (short, short, short.with_(seed=1)))
    assert curves(first) == curves(second) != curves(other)
    assert first.values["test_acc"] == second.values["test_acc"]


class Stop(Exception):
    """The run is interrupted here."""


def _interrupted(asked: TrialSpec, digits: ImageData, after: int, checkpoint: Path) -> None:
    def stop(epoch: int, values: dict[str, float]) -> None:
        if epoch == after:
            raise Stop

    with pytest.raises(Stop):
        run_trial(asked, digits, checkpoint=checkpoint, on_epoch=stop)


@pytest.mark.parametrize("protocol", sampled(["fast-v1", "blox-v1"], 1))
def test_interrupted_and_resumed_equals_uninterrupted(
    digits: ImageData, tmp_path: Path, protocol: str
) -> None:
    asked = spec(protocol=protocol)
    whole = run_trial(asked, digits)
    checkpoint = tmp_path / "c.ckpt"
    _interrupted(asked, digits, 2, checkpoint)
    epochs: list[int] = []
    resumed = run_trial(
        asked, digits, checkpoint=checkpoint, on_epoch=lambda epoch, values: epochs.append(epoch)
    )
    assert epochs == [3]
    assert curves(resumed) == curves(whole)
    assert resumed.values["test_acc"] == whole.values["test_acc"]


@pytest.mark.slow
def test_blox_v1_tests_the_weights_of_the_best_epoch(digits: ImageData, tmp_path: Path) -> None:
    """At a learning rate with which validation falls again: the weights of its highest epoch are kept and tested."""
    asked = spec(protocol="blox-v1", epochs=6, lr=0.8, seed=0)
    checkpoint = tmp_path / "c.ckpt"
    record = run_trial(asked, digits, checkpoint=checkpoint)
    accuracy = record.samples["val_acc"]
    best = accuracy.index(max(accuracy))
    assert best < 5, "choose a learning rate at which the last epoch is not the best"
    _interrupted(asked, digits, best + 1, tmp_path / "best.ckpt")
    there = torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"]
    kept = torch.load(checkpoint, weights_only=True)["best"]
    assert kept and all(torch.equal(kept[name], there[f"network.{name}"]) for name in kept)
    network = build_network(asked.network, seed=0)
    network.load_state_dict(kept)
    test = ResidentBatches(digits.test, 512, pixels=Pixels(digits.mean, digits.std))
    network.eval()
    with torch.no_grad():
        hits = sum(int((network(x).argmax(1) == y).sum()) for x, y in test)
    assert record.values["test_acc"] == pytest.approx(hits / len(digits.test.labels), abs=2e-3)


def _train_forever(path: str) -> None:
    torch.set_num_threads(1)
    run_trial(spec(epochs=400), load_dataset("digits"), checkpoint=Path(path))


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.ckpt"
    context = multiprocessing.get_context("spawn")
    for _ in range(2):
        process = context.Process(target=_train_forever, args=(str(path),))
        process.start()
        before = path.stat().st_mtime_ns if path.exists() else 0
        while process.is_alive() and (not path.exists() or path.stat().st_mtime_ns == before):
            process.join(0.01)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert DurableCheckpoints().load_checkpoint(path)["epoch"] >= 0


def test_a_torn_checkpoint_is_named(digits: ImageData, tmp_path: Path) -> None:
    path = tmp_path / "c.ckpt"
    path.write_bytes(b"torn")
    with pytest.raises(UsageError, match=r"c\.ckpt.*delete it"):
        run_trial(spec(), digits, checkpoint=path)


def test_divergence_is_a_result_with_its_reason(digits: ImageData) -> None:
    record = run_trial(spec(lr=1e9), digits)
    assert record.status == "diverged"
    assert "epoch 1" in record.reason and "smaller --lr" in record.reason
    assert "test_acc" not in record.values
    assert issubclass(Diverged, Exception)


class _Scarce:
    """A network that needs more memory than there is for batches over a limit."""

    limit = 50

    def __init__(self, real):  # type: ignore[no-untyped-def]
        self.real = real

    def __call__(self, spec: NetworkSpec, *, seed: int) -> torch.nn.Module:
        net = self.real(spec, seed=seed)

        def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
            if len(inputs[0]) > self.limit and module.training:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")

        net.register_forward_pre_hook(refuse)
        return net


def test_out_of_memory_says_what_fits_or_halves(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (prepared_module, steps):
        monkeypatch.setattr(module, "build_network", _Scarce(build_network))
    with pytest.raises(OutOfMemory, match="--batch-size 32 fits"):
        run_trial(spec(), digits)
    options = {"base_channels": 4, "num_blocks": 1, "epochs": 1, "dataset": "digits", "batch_size": 128}
    done = train_block("ResNetBasicBlock", on_oom="halve", output=tmp_path, latency=False, **options)  # type: ignore[arg-type]
    assert done.row["batch_size"] == 128 and done.record.spec["micro_batches"] == 4
    assert "goes through in 4 parts" in caplog.text
    assert "128 went through in 4 parts of 32 images" in done.row["said"]
    assert "batch norms took their statistics over these 32" in done.row["said"]
    asked = TrialSpec.from_json({**done.record.spec, "micro_batches": 1})
    assert done.record.fingerprint == asked.fingerprint(), "it answers the request"
    assert done.row["comparable"] != asked.comparable(), "but compares with no batch that was whole"


class _Plain(torch.nn.Module):
    """No layer of it looks at several images at once."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, 4, 1),
            torch.nn.BatchNorm2d(8) if norm else torch.nn.ReLU(),
            torch.nn.Flatten(),
        )
        self.head = torch.nn.LazyLinear(10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("parts", [2, 3])
def test_batches_in_parts_make_the_steps_of_whole_ones(digits: ImageData, norm: bool, parts: int) -> None:
    """Against plain PyTorch: one step of SGD on the mean loss of the whole batch, of 31 images so that parts differ in size."""
    x, y = torch.randn(31, 3, 16, 16), torch.randint(0, 10, (31,))
    network = _Plain(norm)
    network(x[:2])
    protocol = replace(protocol_of(spec()), label_smoothing=0.0)
    truth = copy.deepcopy(network)
    torch.nn.functional.cross_entropy(truth(x), y).backward()
    classifier = Classifier(network, protocol, 0.1, 0, micro_batches=parts)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    next(network.parameters()).grad = torch.ones_like(next(network.parameters()))  # of the step before: gone
    classifier.optimizers = lambda: optimizer  # type: ignore[assignment,method-assign]
    loss = classifier.training_step((x, y), 0)
    classifier.optimizer_zero_grad(0, 0, optimizer)
    loss.backward()
    same = all(
        torch.allclose(a.grad, b.grad, atol=1e-6)  # type: ignore[arg-type]
        for a, b in zip(network.parameters(), truth.parameters(), strict=True)
    )
    assert same != norm, "a batch norm sees the part alone, which the row says"
    _, n = classifier._sums.means(classifier.ranks)
    assert n == 31


def test_order_and_augmentation_are_those_of_the_seed_and_epoch(digits: ImageData) -> None:
    seen: dict[str, list[torch.Tensor]] = {}
    for block in ("ResNetBasicBlock", "MobileOneBlock"):
        asked = spec(network=NetworkSpec(f"{block}/mid", num_blocks=1, base_channels=4), epochs=2)
        real = ResidentBatches.__iter__

        def record(self, block=block, real=real):  # type: ignore[no-untyped-def]
            for images, labels in real(self):
                if torch.is_grad_enabled():
                    seen.setdefault(block, []).append(images.float().sum((1, 2, 3)))
                yield images, labels

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ResidentBatches, "__iter__", record)
            run_trial(asked, digits)
    first, second = seen.values()
    assert len(first) == len(second) == 8
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)), (
        "blocks with one seed are paired"
    )
    assert not torch.equal(torch.cat(first[:4]), torch.cat(first[4:])), "epochs differ"


def test_the_test_split_is_read_once_and_last(digits: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    real = ResidentBatches.__iter__

    def record(self):  # type: ignore[no-untyped-def]
        for index, batch in enumerate(real(self)):
            if index == 0:  # an iterator that nobody asks reads nothing
                reads.append(len(self._labels))
            yield batch

    monkeypatch.setattr(ResidentBatches, "__iter__", record)
    marked = ImageData(
        **{**vars(digits), "test": digits.test.__class__(digits.test.images[:200], digits.test.labels[:200])}
    )
    run_trial(spec(), marked)
    assert reads.count(200) == 1 and reads[-1] == 200


def test_wrong_shapes_are_named(digits: ImageData) -> None:
    with pytest.raises(UsageError, match="digits has 10 classes, the network 7"):
        run_trial(spec(network=NetworkSpec(out_dim=7)), digits)


def test_zero_epochs_and_unknown_protocol(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="epochs=0"):
        train_block("ResNetBasicBlock", dataset="digits", epochs=0, output=tmp_path)
    with pytest.raises(UsageError, match="Did you mean fast-v1"):
        train_block("ResNetBasicBlock", dataset="digits", protocol="fast-v2", output=tmp_path)


def test_row_of_a_training_run(tmp_path: Path) -> None:
    done = train_block(
        "MobileOneBlock",
        "late",
        dataset="digits",
        epochs=1,
        batch_size=128,
        num_blocks=1,
        base_channels=4,
        output=tmp_path,
        experiment_name="name",
        notes="note",
    )
    row = done.row
    assert done.csv == tmp_path / "results.csv" and done.csv.is_file()
    assert (row["block"], row["position"], row["dataset"], row["status"]) == (
        "MobileOneBlock",
        "late",
        "digits",
        "ok",
    )
    assert (row["experiment_name"], row["notes"], row["lr"]) == ("name", "note", get_protocol("fast-v1").lr)
    assert row["flops"] == 2 * row["macs"] and row["memory_mb"] == row["params_total"] * 4 / 2**20
    assert row["params_trained"] > row["params_total"] > row["stage_params_total"] > 0
    for name in ("latency_ms", "latency_std", "throughput", "stage_latency_ms", "training_time"):
        assert row[name] > 0, name
    assert 0 <= row["test_acc"] <= 1 and math.isfinite(row["val_loss"])
    assert not list((tmp_path / "checkpoints").glob("*.ckpt"))


def test_published_protocol_is_what_it_was() -> None:
    recipe = get_protocol("published-v1")
    assert (recipe.optimizer, recipe.lr, recipe.batch_size, recipe.dtype) == ("adam", 1e-3, 256, "float32")
    assert (recipe.schedule, recipe.plateau_factor, recipe.plateau_patience) == ("plateau", 0.5, 3)


@pytest.mark.slow
def test_last_batch_statistics_do_not_depend_on_the_evaluation_batch(
    digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_trial(spec(), digits)
    monkeypatch.setattr(loaders, "EVALUATION_BATCH", 37)
    second = run_trial(spec(), digits)
    np.testing.assert_allclose(first.values["val_loss"], second.values["val_loss"], rtol=1e-2)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 9])
def test_a_run_of_a_few_steps_is_a_run(digits: ImageData, steps: int) -> None:
    record = run_trial(spec(epochs=1, batch_size=32, limit_train=32 * steps), digits)
    assert record.status == "ok" and len(record.samples["val_acc"]) == 1
