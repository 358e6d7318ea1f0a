"""A trial on the devices that its spec asks for: in this process, or in one process per device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from blockzoo.core.errors import UsageError
from blockzoo.core.plugins import load_plugins
from blockzoo.core.record import Record
from blockzoo.core.spec import TrialSpec
from blockzoo.data import ImageData, load_dataset
from blockzoo.execution.queue import cores
from blockzoo.execution.ranks import EndsAll, run_together
from blockzoo.training.listeners import Listeners
from blockzoo.training.process import TrainingProcess
from blockzoo.training.together import ALONE, Ranks
from blockzoo.training.trial import evaluate_trial, run_trial

EpochReport = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Circumstances:
    """How a trial runs, beside what it is: none of it changes its numbers, but for callbacks, which its spec names.

    Args:
        device: "cpu" or "cuda".
        data_dir: the folder that holds the datasets, for ranks to load them anew.
        plugins: files and modules with the user's own code, for ranks to load too.
        workers: processes that read images, of all devices together, where images stay in their files; 0: each device's
            training reads them itself; None: one per core.
        listeners: callbacks and loggers, of trials on one device.
    """

    device: str = "cpu"
    data_dir: str | None = None
    plugins: Sequence[str] = ()
    workers: int | None = None
    listeners: Listeners = Listeners()

    def workers_of_each(self, devices: int) -> int:
        """Processes that read images for one of so many devices."""
        if self.workers == 0:
            return 0
        return max(1, (self.workers or cores()) // devices)

    def process_of(self, ranks: Ranks) -> TrainingProcess:
        """One of the processes."""
        return TrainingProcess(self.device, ranks, self.workers_of_each(ranks.count), self.listeners)


def run_on_devices(
    spec: TrialSpec,
    data: ImageData,
    where: Circumstances,
    *,
    checkpoint: Path | None = None,
    on_epoch: EpochReport = lambda epoch, values: None,
    read_test: bool = True,
) -> Record:
    """`run_trial` on one device, or in as many processes as the spec has devices. Only the first of them writes.

    Raises:
        RankLost: one of the processes ended or hung.
        Others: as in `run_trial`.
    """
    if spec.devices == 1:
        return run_trial(
            spec,
            data,
            where.process_of(ALONE),
            checkpoint=checkpoint,
            on_epoch=on_epoch,
            read_test=read_test,
        )
    options = {"checkpoint": None if checkpoint is None else str(checkpoint), "read_test": read_test}
    return _together(_train_rank, spec, where, on_epoch, options)


def evaluate_on_devices(spec: TrialSpec, data: ImageData, where: Circumstances, *, split: str) -> Record:
    """`evaluate_trial` on one device, or in as many processes as the spec has devices: each image is seen by one.

    Raises:
        As `run_on_devices`.
    """
    if spec.devices == 1:
        return evaluate_trial(spec, data, where.process_of(ALONE), split=split)
    silent: EpochReport = lambda epoch, values: None  # noqa: E731
    return _together(_evaluate_rank, spec, where, silent, {"split": split})


def check_devices(spec: TrialSpec, device: str) -> None:
    """There is a GPU for each of the spec's devices, and other processes can find its network.

    Raises:
        UsageError: there is not, or they cannot.
    """
    if device == "cuda" and spec.devices > torch.cuda.device_count():
        raise UsageError(
            f"--devices {spec.devices}: there are {torch.cuda.device_count()} GPUs here; give fewer, "
            "or --device cpu for processes on the processor"
        )
    if spec.devices > 1 and spec.network.parsed.in_running_script:
        raise UsageError(
            f"{spec.network.parsed.innermost} is defined in the running script, which the processes of --devices "
            f"{spec.devices} cannot see: "
            "put it in a file of its own and name that as file.py:Class or with --plugin"
        )


def _together(
    body: Callable[..., Record],
    spec: TrialSpec,
    where: Circumstances,
    report: EpochReport,
    options: dict[str, Any],
) -> Record:
    check_devices(spec, where.device)
    return run_together(
        body,
        spec.devices,
        threads=spec.threads or max(1, torch.get_num_threads() // spec.devices),
        gpus=where.device == "cuda",
        report=report,
        spec=spec.to_json(),
        where=where,
        options=options,
    )


def _train_rank(
    rank: int,
    count: int,
    report: EpochReport,
    spec: dict[str, Any],
    where: Circumstances,
    options: dict[str, Any],
) -> Record:
    """The body of a process: one rank of a training."""
    trial, data = _loaded(spec, where)
    checkpoint = options.pop("checkpoint")
    record = run_trial(
        trial,
        data,
        where.process_of(Ranks(rank, count)),
        checkpoint=None if checkpoint is None else Path(checkpoint),
        on_epoch=report,
        **options,
    )
    if record.status != "ok":
        raise EndsAll(record)  # the others wait for its gradients
    return record


def _evaluate_rank(
    rank: int,
    count: int,
    report: EpochReport,
    spec: dict[str, Any],
    where: Circumstances,
    options: dict[str, Any],
) -> Record:
    """The body of a process: one rank of an evaluation."""
    trial, data = _loaded(spec, where)
    return evaluate_trial(trial, data, where.process_of(Ranks(rank, count)), **options)


def _loaded(spec: dict[str, Any], where: Circumstances) -> tuple[TrialSpec, ImageData]:
    load_plugins(where.plugins, ambient=False)
    trial = TrialSpec(**spec)
    return trial, load_dataset(
        trial.dataset, where.data_dir, image_size=trial.image_size, images=trial.images
    )
