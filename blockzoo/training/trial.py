"""One trial: from a spec to a record."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment

from blockzoo.core.environment import environment
from blockzoo.core.errors import Diverged, OutOfMemory, UsageError
from blockzoo.core.outcomes import check_outcomes
from blockzoo.core.progress import working
from blockzoo.core.record import Record
from blockzoo.core.spec import TrialSpec, fingerprint_of
from blockzoo.data import ImageData
from blockzoo.measure.size import count_params
from blockzoo.models.resolve import build_network
from blockzoo.training.checkpoint import AfterEachEpoch, DurableCheckpoints
from blockzoo.training.classifier import Classifier
from blockzoo.training.hardware import keep_freed_memory, made_ready, number_format
from blockzoo.training.listeners import Listeners
from blockzoo.training.loaders import asked_for, loaders
from blockzoo.training.prepared import Prepared, check_fits, checked_images, prepared
from blockzoo.training.process import HERE, TrainingProcess
from blockzoo.training.protocols import protocol_of
from blockzoo.training.reproducible import reproducible, without_variables
from blockzoo.training.steps import advice, is_out_of_memory
from blockzoo.training.together import Ranks, check_equal_ranks, digest_of_weights
from blockzoo.training.weights import load_weights

EpochReport = Callable[[int, dict[str, float]], None]


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
    check_fits(spec, data)
    keep_freed_memory()
    ready = prepared(spec, asked_for(spec, data), process)
    record = Record("trial", spec.fingerprint(), spec.network.subject, spec.to_json())
    record.environment = _circumstances(process, ready.dtype)
    process.listeners.told(record.spec)
    try:
        with working(f"training {spec.network.subject}", spec.epochs, "epochs") as task:
            callbacks = [*process.listeners.callbacks, AfterEachEpoch(checkpoint, on_epoch, task)]
            trainer = _trainer(spec, ready.place, ready.dtype, callbacks, ready.options)
            train, validation, test = ready.batches
            trainer.fit(ready.classifier, train, validation, ckpt_path=_resumed_from(spec, checkpoint))
            if read_test:
                trainer.test(ready.classifier, test, verbose=False)
    except Diverged as error:
        record.status, record.reason = "diverged", str(error)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(advice(spec, ready.data, ready.place)) from error
    record.samples = {name: list(values) for name, values in ready.classifier.history.curves.items()}
    record.values = _values(spec, ready)
    if record.status == "ok":
        _conclude(record, ready, process.ranks, read_test)
    return record


def _resumed_from(spec: TrialSpec, checkpoint: Path | None) -> str | None:
    if checkpoint is not None and checkpoint.is_file():
        return str(checkpoint)
    return spec.start if spec.start_with_optimizer else None


def _values(spec: TrialSpec, ready: Prepared) -> dict[str, Any]:
    """What was trained and how, and the values of the last epoch."""
    data, curves = ready.data, ready.classifier.history.curves
    return {
        "split": data.split,
        "image_size": data.shape[1],
        "timing_key": spec.network.timing_key(data.shape[1]),  # while the user's own code is here
        **({"code": digest} if (digest := spec.network.parsed.source_digest()) else {}),
        "training_time": sum(curves["seconds"]),
        **({"limit_train": len(data.train.labels)} if spec.limit_train else {}),
        **({"said": ready.said} if ready.said else {}),
        "params_trained": count_params(ready.classifier.network).total,
        **{name: values[-1] for name, values in curves.items() if values and name != "seconds"},
    }


def _conclude(record: Record, ready: Prepared, ranks: Ranks, read_test: bool) -> None:
    """What only a training that came to its end has: its best epoch, what the checks found, and the test split."""
    classifier = ready.classifier
    record.values["best_val_acc"] = max(classifier.history.curves["val_acc"])
    deviations = [*ready.deviations, *_checked_weights(classifier, ranks)]
    record.values |= {"checked": max(deviations)} if deviations else {}
    if not read_test:
        return
    record.values |= {f"test_{name}": getattr(classifier.tested, name) for name in ("acc", "top5", "loss")}
    record.outcomes = classifier.outcomes
    if record.outcomes:
        check_outcomes(record.outcomes, classifier.tested.acc, classifier.tested.loss)


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
    check_fits(spec, data)
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
    _, validation, test = loaders(spec, data, place, ranks, process.workers)
    checked = checked_images(validation, test)
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


def _circumstances(process: TrainingProcess, dtype: torch.dtype) -> dict[str, Any]:
    number, facts = str(dtype).removeprefix("torch."), process.ranks.facts | process.listeners.facts
    return environment(device=process.device, dtype=number, threads=torch.get_num_threads(), **facts)


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
