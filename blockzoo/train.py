"""train: what a block learns, at a position of the scaffold, on real images."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blockzoo.core.devices import choose_device
from blockzoo.core.errors import OutOfMemory, RequestError, StoreError, reason_of
from blockzoo.core.export import export, rows_of
from blockzoo.core.once import only_trainer
from blockzoo.core.outputs import Outputs
from blockzoo.core.record import Record
from blockzoo.core.sources import digest_of_codes
from blockzoo.core.spec import THREADS, NetworkSpec, TrialSpec
from blockzoo.core.store import Store
from blockzoo.core.subject import Subject
from blockzoo.core.table import Row
from blockzoo.preflight import known_before
from blockzoo.training.contracts import PROTOCOLS

if TYPE_CHECKING:
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


def train_block(
    subject: str | type,
    position: str | None = None,
    *,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    protocol: str = "fast-v1",
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    num_blocks: int = 3,
    base_channels: int = 64,
    filler: str | None = None,
    active_blocks: int | None = None,
    active_width: float = 1.0,
    image_size: int | None = None,
    limit_train: int | None = None,
    device: str = "auto",
    devices: int = 1,
    sync_batch_norm: bool = False,
    images: str = "auto",
    workers: int | None = None,
    threads: int = THREADS,
    plugins: Sequence[str] = (),
    output: str | Path = "results",
    experiment_name: str = "",
    notes: str = "",
    resume: bool = False,
    on_oom: str = "fail",
    latency: bool = True,
    strict: bool = False,
    on_epoch: EpochReport = lambda epoch, values: None,
) -> Trained:
    """Train one network, write its row to the results store and export the table as CSV.

    Args:
        subject: a block, a block at a position, or a network (`timm:resnet18`); or a class.
        position: stage that holds the block, where the subject does not say it (default mid).
        dataset: name of a dataset; default cifar10, or digits where it cannot be had.
        data_dir: folder with the datasets (default: BLOCKZOO_DATA, else ./data).
        protocol: the recipe, name and version.
        epochs: passes over the training images (default: the protocol's).
        batch_size: images per step (default: the protocol's).
        lr: peak learning rate (default: the protocol's).
        seed: drives initialisation, order and augmentation.
        num_blocks: blocks in each stage.
        base_channels: width of the first stage; it doubles with each stage.
        filler: what the other stages hold: a block's name, or "identity".
        active_blocks: depth of the stage under test, if not `num_blocks`.
        active_width: width of the stage under test, as a multiple of its usual width.
        image_size: side length that images are resized to, in pixels (default: their own).
        limit_train: train on only so many images, a draw in which every class has its share.
        device: "auto", "cpu" or "cuda".
        devices: how many train it together: GPUs, or processes on the processor; `batch_size` is that of all.
        sync_batch_norm: batch norms take their statistics over all devices.
        images: "resident" decodes them once; "stream" reads their files in each epoch; "auto" decides by size.
        workers: processes that read image files (default: one per core).
        threads: processor threads of each device; another number gives numbers that differ by rounding.
        plugins: files and modules with the user's own code, which all processes load.
        output: results folder, or the path of the CSV.
        experiment_name: a name for the run.
        notes: a remark.
        resume: go on from the checkpoint of the same trial, if there is one.
        on_oom: "fail" says which batch size fits; "halve" takes each batch in two parts, or four, ..., and the row says so.
        latency: time the network afterwards.
        strict: refuse, before the training, a network whose costs on paper or times could not all be had.
        on_epoch: told the epoch (from 1) and its values.

    Raises:
        RequestError, DataError, OutOfMemory, StoreError: each says what to do.
    """
    from blockzoo.training.launch import check_devices

    if on_oom not in ("fail", "halve"):
        raise RequestError(f"on_oom {on_oom!r}: choose fail or halve")
    data = load_data(dataset, data_dir, image_size, images=images)
    spec = trial_spec(
        subject,
        position,
        data,
        protocol=protocol,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        image_size=image_size,
        limit_train=limit_train,
        devices=devices,
        sync_batch_norm=sync_batch_norm,
        threads=threads,
        scaffold={
            "num_blocks": num_blocks,
            "base_channels": base_channels,
            "filler": filler,
            "active_blocks": active_blocks,
            "active_width": active_width,
        },
    )
    where = circumstances(device, data_dir, plugins, workers=workers)
    check_devices(spec, where.device)
    outputs = Outputs.at(output)
    store = outputs.store()  # before the work: a folder that cannot be written is known now
    checkpoint = outputs.checkpoint(spec.fingerprint())
    with only_trainer(checkpoint):
        if not resume:
            checkpoint.unlink(missing_ok=True)
        known = known_before(spec.network, data.shape, deploy=latency, strict=strict)
        record = train_spec(spec, data, where, checkpoint, on_oom, on_epoch)
        record.experiment_name, record.notes = experiment_name, notes
        known.add_to(record)
        _stored(record, store, checkpoint)
        checkpoint.unlink(missing_ok=True)
    if latency and record.status == "ok":
        export(outputs, store)  # timing can be interrupted
        _store_times(spec.network, data.shape, where.device, store)
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


def trial_spec(
    subject: str | type,
    position: str | None,
    data: ImageData,
    *,
    protocol: str,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    image_size: int | None = None,
    limit_train: int | None = None,
    devices: int = 1,
    sync_batch_norm: bool = False,
    threads: int = THREADS,
    scaffold: dict[str, Any],
) -> TrialSpec:
    """The spec of a trial, with what is not given taken from the protocol and the data."""
    from blockzoo.training.protocols import get_protocol

    recipe = get_protocol(protocol)
    parsed = Subject.parse(subject)
    parsed = parsed if parsed.position or not parsed.is_block else parsed.at(position or "mid")
    network = NetworkSpec(str(parsed), out_dim=data.num_classes, in_channels=data.shape[0], **scaffold)
    return TrialSpec(
        network=network,
        dataset=data.name,
        protocol=recipe.name,
        epochs=recipe.epochs if epochs is None else epochs,
        batch_size=recipe.batch_size if batch_size is None else batch_size,
        lr=recipe.lr if lr is None else lr,
        seed=seed,
        image_size=image_size,
        limit_train=limit_train,
        devices=devices,
        sync_batch_norm=sync_batch_norm,
        threads=threads,
        images=data.kept,
        data_digest=data.digest or None,
        code_digest=digest_of_codes([PROTOCOLS.own_origin(protocol), network.filler_code()]),
    )


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

    options: dict[str, Any] = {"device": device, "seconds": seconds, "benchmark_runs": rounds}
    return benchmark_specs(networks, (1, *shape), **options).records()


if __name__ == "__main__":
    from blockzoo.cli import main

    raise SystemExit(main(["train", *sys.argv[1:]]))
