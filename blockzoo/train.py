"""train: what a block learns, at a position of the scaffold, on real images."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from blockzoo.core.contracts import PROTOCOLS
from blockzoo.core.devices import choose_device
from blockzoo.core.errors import OutOfMemory, StoreError, reason_of
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
from blockzoo.core.settings import Benchmarking, Data, Recipe, Run, Scaffold, Seeded, sorted_into
from blockzoo.core.sources import digest_of_codes
from blockzoo.core.spec import NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.subject import Subject
from blockzoo.core.table import Row
from blockzoo.preflight import known_before

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from blockzoo.data import ImageData
    from blockzoo.training.launch import Circumstances

log = logging.getLogger(__name__)

EpochReport = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Trained:
    """One finished trial: its row of the table, and where it was written."""

    record: Record
    row: Row
    csv: Path


class TrialKeywords(ScaffoldKeywords, RecipeKeywords, DataKeywords, SeededKeywords, RunKeywords, total=False):
    """The settings of one training."""


def train_block(
    subject: str | type,
    position: str | None = None,
    *,
    workers: int | None = None,
    resume: bool = False,
    on_epoch: EpochReport = lambda epoch, values: None,
    **settings: Unpack[TrialKeywords],
) -> Trained:
    """Train one network, write its row to the results store and export the table as CSV.

    Args:
        subject: a block, a block at a position, or a network (`timm:resnet18`); or a class.
        position: stage that holds the block, where the subject does not say it (default mid).
        workers: processes that read image files, where these are streamed (default: one per core).
        resume: go on from the checkpoint of the same trial, if there is one.
        on_epoch: told the epoch (from 1) and its values.
        settings: by name, of the tables Scaffold, Recipe, Data, Seeded and Run in docs/settings.md.

    Raises:
        RequestError, DataError, OutOfMemory, StoreError: each says what to do.
    """
    from blockzoo.training.launch import check_devices

    scaffold, recipe, data, seeded, run = sorted_into(
        settings, Scaffold, Recipe, Data, Seeded, Run, what="train_block"
    )
    images = images_of(data, run.data_dir)
    spec = trial_spec(subject, position, images, scaffold, recipe, data, seeded.seed)
    where = circumstances(run.device, run.data_dir, run.plugins, workers=workers)
    check_devices(spec, where.device)
    outputs = Outputs.at(run.output)
    store = outputs.store()  # before the work: a folder that cannot be written is known now
    checkpoint = outputs.checkpoint(spec.fingerprint())
    with only_trainer(checkpoint):
        if not resume:
            checkpoint.unlink(missing_ok=True)
        known = known_before(spec.network, images.shape, deploy=run.latency, strict=run.strict)
        record = train_spec(spec, images, where, checkpoint, run.on_oom, on_epoch)
        record.experiment_name, record.notes = run.experiment_name, run.notes
        known.add_to(record)
        _stored(record, store, checkpoint)
        checkpoint.unlink(missing_ok=True)
    if run.latency and record.status == "ok":
        export(outputs, store)  # timing can be interrupted
        _store_times(spec.network, images.shape, where.device, store)
    csv = export(outputs, store)
    return Trained(record, rows_of(store, [record.fingerprint])[0], csv)


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


def load_data(
    dataset: str | None,
    data_dir: str | Path | None,
    image_size: int | None,
    *,
    images: str = "resident",
) -> ImageData:
    """The dataset of that name; with None the default one, or digits with a word to the user."""
    from blockzoo.data import load_or_fallback

    data, note = load_or_fallback(dataset, data_dir, image_size=image_size, images=images)
    if note:
        log.warning(note)
    return data


def images_of(data: Data, data_dir: str | Path | None) -> ImageData:
    """The dataset that these settings name."""
    return load_data(data.dataset, data_dir, data.image_size, images=data.images)


def trial_spec(
    subject: str | type,
    position: str | None,
    images: ImageData,
    scaffold: Scaffold,
    recipe: Recipe,
    data: Data,
    seed: int,
) -> TrialSpec:
    """The spec of a trial, with what is not given taken from the protocol and the data."""
    from blockzoo.training.protocols import get_protocol, protocol_of

    parsed = Subject.parse(subject)
    parsed = parsed if parsed.position or not parsed.is_block else parsed.at(position or "mid")
    network = NetworkSpec(str(parsed), images.num_classes, images.shape[0], **vars(scaffold))
    asked = {**vars(recipe), **vars(data), "protocol": get_protocol(recipe.protocol).name}
    spec = TrialSpec(
        network=network,
        **asked | {"dataset": images.name, "images": images.kept},
        seed=seed,
        data_digest=images.digest or None,
        code_digest=digest_of_codes([PROTOCOLS.own_origin(recipe.protocol), network.filler_code()]),
    )
    protocol_of(spec)  # it has what the trial overrides
    return spec


def circumstances(
    device: str,
    data_dir: str | Path | None,
    plugins: Sequence[str] = (),
    *,
    workers: int | None = None,
) -> Circumstances:
    """How a trial runs here; says so where the device is not the one wanted."""
    from blockzoo.core.plugins import load_plugins
    from blockzoo.training.launch import Circumstances

    return Circumstances(
        available_device(device),
        None if data_dir is None else str(data_dir),
        tuple(load_plugins(plugins)),
        workers,
    )


def available_device(wanted: str) -> str:
    """The device to train on; says so where it is not the one wanted."""
    import torch

    place, note = choose_device(wanted, gpu=torch.cuda.is_available())
    if note:
        log.warning(note)
    return place


def train_spec(
    spec: TrialSpec,
    data: ImageData,
    where: Circumstances,
    checkpoint: Path,
    on_oom: str,
    on_epoch: EpochReport,
    read_test: bool = True,
) -> Record:
    """Train what a spec says; where a batch does not fit and `on_oom` is "halve", with its batches in two parts, four, ...

    The training then begins anew: what it comes to does not depend on when the memory ran out.
    """
    import torch

    from blockzoo.training.launch import run_on_devices
    from blockzoo.training.steps import fitting_batch_size

    try:
        return run_on_devices(
            spec, data, where, checkpoint=checkpoint, on_epoch=on_epoch, read_test=read_test
        )
    except OutOfMemory:
        if on_oom != "halve" or spec.devices > 1:
            raise
        part = spec.with_(batch_size=spec.batch_size // spec.micro_batches, micro_batches=1)
        fits = fitting_batch_size(part, data, torch.device(where.device))
        if fits is None:
            raise
        parts = -(-spec.batch_size // fits)
        log.warning(
            "a batch of %d does not fit in memory; it goes through in %d parts", spec.batch_size, parts
        )
        checkpoint.unlink(missing_ok=True)
        smaller = spec.with_(micro_batches=parts)
        record = train_spec(smaller, data, where, checkpoint, on_oom, on_epoch, read_test)
        record.fingerprint = spec.with_(
            micro_batches=1
        ).fingerprint()  # it answers this request; its spec says what really ran
        return record


def time_networks(
    networks: list[NetworkSpec],
    shape: tuple[int, int, int],
    device: str,
    *,
    seconds: float,
    rounds: int | None = None,
) -> list[Record]:
    """Time networks of one scaffold against each other, alone on the machine; one record each, with a reason if it failed."""
    from blockzoo.benchmark import benchmark_specs

    how = Benchmarking(device=device, seconds=seconds, benchmark_runs=rounds)
    return benchmark_specs(networks, (1, *shape), how).records()


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["train", *sys.argv[1:]]))
