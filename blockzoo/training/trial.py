"""One trial: from a spec to a record."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

from blockzoo.core.environment import environment
from blockzoo.core.errors import Diverged, OutOfMemory, RequestError
from blockzoo.core.record import Record
from blockzoo.core.spec import TrialSpec, fingerprint_of
from blockzoo.data import ImageData
from blockzoo.data.batches import ResidentBatches
from blockzoo.measure.size import count_params
from blockzoo.models.resolve import build_network
from blockzoo.training.augmentation import augmentation
from blockzoo.training.checkpoint import AfterEachEpoch, DurableCheckpoints
from blockzoo.training.classifier import Classifier
from blockzoo.training.hardware import fastest_dtype, keep_freed_memory, keep_grouped_convolutions_in_float32
from blockzoo.training.protocols import Protocol, protocol_of
from blockzoo.training.weights import check_continuable, load_weights

EpochReport = Callable[[int, dict[str, float]], None]
EVALUATION_BATCH = 512
LONG_ENOUGH = 0.1
"""Seconds of a training step beside which what a step costs whatever its batch hardly counts."""


def run_trial(
    spec: TrialSpec,
    data: ImageData,
    *,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_epoch: EpochReport = lambda epoch, values: None,
    read_test: bool = True,
) -> Record:
    """Train, validate each epoch, read the test split once at the end.

    Args:
        spec: what to run.
        data: the dataset that `spec.dataset` names.
        device: "cpu" or "cuda".
        checkpoint: saved here after each epoch; if the file is there, the run goes on from it, and ends with
            the numbers of an uninterrupted one.
        on_epoch: told the epoch (from 1) and its values.
        read_test: False leaves the test split for later.

    Returns:
        A record with status `ok`, or `diverged` with its reason.

    Raises:
        OutOfMemory: a step does not fit; the message names the batch size that does.
        RequestError: the spec and the data do not fit together.
    """
    _check(spec, data)
    keep_freed_memory()
    data = data if spec.validation_share is None else data.with_validation(spec.validation_share)
    protocol = protocol_of(spec)
    place = torch.device(device)
    dtype = _dtype(protocol, place)
    network = _ready(_built(spec), protocol, place, dtype)
    classifier = Classifier(network, protocol, spec.lr, spec.seed)
    train, validation, test = _loaders(spec, data, place)
    trainer = _trainer(spec, place, dtype, checkpoint, on_epoch)
    record = Record("trial", spec.fingerprint(), spec.network.subject, spec.to_json())
    record.environment = environment(
        device=device, dtype=str(dtype).removeprefix("torch."), threads=torch.get_num_threads()
    )
    resume = str(checkpoint) if checkpoint is not None and checkpoint.is_file() else None
    if resume is None and spec.start_with_optimizer:
        resume = spec.start
    try:
        trainer.fit(classifier, train, validation, ckpt_path=resume)
        if read_test:
            trainer.test(classifier, test, verbose=False)
    except Diverged as error:
        record.status, record.reason = "diverged", str(error)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise OutOfMemory(_advice(spec, data, place)) from error
    curves = classifier.history.curves
    record.samples = {name: list(values) for name, values in curves.items()}
    record.values = {
        "split": data.split,
        "image_size": data.shape[1],
        "training_time": sum(curves["seconds"]),
        "params_trained": count_params(network).total,
        **{name: values[-1] for name, values in curves.items() if values and name != "seconds"},
    }
    if record.status == "ok":
        record.values["best_val_acc"] = max(curves["val_acc"])
    if record.status == "ok" and read_test:
        record.values |= {
            "test_acc": classifier.tested.acc,
            "test_top5": classifier.tested.top5,
            "test_loss": classifier.tested.loss,
        }
    return record


def evaluate_trial(spec: TrialSpec, data: ImageData, *, split: str = "val", device: str = "cpu") -> Record:
    """What the weights that `spec` starts from come to on a split, without training.

    Args:
        spec: with `start`.
        data: the dataset that `spec.dataset` names.
        split: "val" or "test".
        device: "cpu" or "cuda".

    Returns:
        A record of kind `evaluation` with `val_acc`, `val_top5`, `val_loss` (or `test_...`) and `images`.

    Raises:
        RequestError: no weights, no such split, or the weights are of another network.
    """
    if split not in ("val", "test") or spec.start is None:
        raise RequestError(f"evaluation needs weights to start from and a split, val or test, not {split!r}")
    _check(spec, data)
    data = data if spec.validation_share is None else data.with_validation(spec.validation_share)
    place = torch.device(device)
    dtype = _dtype(protocol_of(spec), place)
    network = build_network(spec.network, seed=spec.seed)
    load_weights(network, spec.start)
    classifier = Classifier(
        _ready(network, protocol_of(spec), place, dtype), protocol_of(spec), spec.lr, spec.seed
    )
    _, validation, test = _loaders(spec, data, place)
    trainer = _trainer(spec, place, dtype, None, lambda epoch, values: None)
    trainer.test(classifier, validation if split == "val" else test, verbose=False)
    identity = fingerprint_of({"evaluation": spec.start_identity, "split": split, "of": spec.identity()})
    record = Record("evaluation", identity, spec.network.subject, spec.to_json())
    record.environment = environment(
        device=device, dtype=str(dtype).removeprefix("torch."), threads=torch.get_num_threads()
    )
    record.values = {f"{split}_{name}": value for name, value in classifier.tested._asdict().items()}
    images = len((data.val if split == "val" else data.test).labels)
    record.values |= {"split": data.split, "images": images, "image_size": data.shape[1]}
    record.values["weights"] = f"{Path(spec.start).name} ({spec.start_identity})"
    return record


def training_image_seconds(spec: TrialSpec, data: ImageData, device: str, steps: int = 2) -> float:
    """Seconds of training per image: the fastest of `steps` steps after one that is not counted, by the batch.

    Of an eighth of a batch where that takes long enough to stand for the whole one, else of the whole.
    """
    import time

    place = torch.device(device)

    def measured(batch_size: int) -> float:
        step = _bare_step(spec.with_(batch_size=batch_size), data, place)
        times = []
        for _ in range(steps + 1):
            begin = time.perf_counter()
            step()
            times.append(time.perf_counter() - begin)
        return min(times[1:])

    part = max(2, spec.batch_size // 8)
    seconds = measured(part)
    return seconds / part if seconds > LONG_ENOUGH else measured(spec.batch_size) / spec.batch_size


def _check(spec: TrialSpec, data: ImageData) -> None:
    have = {"classes": data.num_classes, "channels": data.shape[0]}
    want = {"classes": spec.network.out_dim, "channels": spec.network.in_channels}
    faults = [f"{spec.dataset} has {have[k]} {k}, the network {want[k]}" for k in have if have[k] != want[k]]
    if faults:
        raise RequestError("; ".join(faults))


def _built(spec: TrialSpec) -> nn.Module:
    """The network with the weights that training starts from."""
    network = build_network(spec.network, seed=spec.seed)
    if spec.start is not None:
        if spec.start_with_optimizer:
            check_continuable(spec.start, spec.epochs)
        load_weights(network, spec.start, new_head=True)
    return network


def _dtype(protocol: Protocol, device: torch.device) -> torch.dtype:
    return fastest_dtype(device) if protocol.precision == "fastest" else torch.float32


def _ready(network: nn.Module, protocol: Protocol, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The network in the protocol's memory format, its layers in the number format that is fastest for them."""
    if protocol.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if device.type == "cpu" and dtype != torch.float32:
        network = keep_grouped_convolutions_in_float32(network)
    return network


def _loaders(
    spec: TrialSpec, data: ImageData, device: torch.device
) -> tuple[ResidentBatches, ResidentBatches, ResidentBatches]:
    protocol = protocol_of(spec)
    common: dict[str, Any] = {
        "mean": data.mean,
        "std": data.std,
        "margin": data.margin,
        "device": device,
        "channels_last": protocol.channels_last,
    }
    images, labels = data.train.images[: spec.limit_train], data.train.labels[: spec.limit_train]
    train = ResidentBatches(
        images,
        labels,
        spec.batch_size,
        training=True,
        seed=spec.seed,
        flip=data.flip,
        pad_mode=protocol.crop_padding,
        augment=augmentation(protocol, data.mean),
        **common,
    )
    evaluation = max(EVALUATION_BATCH, spec.batch_size)
    return (
        train,
        ResidentBatches(data.val.images, data.val.labels, evaluation, **common),
        ResidentBatches(data.test.images, data.test.labels, evaluation, **common),
    )


def _trainer(
    spec: TrialSpec, device: torch.device, dtype: torch.dtype, checkpoint: Path | None, on_epoch: EpochReport
) -> L.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    return L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        max_epochs=spec.epochs,
        precision="bf16-mixed" if dtype == torch.bfloat16 else "32-true",
        plugins=[DurableCheckpoints()],
        callbacks=[AfterEachEpoch(checkpoint, on_epoch)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "can't allocate memory" in text
        or "out of memory" in text
    )


def _bare_step(spec: TrialSpec, data: ImageData, device: torch.device) -> Callable[[], None]:
    protocol = protocol_of(spec)
    dtype = _dtype(protocol, device)
    network = _ready(build_network(spec.network, seed=spec.seed), protocol, device, dtype).to(device).train()
    batches = _loaders(spec, data, device)[0]
    images, labels = next(iter(batches))

    def step() -> None:
        network.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def fitting_batch_size(spec: TrialSpec, data: ImageData, device: torch.device) -> int | None:
    """The largest batch size of 1/2, 1/4, ... of the spec's whose training step runs; None if none does."""
    batch_size = spec.batch_size // 2
    while batch_size >= 2:
        try:
            _bare_step(spec.with_(batch_size=batch_size), data, device)()
            return batch_size
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
        batch_size //= 2
    return None


def _advice(spec: TrialSpec, data: ImageData, device: torch.device) -> str:
    fits = fitting_batch_size(spec, data, device)
    remedy = f"--batch-size {fits} fits (or --on-oom halve)" if fits else "not even a batch of 2 fits"
    return f"{spec.network.subject}: a training step at batch size {spec.batch_size} does not fit in memory; {remedy}"
