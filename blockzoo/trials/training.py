"""One trial trained here: on which device, with batches that fit, and the times of its network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blockzoo.core.devices import choose_device
from blockzoo.core.errors import OutOfMemory
from blockzoo.core.record import Record
from blockzoo.core.settings import Benchmarking
from blockzoo.core.spec import NetworkSpec, TrialSpec

if TYPE_CHECKING:
    from blockzoo.data import ImageData
    from blockzoo.training.launch import Circumstances

log = logging.getLogger(__name__)

EpochReport = Callable[[int, dict[str, float]], None]


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
        if (
            on_oom != "halve" or spec.devices > 1 or where.listeners
        ):  # they were told of a training that did not begin
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
