"""One trial: from a spec to a record."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import nn

from blockzoo.core.environment import environment
from blockzoo.core.errors import Diverged, OutOfMemory, UsageError
from blockzoo.core.outcomes import check_outcomes
from blockzoo.core.progress import working
from blockzoo.core.record import Record
from blockzoo.core.sources import check_unedited
from blockzoo.core.spec import TrialSpec, fingerprint_of
from blockzoo.data import ImageData
from blockzoo.data.streams import StreamedBatches, check_streamed_images
from blockzoo.measure.size import count_params
from blockzoo.models.conversion import check_conversion
from blockzoo.models.findings import Examined
from blockzoo.models.own import built_as
from blockzoo.models.resolve import build_network
from blockzoo.models.scaffold import examined_blocks
from blockzoo.training.checkpoint import AfterEachEpoch, DurableCheckpoints
from blockzoo.training.classifier import Classifier
from blockzoo.training.hardware import keep_freed_memory, made_ready, number_format
from blockzoo.training.listeners import Listeners
from blockzoo.training.loaders import Batches, asked_for
from blockzoo.training.loaders import loaders as _loaders
from blockzoo.training.protocols import check_mirrored, protocol_of
from blockzoo.training.reproducible import reproducible, without_variables
from blockzoo.training.steps import advice, in_parts, is_out_of_memory, leaves_parameters_unused
from blockzoo.training.together import ALONE, Ranks, check_equal_ranks, digest_of_weights
from blockzoo.training.tryout import check_smaller_images, tried
from blockzoo.training.weights import check_continuable, load_weights

EpochReport = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class TrainingProcess:
    """A process that trains, or evaluates.

    Args:
        device: "cpu" or "cuda".
        ranks: this process among the spec's `devices`; all of them make the same call.
        workers: processes that read images for this one, where they stay in their files.
        listeners: what hears of the training.
    """

    device: str = "cpu"
    ranks: Ranks = ALONE
    workers: int = 0
    listeners: Listeners = Listeners()


HERE = TrainingProcess()


def run_trial(
    spec: TrialSpec,
    data: ImageData,
    process: TrainingProcess = HERE,
    *,
    checkpoint: Path | None = None,
    on_epoch: EpochReport = lambda epoch, values: None,
    read_test: bool = True,
) -> Record:
    """Train, validate each epoch, read the test split once at the end.

    Args:
        spec: what to run.
        data: the dataset that `spec.dataset` names.
        process: this one; by default alone, on the CPU.
        checkpoint: saved here after each epoch; if the file is there, the run goes on from it, and ends with
            the numbers of an uninterrupted one.
        on_epoch: told the epoch (from 1) and its values.
        read_test: False leaves the test split for later.

    Returns:
        A record with status `ok`, or `diverged` with its reason.

    Raises:
        OutOfMemory: a step does not fit; the message names the batch size that does.
        UsageError: the spec and the data do not fit together.
    """
    with reproducible(spec.threads):
        return _run(spec, data, process, checkpoint, on_epoch, read_test)


def _run(
    spec: TrialSpec,
    data: ImageData,
    process: TrainingProcess,
    checkpoint: Path | None,
    on_epoch: EpochReport,
    read_test: bool,
) -> Record:
    _check(spec, data)
    ranks = process.ranks
    keep_freed_memory()
    data = asked_for(spec, data)
    protocol = protocol_of(spec)
    place = torch.device(process.device)
    dtype = number_format(protocol, place)
    ready = partial(made_ready, protocol=protocol, device=place, dtype=dtype)
    output = tried(spec.network, data.shape, data.num_classes, dtype, ready)
    check_smaller_images(spec.network, data.shape, data.num_classes, protocol.initial_scale)
    network = made_ready(_built(spec), protocol, place, dtype)
    classifier = Classifier(
        network,
        protocol,
        spec.lr,
        spec.seed,
        ranks=ranks,
        sync_batch_norm=spec.sync_batch_norm,
        micro_batches=spec.micro_batches,
    )
    train, validation, test = _loaders(spec, data, place, ranks, process.workers)
    examined = examined_blocks(spec.network)
    conversion = check_conversion(spec.network, (1, *data.shape))
    checked = [*_checked_images(train, validation), *(block.deviation for block in examined)]
    unused = ranks.many and leaves_parameters_unused(spec, data, place)
    options = {**ranks.trainer_options(unused_parameters=unused), **process.listeners.options}
    record = Record("trial", spec.fingerprint(), spec.network.subject, spec.to_json())
    record.environment = _circumstances(process, dtype)
    resume = str(checkpoint) if checkpoint is not None and checkpoint.is_file() else None
    if resume is None and spec.start_with_optimizer:
        resume = spec.start
    try:
        with working(f"training {spec.network.subject}", spec.epochs, "epochs") as task:
            callbacks = [*process.listeners.callbacks, AfterEachEpoch(checkpoint, on_epoch, task)]
            trainer = _trainer(spec, place, dtype, callbacks, options)
            trainer.fit(classifier, train, validation, ckpt_path=resume)
            if read_test:
                trainer.test(classifier, test, verbose=False)
    except Diverged as error:
        record.status, record.reason = "diverged", str(error)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(advice(spec, data, place)) from error
    curves = classifier.history.curves
    record.samples = {name: list(values) for name, values in curves.items()}
    record.values = {
        "split": data.split,
        "image_size": data.shape[1],
        "timing_key": spec.network.timing_key(data.shape[1]),  # while the user's own code is here
        **({"code": digest} if (digest := spec.network.parsed.source_digest()) else {}),
        "training_time": sum(curves["seconds"]),
        **({"limit_train": len(data.train.labels)} if spec.limit_train else {}),
        **_said(spec, examined, [conversion, output, in_parts(spec, network), _handed(spec)]),
        "params_trained": count_params(network).total,
        **{name: values[-1] for name, values in curves.items() if values and name != "seconds"},
    }
    if record.status == "ok":
        record.values["best_val_acc"] = max(curves["val_acc"])
        checked += _checked_weights(classifier, ranks)
        record.values |= {"checked": max(checked)} if checked else {}
    if record.status == "ok" and read_test:
        record.values |= {
            "test_acc": classifier.tested.acc,
            "test_top5": classifier.tested.top5,
            "test_loss": classifier.tested.loss,
        }
        record.outcomes = classifier.outcomes
        if record.outcomes:
            check_outcomes(record.outcomes, classifier.tested.acc, classifier.tested.loss)
    return record


def evaluate_trial(
    spec: TrialSpec,
    data: ImageData,
    process: TrainingProcess = HERE,
    *,
    split: str = "val",
) -> Record:
    """What the weights that `spec` starts from come to on a split, without training.

    Args:
        spec: with `start`.
        data: the dataset that `spec.dataset` names.
        process: see `run_trial`.
        split: "val" or "test".

    Returns:
        A record of kind `evaluation` with `val_acc`, `val_top5`, `val_loss` (or `test_...`) and `images`.

    Raises:
        UsageError: no weights, no such split, or the weights are of another network.
    """
    if split not in ("val", "test") or spec.start is None:
        raise UsageError(f"evaluation needs weights to start from and a split, val or test, not {split!r}")
    _check(spec, data)
    with reproducible(spec.threads):
        return _evaluate(spec, asked_for(spec, data), split, process)


def _evaluate(spec: TrialSpec, data: ImageData, split: str, process: TrainingProcess) -> Record:
    ranks, place = process.ranks, torch.device(process.device)
    dtype = number_format(protocol_of(spec), place)
    network = build_network(spec.network, seed=spec.seed)
    load_weights(network, str(spec.start))
    classifier = Classifier(
        made_ready(network, protocol_of(spec), place, dtype),
        protocol_of(spec),
        spec.lr,
        spec.seed,
        ranks=ranks,
    )
    _, validation, test = _loaders(spec, data, place, ranks, process.workers)
    checked = _checked_images(validation, test)
    options = ranks.trainer_options(unused_parameters=False)
    with working("evaluating") as task:
        callback = AfterEachEpoch(None, lambda epoch, values: None, task)
        trainer = _trainer(spec, place, dtype, [callback], options | Listeners().options)
        trainer.test(classifier, validation if split == "val" else test, verbose=False)
    identity = fingerprint_of({"evaluation": spec.start_identity, "split": split, "of": spec.identity()})
    record = Record("evaluation", identity, spec.network.subject, spec.to_json())
    record.environment = _circumstances(process, dtype)
    record.values = {f"{split}_{name}": value for name, value in classifier.tested._asdict().items()}
    images = len((data.val if split == "val" else data.test).labels)
    record.values |= {"split": data.split, "images": images, "image_size": data.shape[1]}
    record.values |= {"checked": max(checked)} if checked else {}
    record.values["weights"] = f"{Path(str(spec.start)).name} ({spec.start_identity})"
    return record


def _check(spec: TrialSpec, data: ImageData) -> None:
    check_unedited([*spec.network.parsed.own_origins, spec.network.filler_code()])
    have = {"classes": data.num_classes, "channels": data.shape[0]}
    want = {"classes": spec.network.out_dim, "channels": spec.network.in_channels}
    faults = [f"{spec.dataset} has {have[k]} {k}, the network {want[k]}" for k in have if have[k] != want[k]]
    faults += data.faults_of(spec.data_digest or "")
    if faults:
        raise UsageError("; ".join(faults))
    check_mirrored(protocol_of(spec), data)


def _built(spec: TrialSpec) -> nn.Module:
    """The network with the weights that training starts from."""
    network = build_network(spec.network, seed=spec.seed)
    if spec.start is not None:
        if spec.start_with_optimizer:
            check_continuable(spec.start, spec.epochs)
        load_weights(network, spec.start, new_head=True)
    return network


def _circumstances(process: TrainingProcess, dtype: torch.dtype) -> dict[str, Any]:
    number, facts = str(dtype).removeprefix("torch."), process.ranks.facts | process.listeners.facts
    return environment(device=process.device, dtype=number, threads=torch.get_num_threads(), **facts)


def _handed(spec: TrialSpec) -> str:
    return f"callbacks, which can change its numbers: {spec.callbacks}" if spec.callbacks else ""


def _said(spec: TrialSpec, examined: list[Examined], others: list[str]) -> dict[str, str]:
    """How what is not of the zoo was built and what was found of it, then the others of these sentences."""
    network = spec.network
    sentences = [built_as(network.parsed, network.out_dim, network.in_channels)]
    sentences += [note for block in examined for note in block.notes]
    said = "; ".join(dict.fromkeys(filter(None, [*sentences, *others])))
    return {"said": said} if said else {}


def _checked_images(*splits: Batches) -> list[float]:
    """What the check of images that are read from files found; nothing of decoded ones."""
    return [check_streamed_images(split) for split in splits if isinstance(split, StreamedBatches)]


def _checked_weights(classifier: Classifier, ranks: Ranks) -> list[float]:
    """What the check of the ranks' weights found; nothing of one alone."""
    return [check_equal_ranks(ranks.gathered(digest_of_weights(classifier.network)))] if ranks.many else []


def _trainer(
    spec: TrialSpec,
    device: torch.device,
    dtype: torch.dtype,
    callbacks: list[L.Callback],
    options: dict[str, Any],
) -> L.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    with without_variables("PL_TRAINER_"):
        return L.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            **options,
            max_epochs=spec.epochs,
            precision="bf16-mixed" if dtype == torch.bfloat16 else "32-true",
            plugins=[DurableCheckpoints(), LightningEnvironment()],
            callbacks=callbacks,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
