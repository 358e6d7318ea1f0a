"""The bodies of a sweep's workers: one trial, the times of all networks, the estimate."""

from __future__ import annotations

import functools
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.core.errors import StoreError, UsageError
from blockzoo.core.files import write_atomically
from blockzoo.core.once import only_trainer
from blockzoo.core.plugins import load_plugins
from blockzoo.core.record import Record
from blockzoo.core.settings import Run
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.profile import profile_block
from blockzoo.trials.preflight import known_before
from blockzoo.trials.queue import Bodies
from blockzoo.trials.training import EpochReport, available_device, circumstances, time_networks, train_spec

if TYPE_CHECKING:
    from blockzoo.data import ImageData

COUNTED = 24
"""Networks whose multiply-adds an estimate counts; any beyond these are taken to cost what these do on average."""
COUNTING_S = 5.0
"""Seconds after which it counts no more of them: it comes before the long part, and is short itself."""
BEFORE_TRAINING = 3.0
"""What a trial does with its network before it is trained (building, counting, its memory, two images), in counts of its MACs."""


def execute_trial(
    spec: dict[str, Any],
    *,
    run: dict[str, Any],
    checkpoint: str,
    report: EpochReport,
    keep: str | None = None,
    read_test: bool = True,
    workers: int | None = None,
) -> list[Record]:
    """One trial of a sweep.

    Args:
        spec: the trial's, as JSON has it.
        run: settings of the table Run, as JSON has them.
        checkpoint: where it is written after each epoch, and read where one is there.
        report: told the epoch (from 1) and its values.
        keep: where the last checkpoint is left too.
        read_test: read the test split at the end.
        workers: processes that read image files, where these are streamed.
    """
    from blockzoo.data import load_dataset

    of = Run(**run)
    load_plugins(of.plugins, ambient=False)
    trial = TrialSpec(**spec)
    data = load_dataset(trial.dataset, of.data_dir, image_size=trial.image_size, images=trial.images)
    where = circumstances(of.device, of.data_dir, of.plugins, workers=workers)
    preflight = known_before(trial.network, data.shape, strict=of.strict)
    with only_trainer(Path(checkpoint)):
        record = train_spec(trial, data, where, Path(checkpoint), of.on_oom, report, read_test)
    preflight.add_to(record)
    if keep is not None and record.status == "ok":
        try:
            write_atomically(Path(keep), lambda temporary: shutil.copyfile(checkpoint, temporary))
        except StoreError as error:
            record.reason = "; ".join(
                filter(None, (record.reason, f"weights: {error}; they are in {checkpoint}"))
            )
    record.experiment_name, record.notes = of.experiment_name, of.notes
    return [record]


def execute_timing(
    networks: list[dict[str, Any]],
    *,
    shape: tuple[int, int, int],
    device: str,
    plugins: list[str],
    seconds: float,
    probe: bool = False,
    report: EpochReport,
) -> list[Record]:
    """The latency phase of a sweep; a probe times once and its records, of that kind, are no times."""
    load_plugins(plugins, ambient=False)
    specs, rounds = [NetworkSpec(**network) for network in networks], 1 if probe else None
    records = time_networks(specs, shape, available_device(device), seconds=seconds, rounds=rounds)
    return [replace(record, kind="probe") for record in records] if probe else records


def execute_calibration(
    specs: list[dict[str, Any]], *, data_dir: str | None, device: str, plugins: list[str], report: object
) -> list[Record]:
    """Estimates the seconds of all trials, one after the other.

    The record's values: `seconds` of all trainings; `each`, of what a trial does beside its training; `took`, of this estimate.
    """
    from blockzoo.data import load_dataset
    from blockzoo.training.steps import training_images_worth

    began = time.perf_counter()
    load_plugins(plugins, ambient=False)
    trials = [TrialSpec(**spec) for spec in specs]
    first = trials[0]
    data = load_dataset(first.dataset, data_dir, image_size=first.image_size, images=first.images)
    loaded = time.perf_counter() - began

    @functools.cache
    def macs(network: NetworkSpec) -> int | None:
        shape, classes = (1, *data.shape), network.out_dim
        try:
            return profile_block(
                network.subject, input_shape=shape, out_dim=classes, memory=False, **network.scaffold
            ).network.macs
        except Exception:  # its row will say why
            return None

    networks = list(dict.fromkeys(trial.network for trial in trials))
    drawn = networks if len(networks) <= COUNTED else random.Random(0).sample(networks, COUNTED)
    counting = time.perf_counter()
    counted = []
    for network in drawn:
        macs(network)
        counted.append(network)
        if time.perf_counter() - counting > COUNTING_S:
            break
    one = (time.perf_counter() - counting) / len(counted)
    per_mac = _seconds_per_mac(
        [t for t in trials if t.network in counted], data, available_device(device), macs
    )
    counts = {network: n for network in counted if (n := macs(network))}
    mean = sum(counts.values()) / len(counts)
    seconds = sum(
        per_mac * training_images_worth(trial, data) * counts.get(trial.network, mean) for trial in trials
    )
    took = {"each": loaded + BEFORE_TRAINING * one, "took": time.perf_counter() - began}
    values: dict[str, float | int | str | None] = {"seconds": seconds, **took}
    return [Record("calibration", first.fingerprint(), first.network.subject, {}, values=values)]


BODIES = Bodies(trial=execute_trial, timing=execute_timing, calibration=execute_calibration)
"""What a sweep's queue is handed."""


def _seconds_per_mac(
    trials: Sequence[TrialSpec], data: ImageData, device: str, macs: Callable[[NetworkSpec], int | None]
) -> float:
    """Seconds of training for each multiply-add, by a step of the first trial that can be counted and makes one."""
    from blockzoo.training.steps import training_image_seconds

    failure: Exception = UsageError("no network of the grid can be counted")
    for trial in {trial.network: trial for trial in trials if macs(trial.network)}.values():
        try:
            return training_image_seconds(trial, data, device) / (macs(trial.network) or 1)
        except Exception as error:
            failure = error
    raise failure
