"""train: what a block learns, at a position of the scaffold, on real images."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from blockzoo.core.checked import sorted_into
from blockzoo.core.contracts import RESULTS
from blockzoo.core.errors import StoreError, UsageError, reason_of
from blockzoo.core.export import export, rows_of
from blockzoo.core.keywords import (
    DataKeywords,
    RecipeKeywords,
    RunKeywords,
    ScaffoldKeywords,
    SeededKeywords,
)
from blockzoo.core.once import only_trainer
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.result import Result
from blockzoo.core.settings import Data, Recipe, Run, Scaffold, Seeded
from blockzoo.core.spec import NetworkSpec
from blockzoo.core.store import Store
from blockzoo.core.table import Row
from blockzoo.core.text import file_name
from blockzoo.trials.preflight import known_before
from blockzoo.trials.request import images_of, network_spec, trial_spec
from blockzoo.trials.training import EpochReport, circumstances, time_networks, train_spec

if TYPE_CHECKING:
    from lightning.pytorch import Callback
    from lightning.pytorch.loggers import Logger
    from typing_extensions import Unpack

    from blockzoo.core.spec import TrialSpec
    from blockzoo.report.drawing import Figure
    from blockzoo.training.listeners import Listeners


log = logging.getLogger(__name__)


@RESULTS.register("training")
@dataclass(frozen=True, eq=False, repr=False)
class Trained(Result):
    """One finished trial: its record with the values after each epoch, its row of the table, and where that was written."""

    record: Record
    row: Row
    csv: Path

    def headline(self) -> str:
        row = self.row
        accuracies = {"validation": row.get("val_acc"), "test": row.get("test_acc")}
        scores = ", ".join(f"{name} {100 * acc:.2f} %" for name, acc in accuracies.items() if acc is not None)
        where = f"{self.record.subject} on {row.get('dataset')}, {row.get('epochs')} epochs, seed {row.get('seed')}"
        return f"{where}: {scores if self.record.status == 'ok' else f'{self.record.status}, {self.record.reason}'}"

    def table_rows(self) -> list[Row]:
        """One row per epoch, from 1."""
        curves = self.record.samples
        longest = max(map(len, curves.values()), default=0)
        return [
            {"epoch": i + 1} | {name: values[i] for name, values in curves.items() if i < len(values)}
            for i in range(longest)
        ]

    def figure(self) -> Figure:
        """The learning curves."""
        from blockzoo.report.pictures.curves import draw_curves

        epochs = range(1, len(self.table_rows()) + 1)
        return draw_curves(self.headline(), self.record.samples, epochs, "epoch")


class TrialKeywords(ScaffoldKeywords, RecipeKeywords, DataKeywords, SeededKeywords, RunKeywords, total=False):
    """The settings of one training."""


def train_block(
    subject: str | type,
    position: str | None = None,
    *,
    workers: int | None = None,
    resume: bool = False,
    on_epoch: EpochReport = lambda epoch, values: None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger | str] = (),
    **settings: Unpack[TrialKeywords],
) -> Trained:
    """Train one network, write its row to the results store and export the table as CSV.

    Args:
        subject: a block, a block at a position, or a network (`timm:resnet18`); or a class.
        position: stage that holds the block, where the subject does not say it (default mid).
        workers: processes that read image files, where these are streamed (default: one per core).
        resume: go on from the checkpoint of the same trial, if there is one.
        on_epoch: told the epoch (from 1) and its values.
        callbacks: of Lightning. They can change what a training comes to, so the trial is another one, by its fingerprint, its
            column `comparable` and its remark `said`.
        loggers: of Lightning, or "tensorboard", "wandb", "mlflow", which write to the folder `logs` of the results and send
            nothing. They change no number; the environment names them.
        settings: by name, of the tables Scaffold, Recipe, Data, Seeded and Run in docs/settings.md.

    Raises:
        UsageError, DataError, OutOfMemory, StoreError: each says what to do.
    """
    from blockzoo.training.launch import check_devices

    scaffold, recipe, data, seeded, run = sorted_into(
        settings, Scaffold, Recipe, Data, Seeded, Run, what="train_block"
    )
    images = images_of(data, run.data_dir)
    network = network_spec(subject, position, images, scaffold)
    spec = trial_spec(network, images, recipe, data, seeded.seed)
    where = circumstances(run.device, run.data_dir, run.plugins, workers=workers)
    outputs = Outputs.at(run.output)
    if callbacks or loggers:
        listeners = _listeners(spec, callbacks, loggers, outputs)
        spec, where = spec.with_(callbacks=listeners.identity()), replace(where, listeners=listeners)
    check_devices(spec, where.device)
    store = outputs.store()  # before the work: a folder that cannot be written is known now
    checkpoint = outputs.checkpoint(spec.fingerprint())
    with only_trainer(checkpoint):
        if not resume:
            checkpoint.unlink(missing_ok=True)
        preflight = known_before(spec.network, images.shape, deploy=run.latency, strict=run.strict)
        record = train_spec(spec, images, where, checkpoint, run.on_oom, on_epoch)
        record.experiment_name, record.notes = run.experiment_name, run.notes
        preflight.add_to(record)
        _stored(record, store, checkpoint)
        checkpoint.unlink(missing_ok=True)
    if run.latency and record.status == "ok":
        export(outputs, store)  # timing can be interrupted
        _store_times(spec.network, images.shape, where.device, store)
    csv = export(outputs, store)
    return Trained(record, rows_of(store, [record.fingerprint])[0], csv)


def _listeners(
    spec: TrialSpec, callbacks: Sequence[Callback], loggers: Sequence[Logger | str], outputs: Outputs
) -> Listeners:
    """What hears of a training.

    Raises:
        UsageError: it is of several devices, or what is handed over is no callback or logger.
    """
    from blockzoo.training.listeners import listeners_of

    if spec.devices > 1:
        raise UsageError(
            f"callbacks and loggers are objects of this process, and devices={spec.devices} trains in others: give devices=1"
        )
    run = f"{file_name(spec.network.subject)}-seed{spec.seed}-{spec.fingerprint()[:8]}"
    return listeners_of(callbacks, loggers, outputs.folder, run)


def _stored(record: Record, store: Store, checkpoint: Path) -> None:
    """Store what a training came to; where that fails, its checkpoint still has it.

    Raises:
        StoreError: it fails; the message says how to go on.
    """
    try:
        store.add(record)
    except StoreError as error:
        raise StoreError(
            f"{error}; the training is done and lies in {checkpoint}: the same with --resume reads it from there"
        ) from error


def _store_times(network: NetworkSpec, shape: tuple[int, int, int], device: str, store: Store) -> None:
    """Time a network; that it failed is stored where there is no time of it yet."""
    key = network.timing_key(shape[1])
    try:
        records = time_networks([network], shape, device, seconds=5.0)
    except Exception as error:
        stub = Record("latency", key, network.subject, asdict(network))
        records = [replace(stub, status="failed", reason=reason_of(error))]
    for record in records:
        if record.reason:
            log.warning(f"{network.subject} could not be timed: {record.reason}")
        if record.status == "ok" or store.status(key, "latency") != "ok":
            store.add(record)


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["train", *sys.argv[1:]]))
